from __future__ import annotations

import dataclasses
import datetime
import json

import pytest

from memoryd.catalog.asset_view import AssetView, PromptView, Relative, SequenceView
from memoryd.catalog.attesting import AttestationView
from memoryd.foundation.ids import AssetId, new_id
from memoryd.imaging.derived import ColourProfile, Traits
from memoryd.plugin_api.facts import Confidence
from memoryd.reports.composing import compose
from memoryd.reports.facts import Occasion, Severity, Subject
from memoryd.reports.gaps import gaps_of
from memoryd.reports.making import SETTING_LIMIT, told_settings
from memoryd.reports.rendering import render_html
from memoryd.reports.wire import AssetPart, LineageReport
from memoryd.workflows.facts import Polarity, Source
from tests.reports.conftest import MOMENT

SECRET = "a fox of the client's next campaign"


def codes(subject: Subject) -> set[str]:
    return {gap.code for gap in gaps_of(subject)}


def with_run(view: AssetView, **changes: object) -> AssetView:
    (run,) = view.generations
    return dataclasses.replace(view, generations=(dataclasses.replace(run, **changes),))  # type: ignore[arg-type]


def told(subject: Subject, occasion: Occasion) -> tuple[AssetPart, str]:
    report = compose([subject], occasion)
    (asset,) = LineageReport.model_validate_json(report.content).assets
    return asset, report.content.decode() + render_html(report).decode()


def declared(*, generated: bool = True) -> AttestationView:
    return AttestationView(
        id=new_id(),
        made_by="midjourney",
        generated=generated,
        tool_version="7",
        prompt=SECRET,
        negative=None,
        model="v7",
        seed=2**53 + 1,
        note=SECRET,
        project="fox",
        person="Ada",
        by="Grace",
        at=MOMENT.astimezone(datetime.UTC),
        withdrawn_at=None,
    )


def parent(view: AssetView, source: str) -> Relative:
    face = dataclasses.replace(view.line[0].face, id=AssetId(new_id()), name="sketch.png")
    return Relative(
        face=face, near_root_id=view.root_id, via="retouched", distance=1, source=source, by="Grace <b>Hopper</b>"
    )


def test_a_tool_and_what_a_file_claims_of_its_models_is_told_as_a_claim(subject: Subject, occasion: Occasion) -> None:
    model = dataclasses.replace(
        subject.view.generations[0].models[0],
        source=Source.TEXT,
        confidence=Confidence.MEDIUM,
        claimed_hash="a1b2c3d4",
        air="urn:air:sdxl:checkpoint:civitai:1@2",
    )
    view = with_run(subject.view, tool="automatic1111", tool_version="1.9.0", models=(model,), samplers=())
    asset, texts = told(Subject(view=view), occasion)
    (run,) = asset.runs
    assert (run.tool, run.tool_version) == ("automatic1111", "1.9.0")
    one = run.models[0]
    assert (one.claimed_hash, one.air, one.source, one.confidence) == ("a1b2c3d4", model.air, "text", "medium")
    assert one.sha256 is None
    assert {"model-unknown", "model-claimed"} <= codes(Subject(view=view))
    assert "unchecked" in texts
    assert "automatic1111" in next(gap.detail for gap in gaps_of(Subject(view=view)) if "environment" in gap.code)


def test_prompts_are_told_of_and_their_words_are_nowhere(subject: Subject, occasion: Occasion) -> None:
    prompt = PromptView(
        node="6", input="text", polarity=Polarity.POSITIVE, text=SECRET, is_template=True, source=Source.EXECUTED
    )
    settings = (
        ("Clip skip", "2"),
        ("original_prompt", SECRET),
        ("Template", SECRET),
        ("--no", SECRET),
        ("Version", "x" * (SETTING_LIMIT + 1)),
    )
    view = with_run(subject.view, prompts=(prompt,), settings=settings)
    asset, texts = told(Subject(view=view, declarations=(declared(),)), occasion)
    assert [(one.polarity, one.is_template, one.confidence) for one in asset.runs[0].prompts] == [
        ("positive", True, "high")
    ]
    assert [(one.name, one.value) for one in asset.runs[0].settings] == [("Clip skip", "2")]
    assert SECRET not in texts.replace("&#39;", "'")
    assert "campaign" not in texts


@pytest.mark.parametrize("name", ["clip skip", "CLIP SKIP", "--AR"])
def test_settings_are_known_in_any_case(name: str) -> None:
    assert list(told_settings([(name, "2")])) == [(name, "2")]


def test_a_drawn_graph_is_not_proven_to_have_run(subject: Subject) -> None:
    (sampler,) = subject.view.generations[0].samplers
    drawn = dataclasses.replace(sampler, source=Source.EDITOR, confidence=Confidence.MEDIUM)
    view = with_run(subject.view, samplers=(drawn,), models=(), inputs=())
    assert "not-proven-to-have-run" in codes(Subject(view=view))
    view = with_run(subject.view, samplers=(drawn, sampler), models=(), inputs=())
    assert "not-proven-to-have-run" not in codes(Subject(view=view))
    assert "not-proven-to-have-run" not in codes(subject)


def test_guesses_and_inferences_are_gaps(subject: Subject) -> None:
    (sampler,), (model,) = subject.view.generations[0].samplers, subject.view.generations[0].models
    view = with_run(
        subject.view,
        samplers=(dataclasses.replace(sampler, confidence=Confidence.LOW),),
        models=(dataclasses.replace(model, source=Source.INFERRED, confidence=Confidence.LOW),),
    )
    found = {gap.code: gap for gap in gaps_of(Subject(view=view))}
    assert "KSampler" in found["fact-uncertain"].detail
    assert found["fact-inferred"].severity is Severity.UNKNOWN


def test_a_declaration_names_who_made_it_and_who_says_so(subject: Subject, occasion: Occasion) -> None:
    asset, texts = told(dataclasses.replace(subject, declarations=(declared(),)), occasion)
    (said,) = asset.declarations
    assert (said.made_by, said.by, said.person, said.seed) == ("midjourney", "Grace", "Ada", str(2**53 + 1))
    assert "Grace" in texts


def test_a_declaration_that_a_file_contradicts_is_bad(subject: Subject) -> None:
    both = dataclasses.replace(subject, declarations=(declared(generated=False), declared()))
    assert gaps_of(both)[0].code == "declaration-contradicted"
    assert gaps_of(both)[0].severity is Severity.BAD
    assert "declarations-disagree" in codes(both)
    agreeing = codes(dataclasses.replace(subject, declarations=(declared(),)))
    assert not agreeing & {"declaration-contradicted", "declarations-disagree"}


@pytest.mark.parametrize(("source", "words"), [("declared", "declared it"), ("proposal", "accepted a proposal")])
def test_a_parent_that_people_named_says_who(subject: Subject, occasion: Occasion, source: str, words: str) -> None:
    view = dataclasses.replace(subject.view, parents=(parent(subject.view, source),))
    asset, texts = told(Subject(view=view), occasion)
    assert (asset.parents[0].source, asset.parents[0].by) == (source, "Grace <b>Hopper</b>")
    (gap,) = [gap for gap in gaps_of(Subject(view=view)) if gap.code == "parent-declared"]
    assert words in gap.detail
    assert "Grace &lt;b&gt;Hopper" in texts


def test_a_parent_that_was_read_needs_no_word(subject: Subject) -> None:
    read = dataclasses.replace(parent(subject.view, "read"), by=None)
    assert "parent-declared" not in codes(Subject(view=dataclasses.replace(subject.view, parents=(read,))))


def test_numbered_frames_are_one_line_and_say_that_one_is_told(subject: Subject, occasion: Occasion) -> None:
    frames = SequenceView(id=new_id(), name="fox.####.exr", frames=10, first=1, last=12, first_id=subject.view.id)
    view = dataclasses.replace(subject.view, sequence=frames)
    asset, texts = told(Subject(view=view), occasion)
    assert asset.sequence
    assert (asset.sequence.frames, asset.sequence.missing) == (10, 2)
    assert {"frames-one-told", "frames-missing"} <= codes(Subject(view=view))
    assert "10 frames of fox.####.exr" in texts


def test_what_films_sounds_and_exrs_are_like_is_told(subject: Subject, occasion: Occasion) -> None:
    traits = Traits(
        duration=2.5,
        frame_rate=24.0,
        sample_rate=48_000,
        channels=2,
        profile=ColourProfile(name="Display P3", sha256=b"\x07" * 32),
        layers=("beauty", "depth"),
    )
    asset, texts = told(Subject(view=dataclasses.replace(subject.view, frames=60, traits=traits)), occasion)
    assert asset.content
    assert (asset.content.frames, asset.content.duration, asset.content.layers) == (60, 2.5, ["beauty", "depth"])
    for words in ("60 frames", "2.5 s", "24.0 frames/s", "48000 Hz", "profile Display P3", "layers beauty, depth"):
        assert words in texts
    assert told(subject, occasion)[0].content is None


def test_a_report_of_an_earlier_version_has_the_published_shape(subject: Subject, occasion: Occasion) -> None:
    document = json.loads(compose([subject], occasion).content)
    asset = document["assets"][0]
    for name in ("content", "declarations", "sequence"):
        del asset[name]
    for name in ("tool", "tool_version", "width", "height", "settings", "prompts"):
        del asset["runs"][0][name]
    assert LineageReport.model_validate(document).assets[0].declarations == []
