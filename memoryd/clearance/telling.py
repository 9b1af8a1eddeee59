"""What a verdict tells to whom: what only another project's pictures tell of counts, and is not named. Pure."""

from __future__ import annotations

import dataclasses

from memoryd.access.facts import Sees
from memoryd.clearance.facts import CitedClause, Cleared, Duty, ItemVerdict, Judgement

HIDDEN_NAME = "a model of a picture of another project"
HIDDEN_SAYS = "whoever sees the whole studio can tell which model and licence it is"


def told(cleared: Cleared, sees: Sees, *, items: tuple[ItemVerdict, ...] = (), assets: int | None = None) -> Cleared:
    """Return a verdict as a caller may read it (INV-6); whoever sees the whole tenant reads all of it."""
    judgement = cleared.judgement
    if sees is not None:
        judgement = Judgement(
            verdict=judgement.verdict,
            clauses=tuple(dict.fromkeys(map(_clause, judgement.clauses))),
            duties=tuple(dict.fromkeys(map(_duty, judgement.duties))),
        )
    counts = cleared.counts if assets is None else {"assets": assets}
    return dataclasses.replace(cleared, judgement=judgement, items=items or cleared.items, counts=counts)


def _clause(clause: CitedClause) -> CitedClause:
    if not clause.elsewhere:
        return clause
    return CitedClause(
        model=None,
        model_name=HIDDEN_NAME,
        licence_id=None,
        licence=None,
        term=clause.term,
        section="",
        says=HIDDEN_SAYS,
        verdict=clause.verdict,
        text_sha256=None,
        confidence=None,
        elsewhere=True,
    )


def _duty(duty: Duty) -> Duty:
    if not duty.elsewhere:
        return duty
    return Duty(kind=duty.kind, text=HIDDEN_SAYS, model_name=HIDDEN_NAME, licence="", elsewhere=True)
