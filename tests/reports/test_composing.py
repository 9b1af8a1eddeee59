from __future__ import annotations

import dataclasses
import json
import re

from memoryd.catalog.asset_view import ExtractionView, LicenceView
from memoryd.disclosure.facts import FileVerdict, State
from memoryd.foundation.canonical_json import canonical_bytes, read_json
from memoryd.foundation.findings import Finding
from memoryd.reports.composing import compose
from memoryd.reports.facts import Occasion, Severity, Subject, Verification
from memoryd.reports.gaps import gaps_of
from memoryd.reports.rendering import render_html
from memoryd.reports.wire import LineageReport
from memoryd.shipped import shipped
from tests.reports.conftest import MOMENT


def codes(subject: Subject) -> set[str]:
    return {gap.code for gap in gaps_of(subject)}


def test_every_unknown_is_a_gap(subject: Subject) -> None:
    assert codes(subject) == {
        "project-unknown",
        "person-unknown",
        "environment-unknown",
        "model-unknown",
        "licence-unknown",
        "input-unknown",
        "not-disclosed",
    }


def test_what_was_not_generated_for_certain_is_undecided_and_not_called_unmarked(subject: Subject) -> None:
    unknown = dataclasses.replace(subject, view=dataclasses.replace(subject.view, generations=()))
    assert {"making-unknown", "disclosure-undecided"} <= codes(unknown)
    assert "not-disclosed" not in codes(unknown)


def test_what_does_not_verify_comes_first(subject: Subject) -> None:
    bad = FileVerdict(state=State.INVALID, headline="changed")
    worse = dataclasses.replace(subject, verifications={subject.view.id: Verification(verdict=bad)})
    assert gaps_of(worse)[0].severity is Severity.BAD


def test_not_attempted_is_never_shown_as_a_result(subject: Subject, occasion: Occasion) -> None:
    (asset,) = LineageReport.model_validate_json(compose([subject], occasion).content).assets
    assert asset.verification.state == "not-attempted"


def test_a_licence_that_the_file_states_is_no_permission(subject: Subject, occasion: Occasion) -> None:
    (run,) = subject.view.generations
    model = dataclasses.replace(run.models[0], sha256=b"\x05" * 32, licence=LicenceView(name="MIT", source="header"))
    known = dataclasses.replace(run, models=(model,))
    stated = Subject(view=dataclasses.replace(subject.view, generations=(known,)))
    (asset,) = LineageReport.model_validate_json(compose([stated], occasion).content).assets
    assert asset.runs[0].models[0].licence.state == "stated by the file"


def test_the_report_has_one_spelling_and_its_published_shape(subject: Subject, occasion: Occasion) -> None:
    report = compose([subject], occasion)
    assert canonical_bytes(read_json(report.content)) + b"\n" == report.content
    shape = LineageReport.model_validate_json(report.content)
    assert shape.assets[0].runs[0].samplers[0].seed == str(2**64 - 1)
    assert list(report.document).index("gaps") < list(report.document).index("assets")


def test_the_published_schema_is_the_one_of_this_version() -> None:
    published = json.loads((shipped("schemas") / "lineage_report.v1.json").read_text())
    published.pop("$schema")
    assert published == LineageReport.model_json_schema(by_alias=True)


def test_a_report_that_does_not_hold_everything_says_so_first(subject: Subject, occasion: Occasion) -> None:
    report = LineageReport.model_validate_json(
        compose([subject], dataclasses.replace(occasion, complete=False)).content
    )
    assert report.gaps[0].code == "report-incomplete"
    assert report.gaps[0].severity == "bad"


def test_the_page_escapes_what_files_say_and_loads_nothing(subject: Subject, occasion: Occasion) -> None:
    page = render_html(compose([subject], occasion)).decode("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert "default-src 'none'" in page
    assert page.index("<h2>Gaps</h2>") < page.index("<h2>Assets</h2>")


def test_carriers_that_disagree_leave_something_unknown(subject: Subject) -> None:
    said = Finding(code="carriers-disagree", detail="the seed: the prompt says 1, the parameters 2")
    reading = ExtractionView(plugin="png", version="1", state="read", at=MOMENT, current=True, findings=(said,))
    doubted = Subject(view=dataclasses.replace(subject.view, extractions=(reading,)))
    (gap,) = [gap for gap in gaps_of(doubted) if gap.code == "finding-carriers-disagree"]
    assert gap.severity is Severity.UNKNOWN
