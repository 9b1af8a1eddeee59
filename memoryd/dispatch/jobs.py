"""Jobs: how they enter the queue, how they stand, how they are cancelled, and how given-up ones are tried again."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

from memoryd.dispatch import chores, waking
from memoryd.dispatch.facts import Cancellation, DeadLetter, Enqueued, FollowUp, Place, Standing, Urgency
from memoryd.dispatch.pools import CLASS_IDS
from memoryd.dispatch.queries import fleet, leasing, upkeep
from memoryd.dispatch.states import ENDED, JobState
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable, NotFound
from memoryd.foundation.ids import GroupId, JobId, PersonId, PoolId, ProjectId, TenantId

MAX_ATTEMPTS = 2
"""Counted tries: a poisonous job takes a worker with each."""
EXPIRES_IN_S = 72 * 3600
COST_MS = 10_000
"""What a job is taken to cost where nothing is known: a picture in 20 steps on a card of today."""
COST_LIMIT_MS = 24 * 3600 * 1000
KEY_LIMIT = 200
"""Characters of an idempotency key."""


class JobNotFound(NotFound):
    """There is no such job."""


class KeyReused(Conflict):
    """This idempotency key was sent before, with something else."""


class BadJob(NotAcceptable):
    """A job cannot be asked for like this."""


class NotDead(Conflict):
    """This job is not among the dead letters."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobAsked:
    """A job to be queued. `model_set` is the name of the large model it needs, as the graph writes it, or empty.

    `cost_ms` is an estimate, charged against its tenant's share and put right when the job has ended.
    """

    job_id: JobId
    tenant_id: TenantId
    pool_id: PoolId
    urgency: Urgency = Urgency.STANDARD
    model_set: str = ""
    cost_ms: int = COST_MS
    key: str | None = None
    body_sha256: bytes = b""
    max_attempts: int = MAX_ATTEMPTS
    expires_in_s: float = EXPIRES_IN_S
    follow_up: FollowUp | None = None
    project_id: ProjectId | None = None
    person_id: PersonId | None = None
    group_id: GroupId | None = None
    after_job_id: JobId | None = None
    starts_after: datetime.datetime | None = None
    bigger_pools: tuple[PoolId, ...] = ()


def find_known(session: Session, *, tenant_id: TenantId, key: str, body_sha256: bytes) -> JobId | None:
    """Return the job that an idempotency key names already, or None.

    Raises: KeyReused where it was sent with another body.
    """
    row = leasing.find_job_key(session, tenant_id=tenant_id, key=key)
    if row is None:
        return None
    if row.body_sha256 != body_sha256:
        raise KeyReused(f"key {key[:80]!r}", hint="send a new key with a new request", job_id=str(row.job_id))
    return JobId(row.job_id)


def enqueue(session: Session, asked: JobAsked) -> Enqueued:
    """Put a job into the queue, as the last act of its transaction; say where it stands.

    Equal keys make one job: of two transactions with one key the second waits for the first and is answered `known`.
    Raises: KeyReused; BadJob.
    """
    if not 1 <= asked.cost_ms <= COST_LIMIT_MS or not 1 <= asked.max_attempts <= 10 or len(asked.key or "") > KEY_LIMIT:
        raise BadJob(
            "cost, attempts or key", hint=f"cost 1 to {COST_LIMIT_MS} ms, 1 to 10 attempts, key up to {KEY_LIMIT}"
        )
    class_id = CLASS_IDS[asked.urgency]
    if asked.key is not None and not leasing.insert_job_key(
        session, tenant_id=asked.tenant_id, key=asked.key, job_id=asked.job_id, body_sha256=asked.body_sha256
    ):
        known = find_known(session, tenant_id=asked.tenant_id, key=asked.key, body_sha256=asked.body_sha256)
        assert known is not None
        return Enqueued(job_id=known, known=True, place=find_place(session, known))
    leasing.lock_order_shared(session, asked.pool_id, class_id)
    vtag = leasing.insert_job(
        session,
        {
            "job_id": asked.job_id,
            "tenant_id": asked.tenant_id,
            "pool_id": asked.pool_id,
            "class_id": class_id,
            "model_set": asked.model_set,
            "cost_ms": asked.cost_ms,
            "max_attempts": asked.max_attempts,
            "follow_up": _follow_up(asked.follow_up),
            "expires_in_s": asked.expires_in_s,
        },
    )
    waking.wake_after_commit(session)
    place = _place(session, pool_id=asked.pool_id, class_id=class_id, vtag=vtag, job_id=asked.job_id)
    return Enqueued(job_id=asked.job_id, known=False, place=place)


def find_place(session: Session, job_id: JobId) -> Place:
    """Return a job's place in the queue; zero ahead for one that no longer waits. Raises: JobNotFound."""
    row = upkeep.find_place(session, job_id=job_id)
    if row is None:
        raise _not_found(job_id)
    if row.state != JobState.READY:
        return Place(ahead=0, starts_in_s=0.0 if row.state == JobState.LEASED else None)
    return _place(session, pool_id=PoolId(row.pool_id), class_id=row.class_id, vtag=row.vtag, job_id=job_id)


def find_standing(session: Session, job_id: JobId, *, tenant_id: TenantId | None = None) -> Standing:
    """Return how a job stands now. Raises: JobNotFound, also for another tenant's."""
    for standing in list_standings(session, [job_id]):
        if tenant_id is None or standing.tenant_id == tenant_id:
            return standing
    raise _not_found(job_id)


def list_standings(session: Session, job_ids: Sequence[JobId]) -> list[Standing]:
    """Return how these jobs stand now, newest first; those that are not there are left out."""
    return [
        Standing(
            job_id=JobId(row.job_id),
            tenant_id=TenantId(row.tenant_id),
            pool=row.pool,
            urgency=Urgency(row.urgency),
            state=JobState(row.state),
            attempt=row.attempt,
            max_attempts=row.max_attempts,
            cancel_requested=row.cancel_requested,
            failures=_failures(row.failures),
            created_at=row.created_at,
            ended_at=row.ended_at,
            worker=row.worker,
            leased_at=row.leased_at,
            progress=row.progress,
            phase=row.phase,
            node=row.node,
        )
        for row in fleet.list_standings(session, job_ids=list(job_ids))
    ]


def cancel(session: Session, job_id: JobId, *, tenant_id: TenantId) -> Cancellation:
    """Cancel a job: at once where it waits, by its worker's next heartbeat where it runs.

    Lock order as everywhere, waiting row before job, so that it cannot deadlock with a claim. Raises: JobNotFound.
    """
    row = upkeep.find_place(session, job_id=job_id)
    if row is None or row.tenant_id != tenant_id:
        raise _not_found(job_id)
    if row.state in ENDED:
        return Cancellation.ENDED
    taken = upkeep.delete_waiting(
        session, job_id=job_id, pool_id=row.pool_id, class_id=row.class_id, vtag=row.vtag
    ) or upkeep.delete_delayed(session, job_id=job_id)
    waking.wake_after_commit(session)
    if taken:
        upkeep.end_waiting_job(session, job_id=job_id, state=JobState.CANCELLED)
        chores.follow_up(session, job_id)
        return Cancellation.CANCELLED
    # Running, or just moving between two places: whoever has it in hand finds the wish.
    if not upkeep.request_cancel(session, job_id=job_id):
        return Cancellation.ENDED
    waking.cancel_after_commit(session, job_id)
    return Cancellation.REQUESTED


def list_dead(session: Session, *, tenant_id: TenantId, before: JobId | None, limit: int) -> list[DeadLetter]:
    """Return a tenant's given-up jobs, newest first, before a job's id."""
    return [
        DeadLetter(job_id=JobId(row.job_id), reason=row.reason, at=row.at, failures=_failures(row.failures))
        for row in fleet.list_dead(session, tenant_id=tenant_id, before=before, limit=limit)
    ]


def replay(session: Session, job_id: JobId, *, tenant_id: TenantId) -> Place:
    """Let a given-up job be tried again with a new budget of tries: the same job, a new fence. Raises: NotDead."""
    row = upkeep.find_place(session, job_id=job_id)
    if row is None or not fleet.delete_dead(session, tenant_id=tenant_id, job_id=job_id):
        raise NotDead(f"job {job_id}", hint="`memoryd jobs dead` lists those that were given up")
    leasing.lock_order_shared(session, row.pool_id, row.class_id)
    leasing.requeue_job(session, job_id=job_id, pool_id=row.pool_id, class_id=row.class_id, fresh_budget=True)
    waking.wake_after_commit(session)
    return find_place(session, job_id)


def _follow_up(asked: FollowUp | None) -> dict[str, Json] | None:
    if asked is None:
        return None
    return {"kind": asked.kind, "recipe": asked.recipe, "subject": str(asked.subject)}


def _place(session: Session, *, pool_id: PoolId, class_id: int, vtag: int, job_id: JobId) -> Place:
    ahead = leasing.count_ahead(session, pool_id=pool_id, class_id=class_id, vtag=vtag, job_id=job_id)
    starts_in = round(ahead.cost_ms / ahead.workers / 1000, 1) if ahead.workers else None
    return Place(ahead=ahead.jobs, starts_in_s=starts_in)


def _not_found(job_id: JobId) -> JobNotFound:
    return JobNotFound(f"job {job_id}", hint="`memoryd jobs list` shows yours")


def _failures(stored: Sequence[dict[str, Json]]) -> tuple[dict[str, Json], ...]:
    # The token's hash is there to recognise a report that is sent twice; nobody needs to see it.
    return tuple({name: value for name, value in failure.items() if name != "token_hash"} for failure in stored)
