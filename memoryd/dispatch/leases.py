"""Leases: the right to do a job, from the claim to its end (INV-4).

Every call names job, fence and token, and the statement that changes a row compares all of them: a worker that comes
late changes nothing. Claims and completions commit durably (synchronous_commit stays on): a claim that a crash forgets
would let the same fence be handed out twice.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Mapping, Sequence

from memoryd.dispatch import chores, waking
from memoryd.dispatch.facts import Cause, Completion, Grant, LeaseKey, SignOfLife, WorkerIdentity, WorkerState
from memoryd.dispatch.queries import fleet, leasing, upkeep
from memoryd.dispatch.states import ENDED, JobState
from memoryd.dispatch.wire import LeaseState
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import JobId, PoolId, TenantId, WorkerId
from memoryd.foundation.texts import storable

INFRA_ATTEMPTS_LIMIT = 10
"""Uncounted tries: a farm that lacks a model must not hand a job round for ever."""
RELEASES_AT_ONCE = 2
"""After so many uncounted tries a job that is given back waits a while, as a failed one does."""
BACKOFF_DOUBLINGS = 6
ERROR_TEXT_LIMIT = 8_000
"""Characters of an error that are kept."""
PHASE_LIMIT = 200
CANDIDATE_LIMIT = 20
"""Cancelled jobs that one claim clears away before it answers that there is nothing."""


class LeaseLost(Conflict):
    """The lease is another worker's, or nobody's."""


def token_hash(token: str) -> bytes:
    """Return the SHA-256 by which a lease's token is stored (32 bytes)."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def claim(session: Session, worker: WorkerIdentity, *, loaded: Sequence[str]) -> Grant | None:
    """Return the next job for this worker under a fresh lease, or None.

    Between classes: the one whose head has waited longest, its age offset included. Within: the fair order, except that
    a job whose model is in `loaded` may jump ahead by the pool's bonus. The order is exact but for rows that another
    claim has locked at this moment.
    """
    if worker.state != WorkerState.ACTIVE or worker.incarnation is None:
        return None
    alone = fleet.count_other_workers(session, pool_ids=worker.pool_ids, worker_id=worker.worker_id) == 0
    asks: dict[str, object] = {
        "worker_id": worker.worker_id,
        "pool_ids": list(worker.pool_ids),
        "serves": list(worker.serves),
        "alone": alone,
    }
    for _ in range(CANDIDATE_LIMIT):
        picked = _pick(session, asks, loaded)
        if picked is None:
            return None
        leasing.delete_ready(session, **picked)
        grant = _lease(session, worker, JobId(picked["job_id"]))
        if grant is not None:
            return grant
        # Somebody cancelled it while we had it in hand.
        upkeep.end_waiting_job(session, job_id=picked["job_id"], state=JobState.CANCELLED)
        chores.follow_up(session, JobId(picked["job_id"]))
    return None


def _pick(session: Session, asks: Mapping[str, object], loaded: Sequence[str]) -> leasing.Picked | None:
    for head in leasing.list_heads(session, asks):
        here = {**asks, "pool_id": head.pool_id, "class_id": head.class_id, "low": head.low}
        cold = leasing.lock_cold(session, here)
        if cold is None:
            continue
        picked = cold
        if loaded and cold.model_set and cold.model_set not in loaded:
            warmth = {**here, "loaded": list(loaded), "cold_vtag": cold.vtag, "bonus": head.bonus}
            picked = leasing.lock_warm(session, warmth) or cold
        return {"pool_id": head.pool_id, "class_id": head.class_id, "vtag": picked.vtag, "job_id": picked.job_id}
    return None


def _lease(session: Session, worker: WorkerIdentity, job_id: JobId) -> Grant | None:
    token = secrets.token_urlsafe(24)
    assert worker.incarnation is not None
    row = leasing.insert_lease(
        session,
        job_id=job_id,
        token_hash=token_hash(token),
        worker_id=worker.worker_id,
        incarnation=worker.incarnation,
    )
    if row is None:
        return None
    return Grant(
        job_id=job_id,
        tenant_id=TenantId(row.tenant_id),
        pool_id=PoolId(row.pool_id),
        model_set=row.model_set,
        fence=row.fence,
        token=token,
        attempt=row.attempt,
        lease_s=row.visibility_s,
        deadline_s=row.max_run_time_s,
    )


def heartbeat(session: Session, worker: WorkerIdentity, signs: Sequence[SignOfLife]) -> dict[JobId, LeaseState]:
    """Extend this worker's leases; say of each whether to go on, to cancel, or that it is lost."""
    answers: dict[JobId, LeaseState] = {}
    # One order for all: two calls with the same leases must not wait for each other in a circle.
    for sign in sorted(signs, key=lambda sign: sign.lease.job_id):
        cancel = leasing.extend_lease(
            session,
            {
                **_named(sign.lease, worker.worker_id),
                "progress": sign.progress,
                "phase": storable(sign.phase)[0][:PHASE_LIMIT],
                "node": storable(sign.node)[0][:PHASE_LIMIT] if sign.node is not None else None,
            },
        )
        answers[sign.lease.job_id] = (
            LeaseState.LOST if cancel is None else LeaseState.CANCEL if cancel else LeaseState.OK
        )
    fleet.touch_worker(session, worker_id=worker.worker_id)
    return answers


def tenant_of(session: Session, worker: WorkerIdentity, lease: LeaseKey) -> TenantId:
    """Return whose job a live lease is for. Raises: LeaseLost."""
    row = leasing.find_lease(session, _named(lease, worker.worker_id))
    if row is None:
        raise lost(lease)
    return TenantId(row.tenant_id)


def complete(session: Session, worker: WorkerIdentity, lease: LeaseKey, *, cancelled: bool = False) -> Completion:
    """End a run that came to its end, as the last act of the transaction that records what it made (INV-4).

    DUPLICATE and STALE changed nothing: the caller must roll back what it recorded.
    """
    ended = leasing.delete_lease(session, _named(lease, worker.worker_id))
    if ended is None:
        return _late(session, lease)
    state = JobState.CANCELLED if cancelled else JobState.SUCCEEDED
    job = leasing.end_job(session, job_id=lease.job_id, state=state)
    leasing.insert_result(
        session,
        job_id=lease.job_id,
        fence=lease.fence,
        token_hash=token_hash(lease.token),
        outcome=state,
        worker_id=worker.worker_id,
    )
    leasing.correct_flow(session, job=job, leased_at=ended.leased_at)
    chores.follow_up(session, lease.job_id)
    waking.wake_after_commit(session)
    return Completion.RECORDED


def standing_of_report(session: Session, worker: WorkerIdentity, lease: LeaseKey) -> Completion:
    """Say what a report would be answered now, changing nothing: worth asking before large files are moved."""
    held = leasing.find_lease(session, _named(lease, worker.worker_id))
    return Completion.RECORDED if held is not None else _late(session, lease)


def fail(
    session: Session, worker: WorkerIdentity, lease: LeaseKey, *, cause: Cause, error: Mapping[str, Json]
) -> Completion:
    """End a run that failed: it is tried again after a while, or given up when its tries are used up."""
    ended = leasing.delete_lease(session, _named(lease, worker.worker_id))
    if ended is None:
        return _late(session, lease)
    end_try(session, ended, cause=cause, error=error, then=JobState.DELAYED, reported_with=token_hash(lease.token))
    waking.wake_after_commit(session)
    return Completion.RECORDED


def release(
    session: Session, worker: WorkerIdentity, lease: LeaseKey, *, reason: str, counts: bool = False
) -> Completion:
    """Give a job back unrun: it waits again under its old tag, and its try is not counted unless `counts`."""
    ended = leasing.delete_lease(session, _named(lease, worker.worker_id))
    if ended is None:
        return _late(session, lease)
    cause = Cause.CRASH if counts else Cause.INFRA
    error: dict[str, Json] = {"kind": "released", "message": reason}
    end_try(session, ended, cause=cause, error=error, then=JobState.READY, reported_with=token_hash(lease.token))
    waking.wake_after_commit(session)
    return Completion.RECORDED


def end_try(
    session: Session,
    ended: leasing.Found,
    *,
    cause: Cause,
    error: Mapping[str, Json],
    then: JobState,
    reported_with: bytes | None,
    avoid: bool = True,
) -> JobState:
    """Decide what comes after a try that made nothing, for a lease that was just deleted; return the job's new state.

    `reported_with` is the token's hash where the worker itself reported the end: its report, sent again, is a duplicate.
    `avoid`: another worker tries next, where there is one.
    """
    kept = {name: storable(value)[0][:ERROR_TEXT_LIMIT] for name, value in error.items() if isinstance(value, str)}
    row = leasing.end_try(
        session,
        {
            "job_id": ended.job_id,
            "worker_id": ended.worker_id,
            "failure": {
                "fence": ended.fence,
                "worker": str(ended.worker_id),
                "cause": cause.value,
                "error": kept,
                "token_hash": reported_with.hex() if reported_with else None,
            },
            "avoid": avoid,
            "counts": cause is not Cause.INFRA,
            "infra_limit": INFRA_ATTEMPTS_LIMIT,
            "patience": RELEASES_AT_ONCE,
            "then": then.value,
        },
    )
    state = JobState(row.state)
    if state is JobState.DELAYED:
        tries = max(0, row.attempt + row.infra_attempts - 1)
        longest = row.backoff_s * 2 ** min(tries, BACKOFF_DOUBLINGS)
        # Full jitter: jobs that failed together do not come back together.
        leasing.insert_delayed(session, job_id=ended.job_id, wait_s=random.uniform(0, longest))  # noqa: S311
    elif state is JobState.DEAD:
        reason = str(kept.get("message") or kept.get("kind") or cause.value)
        leasing.insert_dead(session, job_id=ended.job_id, tenant_id=row.tenant_id, reason=reason)
    elif state is JobState.READY:
        leasing.lock_order_shared(session, row.pool_id, row.class_id)
        leasing.requeue_job(
            session, job_id=ended.job_id, pool_id=row.pool_id, class_id=row.class_id, fresh_budget=False
        )
    if state in ENDED:
        chores.follow_up(session, JobId(ended.job_id))
    return state


def lost(lease: LeaseKey) -> LeaseLost:
    """Return the error that tells a worker that its lease is gone."""
    return LeaseLost(
        f"job {lease.job_id} under fence {lease.fence}", hint="drop what was made; the job is done or another's now"
    )


def _late(session: Session, lease: LeaseKey) -> Completion:
    same = leasing.find_result(session, job_id=lease.job_id, fence=lease.fence, token_hash=token_hash(lease.token))
    return Completion.DUPLICATE if same else Completion.STALE


def _named(lease: LeaseKey, worker_id: WorkerId) -> dict[str, object]:
    return {
        "job_id": lease.job_id,
        "fence": lease.fence,
        "token_hash": token_hash(lease.token),
        "worker_id": worker_id,
    }
