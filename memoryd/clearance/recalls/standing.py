"""Which weights may not be used now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from memoryd.clearance.recalls.facts import Recalled, RecallKind
from memoryd.clearance.recalls.queries import recalls as queries
from memoryd.foundation.database import Session
from memoryd.model_registry import origins


def recalled(session: Session, sha256s: Collection[bytes]) -> dict[bytes, Recalled]:
    """Return those of these weights that are recalled, or were made of recalled ones; the newest recall of each.

    One statement where nothing is recalled. `session` has taken the tenant.
    """
    wanted = list(dict.fromkeys(sha256s))
    if not wanted or not queries.is_any_standing(session):
        return {}
    found = _found(session, wanted)
    if len(found) == len(wanted):
        return found
    # What came to the registry after the recall comes under it by what it was made of.
    above = origins.ancestors(session, [sha256 for sha256 in wanted if sha256 not in found])
    parents = _found(session, {one.sha256 for each in above.values() for one in each if one.sha256 is not None})
    for sha256, each in above.items():
        for one in each:
            if one.sha256 is not None and one.sha256 in parents:
                cause = parents[one.sha256]
                found[sha256] = Recalled(
                    recall_id=cause.recall_id,
                    model=cause.model,
                    kind=cause.kind,
                    reason=cause.reason,
                    at=cause.at,
                    via=one.via.value,
                )
                break
    return found


def list_concerned(session: Session, recall_id: UUID) -> dict[bytes, str | None]:
    """Return which weights a recall concerns: SHA-256 -> how they were made of its model, None for the model itself."""
    return queries.list_concerned(session, recall_id)


def note_jobs_ended(session: Session, recall_id: UUID, jobs: int) -> None:
    """Note that jobs were ended for a recall."""
    queries.add_jobs_ended(session, recall_id, jobs)


def _found(session: Session, sha256s: Sequence[bytes] | Collection[bytes]) -> dict[bytes, Recalled]:
    if not sha256s:
        return {}
    return {
        bytes(row.sha256): Recalled(
            recall_id=row.recall_id,
            model=bytes(row.model),
            kind=RecallKind(row.kind),
            reason=row.reason,
            at=row.at,
            via=row.via,
        )
        for row in queries.list_standing(session, list(sha256s))
    }
