from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.disclosure.facts import (
    MADE_BY_AI,
    Deed,
    EngineEvidence,
    Evidence,
    InputEvidence,
    InputPart,
    ModelEvidence,
    SourceType,
    Statement,
    Undecided,
)
from memoryd.disclosure.statement import what_to_say
from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.facts import Parameters, SamplerUse, Source

NO_SAMPLER = Parameters(node="9")


def said(evidence: Evidence) -> Statement:
    answer = what_to_say(evidence)
    assert isinstance(answer, Statement), answer
    return answer


def test_without_a_graph_nothing_is_said() -> None:
    answer = what_to_say(Evidence(parameters=None))
    assert isinstance(answer, Undecided)
    assert "no graph" in answer.reason


def test_a_generation_from_text_is_said_to_be_made_by_a_trained_model(evidence: Evidence) -> None:
    statement = said(evidence)
    assert statement.source_type is SourceType.TRAINED
    assert statement.deed is Deed.CREATED


def test_what_the_stand_in_painted_is_never_said_to_be_made_by_a_trained_model(evidence: Evidence) -> None:
    statement = said(dataclasses.replace(evidence, engine=EngineEvidence(name="stand-in", stand_in=True)))
    assert statement.source_type is SourceType.ALGORITHMIC


def test_a_continued_picture_is_opened_and_the_result_is_a_composite(evidence: Evidence) -> None:
    statement = said(dataclasses.replace(evidence, inputs=(InputEvidence(name="fox.png", part=InputPart.BASE),)))
    assert statement.source_type is SourceType.COMPOSITE_TRAINED
    assert statement.deed is Deed.EDITED


def test_a_picture_that_only_guides_leaves_the_result_generated(evidence: Evidence) -> None:
    statement = said(dataclasses.replace(evidence, inputs=(InputEvidence(name="pose.png", part=InputPart.GUIDE),)))
    assert statement.source_type is SourceType.TRAINED
    assert statement.deed is Deed.CREATED


def test_a_pasted_picture_makes_a_composite(evidence: Evidence) -> None:
    statement = said(dataclasses.replace(evidence, inputs=(InputEvidence(name="logo.png", part=InputPart.PLACED),)))
    assert statement.source_type is SourceType.COMPOSITE_TRAINED
    assert statement.deed is Deed.CREATED


def _sampler(source: Source, denoise: float | None = None) -> SamplerUse:
    return SamplerUse(
        node="a place",
        class_type="a tool",
        seed=1,
        steps=20,
        cfg=7.0,
        sampler="euler",
        scheduler=None,
        denoise=denoise,
        source=source,
    )


def _told(*samplers: SamplerUse) -> Evidence:
    return Evidence(parameters=Parameters(node=None, samplers=samplers, generates=True))


def test_a_sampler_that_a_tools_own_text_names_is_said_to_be_told_by_it() -> None:
    statement = said(_told(_sampler(Source.TEXT)))
    assert statement.source_type is SourceType.TRAINED
    assert statement.reasons == ("the text that a generator wrote into the file names a sampler",)


def test_a_text_that_went_on_from_a_picture_without_naming_it_decides_nothing() -> None:
    assert isinstance(what_to_say(_told(_sampler(Source.TEXT, denoise=0.4))), Undecided)


def test_a_guess_decides_nothing() -> None:
    assert isinstance(
        what_to_say(_told(dataclasses.replace(_sampler(Source.TEXT), confidence=Confidence.LOW))), Undecided
    )


def test_a_text_that_names_a_maker_and_no_sampler_decides_nothing() -> None:
    assert isinstance(what_to_say(_told()), Undecided)


def test_what_was_only_drawn_in_the_editor_is_undecided() -> None:
    answer = what_to_say(_told(_sampler(Source.EDITOR)))
    assert isinstance(answer, Undecided)
    assert "drawn" in answer.reason


def test_an_output_that_may_be_one_of_several_kinds_is_undecided(evidence: Evidence) -> None:
    assert isinstance(what_to_say(dataclasses.replace(evidence, agreed=False)), Undecided)


def test_known_rules_from_nothing_are_algorithmic() -> None:
    assert said(Evidence(parameters=NO_SAMPLER, model_free=True)).source_type is SourceType.ALGORITHMIC


@pytest.mark.parametrize("model_free", [None, False])
def test_a_node_that_we_do_not_know_proves_nothing(model_free: bool | None) -> None:
    assert isinstance(what_to_say(Evidence(parameters=NO_SAMPLER, model_free=model_free)), Undecided)


def test_a_processed_photo_of_unknown_making_is_undecided() -> None:
    answer = what_to_say(Evidence(parameters=NO_SAMPLER, model_free=True, inputs=(InputEvidence(name="photo.jpg"),)))
    assert isinstance(answer, Undecided)
    assert "not known" in answer.reason


def test_a_processed_picture_of_a_model_stays_a_models() -> None:
    source = InputEvidence(name="fox.png", source_type=SourceType.TRAINED)
    statement = said(Evidence(parameters=NO_SAMPLER, model_free=True, inputs=(source,)))
    assert statement.source_type in MADE_BY_AI


def test_an_enlarged_photo_is_enhanced() -> None:
    statement = said(
        Evidence(
            parameters=NO_SAMPLER,
            models=(ModelEvidence(role="upscale_models", name="4x.pth"),),
            inputs=(InputEvidence(name="photo.jpg", part=InputPart.BASE),),
        )
    )
    assert statement.source_type is SourceType.ENHANCED


def test_a_model_without_a_sampler_is_undecided() -> None:
    evidence = Evidence(parameters=NO_SAMPLER, models=(ModelEvidence(role="checkpoints", name="a.safetensors"),))
    assert isinstance(what_to_say(evidence), Undecided)


_inputs = st.lists(
    st.builds(
        InputEvidence,
        name=st.sampled_from("abc"),
        part=st.sampled_from(InputPart),
        source_type=st.one_of(st.none(), st.sampled_from(SourceType)),
    ),
    max_size=4,
).map(tuple)


@settings(max_examples=100, deadline=None)
@given(
    generates=st.booleans(),
    stand_in=st.booleans(),
    model_free=st.one_of(st.none(), st.booleans()),
    agreed=st.booleans(),
    inputs=_inputs,
)
def test_a_trained_model_is_named_only_with_a_sampler_and_never_for_the_stand_in(
    generates: bool, stand_in: bool, model_free: bool | None, agreed: bool, inputs: tuple[InputEvidence, ...]
) -> None:
    answer = what_to_say(
        Evidence(
            parameters=Parameters(node="1", generates=generates),
            engine=EngineEvidence(stand_in=stand_in),
            model_free=model_free,
            agreed=agreed,
            inputs=inputs,
        )
    )
    if isinstance(answer, Statement):
        assert agreed
        if answer.source_type is SourceType.TRAINED:
            assert generates
            assert not stand_in
        if answer.source_type in MADE_BY_AI and not generates:
            assert any(use.source_type in MADE_BY_AI for use in inputs)
