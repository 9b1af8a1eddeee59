"""Leases: the right to do a job, from the claim to its end (INV-4).

Every call names job, fence and token, and the statement that changes a row compares all of them: a worker that comes
late changes nothing. Claims and completions commit durably (synchronous_commit stays on): a claim that a crash forgets
would let the same fence be handed out twice.
"""

from __future__ import annotations

import enum
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.dispatch import caps, endings, telling, tries, waking
from memoryd.dispatch.endings import Endings
from memoryd.dispatch.entering import Charge
from memoryd.dispatch.facts import Cause, Completion, Grant, LeaseKey, SignOfLife, WorkerIdentity, WorkerState
from memoryd.dispatch.queries import claiming, ending, leasing, upkeep
from memoryd.dispatch.states import JobState
from memoryd.dispatch.wire import LeaseState
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import JobId, PoolId, TenantId, WorkerId
from memoryd.foundation.texts import storable

PHASE_LIMIT = 200
CANDIDATE_LIMIT = 200
"""Jobs that were cancelled or are held back which one claim clears away before it answers that there is nothing."""


class LeaseLost(Conflict):
    """The lease is another worker's, or nobody's."""


def token_hash(token: str) -> bytes:
    """Return the SHA-256 by which a lease's token is stored (32 bytes)."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def claim(session: Session, worker: WorkerIdentity, *, loaded: Sequence[str]) -> Grant | None:
    """Return the next job for this worker under a fresh lease, or None; also None where it is not active in this start.

    Between pools: by rank, then by memory. Between classes: the one whose head has waited longest, its age offset
    included. Within: the fair order, except that a job whose model is in `loaded` may jump ahead by the pool's bonus. The
    order is exact but for rows that another claim has locked at this moment. One statement, unless something may hold
    the picked job back (a cap, a pause).
    """
    if worker.state != WorkerState.ACTIVE or worker.incarnation is None:
        return None
    pool_ids = list(worker.pool_ids)
    for _ in range(CANDIDATE_LIMIT):
        token = secrets.token_urlsafe(24)
        asks: dict[str, object] = {
            "worker_id": worker.worker_id,
            "incarnation": worker.incarnation,
            "token_hash": token_hash(token),
        }
        picked = claiming.claim(session, {**asks, "pool_ids": pool_ids}, serves=worker.serves, loaded=loaded)
        if picked is None:
            return None
        if picked.blocked:
            let = caps.let_through(session, picked)
            if let is caps.Let.POOL_FULL:
                pool_ids.remove(picked.pool_id)
                continue
            if let is caps.Let.HELD:
                continue
            keys = ("pool_id", "class_id", "low", "vtag", "job_id")
            picked = claiming.claim_picked(session, {**asks, **{key: getattr(picked, key) for key in keys}})
            assert picked is not None
        if picked.fence is not None:
            return _grant(picked, token)
        # Somebody cancelled it while we had it in hand.
        upkeep.end_jobs(session, job_ids=[picked.job_id], state=JobState.CANCELLED)
        endings.settle_ended(session, [JobId(picked.job_id)], JobState.CANCELLED)
        telling.tell_jobs(session, "job.cancelled", [JobId(picked.job_id)])
    return None


class Alone(enum.Enum):
    """Why a claim among others came to nothing that counts."""

    ASK_ALONE = "ask-alone"
    """Something is to be looked at that needs a transaction of its own."""


def claim_each(session: Session, asks: Sequence[tuple[WorkerIdentity, Sequence[str]]]) -> list[Grant | Alone | None]:
    """As claim, for workers that ask at the same time, each with what it has loaded, one after the other.

    ASK_ALONE: what this worker would get is held back, or is being changed by somebody else: it is left alone, and to be
    asked for anew when this transaction has ended.
    """
    tokens = [secrets.token_urlsafe(24) for _ in asks]
    rows = claiming.claim_each(
        session,
        [
            {
                "worker_id": str(worker.worker_id),
                "incarnation": str(worker.incarnation),
                # Where it is not active there is nothing for it in any pool.
                "pool_ids": [str(one) for one in worker.pool_ids] if worker.state == WorkerState.ACTIVE else [],
                "serves": [str(one) for one in worker.serves],
                "loaded": list(loaded),
                "token_hash": token_hash(token).hex(),
            }
            for (worker, loaded), token in zip(asks, tokens, strict=True)
        ],
    )
    found: list[Grant | Alone | None] = [None] * len(asks)
    for row in rows:
        found[row.n] = Alone.ASK_ALONE if row.blocked or row.busy else _grant(row, tokens[row.n])
    return found


def _grant(row: claiming.Found, token: str) -> Grant:
    return Grant(
        job_id=JobId(row.job_id),
        tenant_id=TenantId(row.tenant_id),
        pool_id=PoolId(row.pool_id),
        model_set=row.model_set,
        fence=row.fence,
        token=token,
        attempt=row.attempt,
        lease_s=row.lease_s,
        deadline_s=row.deadline_s,
    )


def heartbeat(session: Session, worker: WorkerIdentity, signs: Sequence[SignOfLife]) -> dict[JobId, LeaseState]:
    """Extend this worker's leases; say of each whether to go on, to cancel, or that it is lost.

    That the worker lives is noted by `workers.touch`, which the same transaction begins with.
    """
    answers: dict[JobId, LeaseState] = {}
    started: list[JobId] = []
    # One order for all: two calls with the same leases must not wait for each other in a circle.
    for sign in sorted(signs, key=lambda sign: sign.lease.job_id):
        found = leasing.extend_lease(
            session,
            {
                **_named(sign.lease, worker.worker_id),
                "progress": sign.progress,
                "phase": storable(sign.phase)[0][:PHASE_LIMIT],
                "node": storable(sign.node)[0][:PHASE_LIMIT] if sign.node is not None else None,
            },
        )
        if found is not None and found.first:
            started.append(sign.lease.job_id)
        answers[sign.lease.job_id] = (
            LeaseState.LOST if found is None else LeaseState.CANCEL if found.cancel else LeaseState.OK
        )
    telling.tell_jobs(session, "job.started", started)
    return answers


def tenant_of(session: Session, worker: WorkerIdentity, lease: LeaseKey) -> TenantId:
    """Return whose job a live lease is for. Raises: LeaseLost."""
    found = find_tenant(session, worker, lease)
    if found is None:
        raise lost(lease)
    return found


def find_tenant(session: Session, worker: WorkerIdentity, lease: LeaseKey) -> TenantId | None:
    """Return whose job a live lease is for, or None where there is no such lease."""
    row = leasing.find_lease(session, _named(lease, worker.worker_id))
    return TenantId(row.tenant_id) if row is not None else None


def complete(session: Session, worker: WorkerIdentity, lease: LeaseKey, *, cancelled: bool = False) -> Completion:
    """End a run that came to its end, as the last act of the transaction that records what it made (INV-4).

    DUPLICATE and STALE changed nothing: the caller must roll back what it recorded.
    """
    state = JobState.CANCELLED if cancelled else JobState.SUCCEEDED
    done = ending.complete(session, {**_named(lease, worker.worker_id), "state": state.value})
    if done is None:
        return late(session, lease)
    _settle_end(session, done, state)
    return Completion.RECORDED


def complete_and_claim(
    session: Session,
    worker: WorkerIdentity,
    lease: LeaseKey,
    *,
    incarnation: UUID,
    loaded: Sequence[str],
    cancelled: bool = False,
) -> tuple[Completion, Grant | None]:
    """As complete, and the worker's next job under a fresh lease by the same commit, as claim picks it.

    None says nothing of whether work waits: where something holds the job back (a cap, a pause), where somebody else is at
    it, where this end lets others enter, or an earlier start of the worker left something over, it asks for itself. A job
    that another transaction holds is never waited for: this one has ended a job, and its flow is locked.
    """
    state = JobState.CANCELLED if cancelled else JobState.SUCCEEDED
    token = secrets.token_urlsafe(24)
    values = {
        **_named(lease, worker.worker_id),
        "state": state.value,
        "incarnation": incarnation,
        "next_token_hash": token_hash(token),
    }
    done = ending.complete_and_claim(session, values, loaded=loaded)
    if done is None:
        return late(session, lease), None
    _settle_end(session, done, state)
    return Completion.RECORDED, _brought(done, token) if done.next_job_id is not None else None


def _brought(done: ending.Found, token: str) -> Grant:
    return Grant(
        job_id=JobId(done.next_job_id),
        tenant_id=TenantId(done.next_tenant_id),
        pool_id=PoolId(done.next_pool_id),
        model_set=done.next_model_set,
        fence=done.next_fence,
        token=token,
        attempt=done.next_attempt,
        lease_s=done.next_lease_s,
        deadline_s=done.next_deadline_s,
    )


def _settle_end(session: Session, done: ending.Found, state: JobState) -> None:
    assert done.id is not None, "a leased job was not in state leased"
    if done.brings or done.followed or done.capped:
        brought = Endings()
        brought.note(done, state)
        if done.capped:
            brought.freed.append(done)
        if done.followed or done.capped:
            brought.charges.append(_charge(done))
        brought.settle(session)
        # An end that brings nothing lets nobody do what they could not do before.
        waking.wake_after_commit(session)


def _charge(done: ending.Found) -> Charge:
    return Charge(
        pool_id=done.pool_id,
        class_id=done.class_id,
        tenant_id=done.tenant_id,
        project_id=done.project_id,
        over_ms=done.over_ms,
    )


def fail(
    session: Session,
    worker: WorkerIdentity,
    lease: LeaseKey,
    *,
    cause: Cause,
    error: Mapping[str, Json],
    move: bool = False,
) -> Completion:
    """End a run that failed: it is tried again after a while, or given up when its tries are used up.

    `move`: the card's memory did not suffice. The job goes to the first of its bigger pools, uncounted; where it has none
    the try counts.
    """
    brought = Endings()
    state = tries.end_try(
        session,
        _named(lease, worker.worker_id),
        cause=cause,
        error=error,
        then=JobState.DELAYED,
        brought=brought,
        moves=move,
    )
    return _settled(session, lease, state, brought)


def release(
    session: Session,
    worker: WorkerIdentity,
    lease: LeaseKey,
    *,
    reason: str,
    counts: bool = False,
    kind: str = "released",
) -> Completion:
    """Give a job back unrun: it waits again under its old tag, and its try is not counted unless `counts`."""
    brought = Endings()
    state = tries.end_try(
        session,
        _named(lease, worker.worker_id),
        cause=Cause.CRASH if counts else Cause.INFRA,
        error={"kind": kind, "message": reason},
        then=JobState.READY,
        brought=brought,
    )
    return _settled(session, lease, state, brought)


def _settled(session: Session, lease: LeaseKey, state: JobState | None, brought: Endings) -> Completion:
    if state is None:
        return late(session, lease)
    brought.settle(session)
    waking.wake_after_commit(session)
    return Completion.RECORDED


def lost(lease: LeaseKey) -> LeaseLost:
    """Return the error that tells a worker that its lease is gone."""
    return LeaseLost(
        f"job {lease.job_id} under fence {lease.fence}", hint="drop what was made; the job is done or another's now"
    )


def late(session: Session, lease: LeaseKey) -> Completion:
    """Say what a report is answered whose lease there is no more: DUPLICATE or STALE. Nothing is changed."""
    same = ending.find_result(session, job_id=lease.job_id, fence=lease.fence, token_hash=token_hash(lease.token))
    return Completion.DUPLICATE if same else Completion.STALE


def _named(lease: LeaseKey, worker_id: WorkerId) -> dict[str, object]:
    return {
        "job_id": lease.job_id,
        "fence": lease.fence,
        "token_hash": token_hash(lease.token),
        "worker_id": worker_id,
    }
