"""Which weights may not be used now."""

from __future__ import annotations

from collections.abc import Collection

from memoryd.clearance.recalls.facts import Recalled, RecallKind
from memoryd.clearance.recalls.queries import recalls as queries
from memoryd.foundation.database import Session


def recalled(session: Session, sha256s: Collection[bytes]) -> dict[bytes, Recalled]:
    """Return those of these weights that are recalled, or were made of recalled ones; the newest recall of each.

    One statement where nothing is recalled. `session` has taken the tenant.
    """
    wanted = list(dict.fromkeys(sha256s))
    if not wanted:
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
        for row in queries.list_standing(session, wanted)
    }
