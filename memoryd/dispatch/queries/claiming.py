"""The claim: guard, heads, affinity, lock, lease. It is a function of the farm's schema (migration 0010).

Nothing there looks at a row of `ready` before the watermark, and nothing walks over rows that may not be taken but for
those that have expired or avoid this very worker: a worker that serves some tenants only reads each of their orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from memoryd.foundation.database import Session
from memoryd.foundation.lean_statements import Lean, jsonb

Found = Any

_CLAIM = Lean("""
    select * from claim_next(:worker_id, :incarnation, cast(:pool_ids as uuid[]), cast(:serves as uuid[]),
                             cast(:loaded as text[]), :token_hash, false)""")


def claim(
    session: Session, asks: Mapping[str, object], *, serves: Sequence[UUID], loaded: Sequence[str]
) -> Found | None:
    """Lease the next job for a worker that is active in this start; None where there is none for it.

    The classes and pools in which it finds something: by the pool's rank and memory, then the one whose head has waited
    longest, the class's age offset added (keys that never change: nothing is aged by update). `blocked`: something may
    hold the job back, and it was only locked. `fence` None: somebody wants it cancelled; it was only taken out.
    """
    return _CLAIM.first(session, {**asks, "serves": list(serves), "loaded": list(loaded)})


_CLAIM_EACH = Lean("""
    select a.n, c.*
      from jsonb_to_recordset(:asks) a(n int, worker_id uuid, incarnation uuid, pool_ids uuid[], serves uuid[],
                                       loaded text[], token_hash text)
     cross join lateral claim_next(a.worker_id, a.incarnation, a.pool_ids, a.serves, a.loaded,
                                   decode(a.token_hash, 'hex'), true) c""")


def claim_each(session: Session, asks: Sequence[Mapping[str, object]]) -> list[Found]:
    """Lease the next job for each of these workers, one after the other, as claim does: its columns, and n.

    `n` is the place among those that ask, who get no row where there is nothing for them. `busy`: somebody else holds the
    job's row just now, or wants it cancelled, and it was only locked.
    """
    return _CLAIM_EACH.all(session, {"asks": jsonb([{**one, "n": n} for n, one in enumerate(asks)])})


_CLAIM_PICKED = Lean("""
    select * from claim_picked(:pool_id, cast(:class_id as smallint), :low, :vtag, :job_id, :worker_id, :incarnation,
                               :token_hash)""")


def claim_picked(session: Session, asks: Mapping[str, object]) -> Found | None:
    """Lease a job that `claim` had locked as blocked, now that nothing holds it back; as claim."""
    return _CLAIM_PICKED.first(session, asks)
