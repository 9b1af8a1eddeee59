"""What a report says of the licences: the verdict, what it is for, every clause, what is owed. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from memoryd.clearance.facts import CitedClause, Cleared, Verdict
from memoryd.clearance.occasions import occasion_json
from memoryd.foundation.canonical_json import Json
from memoryd.reports.facts import Gap, Severity, Subject

_GAPS = {
    Verdict.BLOCK: ("use-blocked", Severity.BAD),
    Verdict.UNKNOWN: ("use-unknown", Severity.UNKNOWN),
    Verdict.REVIEW: ("use-to-review", Severity.UNKNOWN),
}


def show_clearance(cleared: Cleared) -> dict[str, Json]:
    """Return a verdict as the report tells it, with the hash of each licence's text as of now."""
    return {
        "verdict": cleared.judgement.verdict.value,
        "occasion": occasion_json(cleared.occasion),
        "notes": list(cleared.notes),
        "clauses": [_clause(clause) for clause in cleared.judgement.clauses],
        "duties": [
            {"kind": duty.kind, "text": duty.text, "model_name": duty.model_name, "licence": duty.licence}
            for duty in cleared.judgement.duties
        ],
    }


def clearance_gaps(subject: Subject) -> Iterator[Gap]:
    """Yield what stands between the asset and its use: one gap for each model and clause that decided."""
    if subject.clearance is None or subject.clearance.judgement.verdict is Verdict.ALLOW:
        return
    judgement, occasion = subject.clearance.judgement, subject.clearance.occasion
    code, severity = _GAPS[judgement.verdict]
    for clause in judgement.deciding:
        licence = f" ({clause.licence} {clause.section})".replace(" )", ")") if clause.licence else ""
        detail = f"{clause.model_name}{licence}: {clause.says}; asked for {occasion.use.value} in "
        places = ", ".join(occasion.territories)
        yield Gap(code=code, severity=severity, asset_id=subject.view.id, detail=detail + places)


def _clause(clause: CitedClause) -> dict[str, Json]:
    return {
        "model": None if clause.model is None else clause.model.hex(),
        "model_name": clause.model_name,
        "licence": clause.licence,
        "version": clause.version,
        "term": clause.term,
        "section": clause.section,
        "says": clause.says,
        "verdict": clause.verdict.value,
        "text_sha256": None if clause.text_sha256 is None else clause.text_sha256.hex(),
        "confidence": clause.confidence,
        "source": clause.source,
        "inherited": clause.inherited,
    }
