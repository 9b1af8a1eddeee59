"""The report as JSON: gaps first, then each asset whole. Pure; the shape is `schemas/lineage_report.v1.json`.

Left out on purpose: prompts. A report is handed on, and what was asked for is the studio's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from memoryd import __version__
from memoryd.catalog.asset_view import AssetView, Face, Relative, SequenceView
from memoryd.catalog.attesting import AttestationView
from memoryd.disclosure.facts import Disclosed
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.reports.clearing import show_clearance
from memoryd.reports.facts import Gap, Occasion, Report, Severity, Subject, Verification
from memoryd.reports.gaps import gaps_of
from memoryd.reports.making import moment, show_run

FORMAT = "memoryd.lineage-report/1"
NOTICE = (
    "This report says what the memory of this installation knows, and first what it does not know. "
    "It supports a decision about delivery and disclosure; it is not legal advice and certifies nothing."
)
ASSETS_LIMIT = 500
"""Assets of one report. A delivery beyond it is several reports."""


def compose(subjects: Sequence[Subject], occasion: Occasion) -> Report:
    """Return the report about these assets, with its one spelling (canonical JSON, ASCII, one newline at the end)."""
    gaps = [gap for subject in subjects for gap in gaps_of(subject)]
    if not occasion.complete:
        detail = f"more than {ASSETS_LIMIT} assets were found (ASSETS_LIMIT): the rest is in no part of this report"
        gaps.insert(0, Gap(code="report-incomplete", severity=Severity.BAD, asset_id=None, detail=detail))
    order = {Severity.BAD: 0, Severity.UNKNOWN: 1, Severity.NOTE: 2}
    gaps.sort(key=lambda gap: order[gap.severity])
    document: dict[str, Json] = {
        "format": FORMAT,
        "report_id": occasion.report_id,
        "made_at": moment(occasion.made_at),
        "made_by": occasion.made_by,
        "made_with": f"memoryd {__version__}",
        "tenant": occasion.tenant,
        "asked": occasion.asked,
        "complete": occasion.complete,
        "notice": NOTICE,
        "summary": _summary(subjects, gaps),
        "gaps": [_gap(gap) for gap in gaps],
        "assets": [_asset(subject, occasion) for subject in subjects],
    }
    return Report(document=document, content=canonical_bytes(document) + b"\n", assets=len(subjects))


def _summary(subjects: Sequence[Subject], gaps: Sequence[Gap]) -> dict[str, Json]:
    return {
        "assets": len(subjects),
        "generated": sum(any(run.generates for run in subject.view.generations) for subject in subjects),
        "disclosed": sum(bool(subject.disclosures) for subject in subjects),
        "bad": sum(gap.severity is Severity.BAD for gap in gaps),
        "unknown": sum(gap.severity is Severity.UNKNOWN for gap in gaps),
        "notes": sum(gap.severity is Severity.NOTE for gap in gaps),
    }


def _gap(gap: Gap) -> dict[str, Json]:
    return {
        "code": gap.code,
        "severity": gap.severity.value,
        "asset_id": str(gap.asset_id) if gap.asset_id else None,
        "detail": gap.detail,
    }


def _asset(subject: Subject, occasion: Occasion) -> dict[str, Json]:
    view = subject.view
    own = subject.verifications.get(view.id, Verification(verdict=None, not_attempted="nobody asked for it"))
    return {
        "id": str(view.id),
        "root_id": str(view.root_id),
        "sha256": view.sha256.hex(),
        "size": view.size,
        "kind": view.kind.value,
        "media_type": view.media_type,
        "width": view.width,
        "height": view.height,
        "pixel_recipe": view.pixel_recipe,
        "pixel_digest": view.pixel_digest.hex() if view.pixel_digest else None,
        "made_at": moment(view.made_at),
        "made_source": view.made_source.value,
        "recorded_at": moment(view.recorded_at),
        "places": [place.shown_path for place in view.places],
        "runs": [show_run(run, subject, occasion) for run in view.generations],
        "line": [
            {"succession": member.succession.value if member.succession else None, **_face(member.face)}
            for member in view.line
        ],
        "parents": [_relative(near) for near in view.parents],
        "children": [_relative(near) for near in view.children],
        "approvals": [
            {"project": noted.project, "state": noted.approval.state, "of_this": noted.approval.of_this}
            for noted in view.annotations
            if noted.approval is not None
        ],
        "disclosures": [_disclosure(one, subject) for one in subject.disclosures],
        "verification": _verification(own),
        "findings": [dict(finding.as_json()) for finding in view.findings],
        "sequence": _sequence(view.sequence),
        "content": _content(view),
        "declarations": [_declaration(said) for said in subject.declarations],
        "clearance": None if subject.clearance is None else show_clearance(subject.clearance),
    }


def _relative(near: Relative) -> dict[str, Json]:
    about: dict[str, Json] = {"via": near.via, "source": near.source, "by": near.by, "distance": near.distance}
    return {**about, **_face(near.face)}


def _content(view: AssetView) -> Json:
    """What the content is like, as far as it was decoded."""
    if view.traits is None:
        return None
    profile = view.traits.profile
    return {
        "frames": view.frames,
        "duration": view.traits.duration,
        "frame_rate": view.traits.frame_rate,
        "sample_rate": view.traits.sample_rate,
        "channels": view.traits.channels,
        "colour_profile": None if profile is None else {"name": profile.name, "sha256": profile.sha256.hex()},
        "layers": list(view.traits.layers),
    }


def _declaration(said: AttestationView) -> dict[str, Json]:
    return {
        "id": str(said.id),
        "made_by": said.made_by,
        "tool_version": said.tool_version,
        "generated": said.generated,
        "model": said.model,
        "seed": None if said.seed is None else str(said.seed),
        "project": said.project,
        "person": said.person,
        "by": said.by,
        "at": moment(said.at),
    }


def _sequence(sequence: SequenceView | None) -> Json:
    """The frames that the asset stands for: one item, with its count."""
    if sequence is None:
        return None
    return {
        "name": sequence.name,
        "frames": sequence.frames,
        "first": sequence.first,
        "last": sequence.last,
        "missing": sequence.missing,
    }


def _disclosure(made: Disclosed, subject: Subject) -> dict[str, Json]:
    checked = subject.verifications.get(
        made.disclosed_id, Verification(verdict=None, not_attempted="it was not asked for")
    )
    return {
        "id": str(made.id),
        "original_id": str(made.original_id),
        "disclosed_id": str(made.disclosed_id),
        "source_type": made.source_type.value,
        "manifest_id": made.manifest_id,
        "signer": made.signer,
        "development": made.development,
        "timestamped": made.timestamped,
        "layers": list(made.layers),
        "kept": made.kept,
        "created_at": moment(made.created_at),
        "verification": _verification(checked),
    }


def _verification(checked: Verification) -> dict[str, Json]:
    verdict = checked.verdict
    if verdict is None:
        return {"state": "not-attempted", "headline": checked.not_attempted, "generated_by_ai": None, "signer": None}
    return {
        "state": verdict.state.value,
        "headline": verdict.headline,
        "generated_by_ai": verdict.generated_by_ai.value,
        "signer": verdict.signer.name if verdict.signer else None,
    }


def _face(face: Face) -> dict[str, Json]:
    return {"asset_id": str(face.id), "sha256": face.sha256.hex(), "name": face.name}
