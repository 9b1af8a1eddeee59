"""Keeping the queue in order: what one elected process does every second. Every step is safe to repeat and to lose.

Two leaders at once are harmless: each row is locked and each step guarded by itself; the lead only saves the work.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import threading
import time
import weakref
from collections.abc import Sequence
from uuid import UUID, uuid4

from memoryd.dispatch import endings, holds, pools, routing, telling, tries, waking
from memoryd.dispatch.endings import Endings
from memoryd.dispatch.entering import let_in
from memoryd.dispatch.facts import Cause
from memoryd.dispatch.queries import upkeep
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Database, Session
from memoryd.foundation.ids import JobId
from memoryd.foundation.logging import log_for

LEAD = "tending"
LEAD_TERM_S = 10.0
PRUNE_EVERY_S = 60.0
MOVING_S = 0.5
"""How long one round moves jobs that a pause or its end leaves to be moved: the leader has other things to do."""
KEYS_KEPT_DAYS = 30
"""Days that an idempotency key is remembered."""

_log = log_for(__name__)
_holder = uuid4()
_due_lock = threading.Lock()
_done_at: weakref.WeakKeyDictionary[Database, dict[str, float]] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tended:
    """What one round did. `leading` False: another process leads, and nothing was done."""

    leading: bool
    reaped: int = 0
    promoted: int = 0
    expired: int = 0


def tend_once(database: Database, *, holder: UUID = _holder) -> Tended:
    """Do one round, if this process leads: reap silent leases, promote retries whose time has come, move the watermarks.

    Its first round in a process begins with `begin`. Each step is a transaction of its own. Raises: DatabaseDown.
    """
    if _is_due(database, "begin", math.inf):
        begin(database)
    with database.farm_work() as session:
        calm_since = upkeep.take_lead(session, name=LEAD, holder=holder, term_s=LEAD_TERM_S)
    if calm_since is None:
        return Tended(leading=False)
    with database.farm_work() as session:
        reaped = reap(session, calm_since=calm_since)
    with database.farm_work() as session:
        promoted = promote(session)
    with database.farm_work() as session:
        rerouted = routing.step(session)
    moved = _move(database)
    with database.farm_work() as session:
        telling.tell_silences(session, calm_since=calm_since)
    with database.farm_work() as session:
        orders = upkeep.list_orders(session)
    for order in orders:
        with database.farm_work() as session:
            upkeep.advance_mark(session, pool_id=order.pool_id, class_id=order.class_id)
    expired = _prune(database) if _is_due(database, "prune", PRUNE_EVERY_S) else 0
    if reaped or promoted or moved or rerouted:
        waking.waker_of(database).wake()
    if reaped:
        _log.warning("%d leases of silent workers ended", reaped)
    return Tended(leading=True, reaped=reaped, promoted=promoted, expired=expired)


def resign(database: Database, *, holder: UUID = _holder) -> None:
    """Give up the lead at shutdown, so that the next process need not wait for the term's end."""
    with database.farm_work() as session:
        upkeep.resign(session, name=LEAD, holder=holder)


def begin(database: Database) -> bool:
    """Prepare the queue for a server's start: the defaults, and no lease if the database was restored from a copy.

    Safe at every start of every process. Returns whether it was restored. A restored database would hand out fences
    again that later leases had before the restore.
    """
    with database.farm_work() as session:
        pools.ensure_defaults(session)
        restored = upkeep.note_identity(session, upkeep.read_identity(session))
        if restored:
            ended = upkeep.lock_all_leases(session)
            _end_tries(session, ended, kind="restored", then=JobState.READY, cause=Cause.INFRA, avoid=False)
            _log.warning("this database is a restored copy: %d leases ended", len(ended))
    return restored


def reap(session: Session, *, calm_since: datetime.datetime, limit: int = upkeep.STEP_LIMIT) -> int:
    """End leases that ran out, and let their jobs be tried again or give them up; return how many.

    Nothing while the queue has not been calm for a lease's whole visibility: after an outage every lease looks silent.
    """
    silent = upkeep.lock_expired_leases(session, calm_since=calm_since, limit=limit)
    _end_tries(session, silent, kind="lease-expired", then=JobState.DELAYED, cause=Cause.CRASH)
    return len(silent)


def end_earlier_starts(session: Session, *, worker_id: UUID, incarnation: UUID) -> int:
    """End what earlier starts of a worker left behind.

    For when it asks for new work: until then a new start may take up what the earlier one had begun, since it is the
    same machine and knows the tokens.
    """
    left = upkeep.lock_leases_of_earlier_starts(session, worker_id=worker_id, incarnation=incarnation)
    _end_tries(session, left, kind="worker-restarted", then=JobState.DELAYED, cause=Cause.CRASH)
    return len(left)


def promote(session: Session, *, limit: int = upkeep.STEP_LIMIT) -> int:
    """Let jobs wait for a worker whose time has come; return how many."""
    due = upkeep.delete_due_delayed(session, limit=limit)
    let = let_in(session, due)
    endings.settle_ended(session, let.of_state(JobState.CANCELLED), JobState.CANCELLED)
    return len(due)


def expire(session: Session, *, limit: int = upkeep.STEP_LIMIT) -> int:
    """Give up jobs that nobody started in time; return how many."""
    late = [JobId(job_id) for job_id in upkeep.delete_expired(session, limit=limit)]
    upkeep.end_jobs(session, job_ids=late, state=JobState.EXPIRED)
    endings.settle_ended(session, late, JobState.EXPIRED)
    telling.tell_jobs(session, "job.expired", late)
    return len(late)


def rescue_strays(session: Session, *, limit: int = upkeep.STEP_LIMIT) -> int:
    """Give jobs that lie below their watermark a tag that claims look at; return how many (it should always be none)."""
    strays = upkeep.delete_strays(session, limit=limit)
    let_in(session, strays)
    return len(strays)


def _end_tries(
    session: Session, locked: Sequence[upkeep.Found], *, kind: str, then: JobState, cause: Cause, avoid: bool = True
) -> None:
    brought = Endings()
    for row in locked:
        word = "run-too-long" if row.past_deadline else kind
        error = {"kind": word, "message": _SENTENCES[word]}
        named = {"job_id": row.job_id, "fence": row.fence}
        tries.end_try(session, named, cause=cause, error=dict(error), then=then, brought=brought, avoid=avoid)
    brought.settle(session)


_SENTENCES = {
    "lease-expired": "the worker went silent, or made no progress",
    "run-too-long": "the run took longer than its pool allows",
    "worker-restarted": "the worker was started anew in the middle of it",
    "restored": "the database was restored from a copy",
}


def _move(database: Database) -> int:
    """Move what pauses and caps leave to be moved, for MOVING_S at most; return how many jobs that were."""
    until, moved = time.monotonic() + MOVING_S, 0
    while True:
        with database.farm_work() as session:
            step = holds.step(session)
        moved += step
        if step == 0 or time.monotonic() > until:
            return moved


def _is_due(database: Database, what: str, every_s: float) -> bool:
    with _due_lock:
        times = _done_at.setdefault(database, {})
        now = time.monotonic()
        if what in times and now - times[what] < every_s:
            return False
        times[what] = now
        return True


def _prune(database: Database) -> int:
    with database.farm_work() as session:
        expired = expire(session)
    with database.farm_work() as session:
        rescued = rescue_strays(session)
    with database.farm_work() as session:
        stranded = holds.rescue_stranded(session)
    with database.farm_work() as session:
        upkeep.prune_join_tokens(session)
        upkeep.prune_job_keys(session, kept_days=KEYS_KEPT_DAYS)
        upkeep.prune_flows(session)
        upkeep.prune_setbacks(session)
        telling.forget_unheard(session)
    if rescued:
        _log.error("%d jobs lay below their watermark and were rescued", rescued)
    if stranded:
        _log.error("%d jobs waited for one that had ended, and were let go", stranded)
    return expired
