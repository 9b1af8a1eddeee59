"""Jobs: how they enter the queue, how they stand, how they are cancelled, and how given-up ones are tried again."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from uuid import UUID

from memoryd.dispatch import endings, routing, telling, waking
from memoryd.dispatch.entering import let_in
from memoryd.dispatch.facts import Cancellation, Enqueued, FollowUp, Place, Route, Standing, Urgency
from memoryd.dispatch.pools import CLASS_IDS
from memoryd.dispatch.queries import entering, fleet, upkeep
from memoryd.dispatch.states import ENDED, WAITING, HeldBy, JobState
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
STARTS_AFTER_LIMIT = datetime.timedelta(days=366)
ENQUEUED_AT_ONCE_LIMIT = 1_000
"""Jobs of one transaction: what other claims of the same flow wait for."""
CANCEL_LOOKS = 3
"""How often a cancel looks for a job that is just moving from one place to another."""


class JobNotFound(NotFound):
    """There is no such job."""


class KeyReused(Conflict):
    """This idempotency key was sent before, with something else."""


class BadJob(NotAcceptable):
    """A job cannot be asked for like this."""


class GroupCancelled(Conflict):
    """This group was cancelled."""


class NoSuchWorker(NotFound):
    """There is no worker that may run this job."""


class PredecessorEnded(Conflict):
    """The job that this one is to follow has ended without success."""


NO_PLACE = Place(ahead=0, starts_in_s=None)
"""Of a job that is not in the order."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobAsked:
    """A job to be queued. `model_set` is the name of the large model it needs, as the graph writes it, or empty.

    `cost_ms` is an estimate, charged against its project's share and put right when the job has ended. `after_job_id`: not
    before that job of the same tenant has succeeded; if it ends otherwise, this one is cancelled. `starts_after`: not
    before then; its time to live counts from then. `bigger_pools`: where it goes, in order, when a card's memory does not
    suffice. `approval_id`: not while that approval is awaited (approvals.begin). `route`: the workers it is meant for;
    `pool_id` is where it goes when they are not there.
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
    route: Route | None = None
    approval_id: UUID | None = None


def find_known(session: Session, *, tenant_id: TenantId, key: str, body_sha256: bytes) -> JobId | None:
    """Return the job that an idempotency key names already, or None.

    Raises: KeyReused where it was sent with another body.
    """
    row = entering.find_job_key(session, tenant_id=tenant_id, key=key)
    if row is None:
        return None
    if row.body_sha256 != body_sha256:
        raise KeyReused(f"key {key[:80]!r}", hint="send a new key with a new request", job_id=str(row.job_id))
    return JobId(row.job_id)


def enqueue(session: Session, asked: JobAsked, *, placed: bool = True) -> Enqueued:
    """Put a job into the queue, as the last act of its transaction; say where it stands, unless not `placed`.

    Equal keys make one job: of two transactions with one key the second waits for the first and is answered `known`.
    Raises: KeyReused; BadJob; JobNotFound, PredecessorEnded for what it is to follow.
    """
    if any((asked.group_id, asked.after_job_id, asked.starts_after, asked.approval_id)):
        [enqueued] = enqueue_many(session, [asked], placed=placed)
        return enqueued
    _check(asked)
    known = _known(session, asked, placed=placed)
    if known is not None:
        return known
    asked = routed(session, asked)
    class_id = CLASS_IDS[asked.urgency]
    entering.lock_order_shared(session, asked.pool_id, class_id)
    row = entering.insert_job(
        session,
        {
            "job_id": asked.job_id,
            "tenant_id": asked.tenant_id,
            "project_id": asked.project_id,
            "person_id": asked.person_id,
            "pool_id": asked.pool_id,
            "class_id": class_id,
            "model_set": asked.model_set,
            "cost_ms": asked.cost_ms,
            "max_attempts": asked.max_attempts,
            "follow_up": _follow_up(asked.follow_up),
            "bigger_pools": list(asked.bigger_pools),
            "expires_in_s": asked.expires_in_s,
        },
    )
    if row.state == JobState.HELD:
        telling.tell_jobs(session, "job.held", [asked.job_id], held_by=HeldBy.PROJECT.value)
    waking.wake_after_commit(session)
    return _enqueued(session, asked, state=JobState(row.state), vtag=row.vtag, placed=placed)


def enqueue_many(session: Session, asked: Sequence[JobAsked], *, placed: bool = False) -> list[Enqueued]:
    """Put jobs into the queue, ENQUEUED_AT_ONCE_LIMIT at most, in the order given; say where each stands.

    Set-based: for the items of a group. A job may follow another of the same call. Raises: as enqueue.
    """
    if len(asked) > ENQUEUED_AT_ONCE_LIMIT:
        raise BadJob(f"{len(asked)} jobs at once", hint=f"at most {ENQUEUED_AT_ONCE_LIMIT} (ENQUEUED_AT_ONCE_LIMIT)")
    for one in asked:
        _check(one)
    known: dict[JobId, Enqueued] = {}
    for one in asked:
        found = _known(session, one, placed=placed)
        if found is not None:
            known[one.job_id] = found
    new = [one for one in asked if one.job_id not in known]
    if not new:
        return [known[one.job_id] for one in asked]
    _follow(session, new)
    groups = {one.group_id for one in new if one.group_id is not None}
    for row in entering.lock_groups(session, group_ids=sorted(groups)) if groups else ():
        if row.cancelled_at is not None:
            raise GroupCancelled(f"group {row.id}", hint="`memoryd groups retry` lets what is missing run after all")
    new = [routed(session, one) for one in new]
    entering.insert_jobs(session, [_row(one) for one in new])
    inner = {one.after_job_id for one in new if one.after_job_id} & {one.job_id for one in new}
    if inner:
        entering.lock_followed(session, job_ids=sorted(inner))
    let = let_in(session, [one.job_id for one in new], new=True)
    waking.wake_after_commit(session)
    return [
        known.get(one.job_id)
        or _enqueued(session, one, state=let.states[one.job_id], vtag=let.vtags.get(one.job_id, 0), placed=placed)
        for one in asked
    ]


def routed(session: Session, asked: JobAsked) -> JobAsked:
    """Return a job as it enters: in the private pool of the first of its workers that is there, where it has a route."""
    if asked.route is None:
        return asked
    pool_id = routing.begin(
        session, asked.route, job_id=asked.job_id, tenant_id=asked.tenant_id, asked_pool_id=asked.pool_id
    )
    if asked.route.only and pool_id is None:
        raise NoSuchWorker(
            "none of the workers that alone may run this job serves this studio",
            hint="`memoryd workers list` shows them",
        )
    return asked if pool_id is None else dataclasses.replace(asked, pool_id=pool_id)


def _check(asked: JobAsked) -> None:
    if not 1 <= asked.cost_ms <= COST_LIMIT_MS or not 1 <= asked.max_attempts <= 10 or len(asked.key or "") > KEY_LIMIT:
        raise BadJob(
            "cost, attempts or key", hint=f"cost 1 to {COST_LIMIT_MS} ms, 1 to 10 attempts, key up to {KEY_LIMIT}"
        )
    if asked.starts_after is not None and (
        asked.starts_after.tzinfo is None
        or asked.starts_after > datetime.datetime.now(datetime.UTC) + STARTS_AFTER_LIMIT
    ):
        raise BadJob(f"starts_after {asked.starts_after}", hint="a time with its zone, within a year from now")
    if asked.after_job_id == asked.job_id:
        raise BadJob("a job that follows itself", hint="name another job")


def _known(session: Session, asked: JobAsked, *, placed: bool) -> Enqueued | None:
    """Take a job's key, or return the job that has it."""
    if asked.key is None or entering.insert_job_key(
        session, tenant_id=asked.tenant_id, key=asked.key, job_id=asked.job_id, body_sha256=asked.body_sha256
    ):
        return None
    known = find_known(session, tenant_id=asked.tenant_id, key=asked.key, body_sha256=asked.body_sha256)
    assert known is not None
    row = upkeep.find_place(session, job_id=known)
    assert row is not None
    place = find_place(session, known) if placed else NO_PLACE
    return Enqueued(job_id=known, known=True, place=place, state=JobState(row.state), vtag=row.vtag)


def _follow(session: Session, asked: Sequence[JobAsked]) -> None:
    """Note at the jobs that others follow that they are followed, which keeps them from ending until commit."""
    own = {one.job_id for one in asked}
    outer = {one.after_job_id: one.tenant_id for one in asked if one.after_job_id and one.after_job_id not in own}
    found = {row.id: row for row in entering.lock_followed(session, job_ids=sorted(outer))} if outer else {}
    for job_id, tenant_id in outer.items():
        row = found.get(job_id)
        if row is None or row.tenant_id != tenant_id:
            raise _not_found(job_id)
        if row.state in ENDED and row.state != JobState.SUCCEEDED:
            raise PredecessorEnded(f"job {job_id} is {row.state}", hint="retry it first, or send the job without it")


def _row(asked: JobAsked) -> dict[str, object]:
    return {
        "id": str(asked.job_id),
        "tenant_id": str(asked.tenant_id),
        "project_id": _text(asked.project_id),
        "person_id": _text(asked.person_id),
        "pool_id": str(asked.pool_id),
        "class_id": CLASS_IDS[asked.urgency],
        "model_set": asked.model_set,
        "cost_ms": asked.cost_ms,
        "max_attempts": asked.max_attempts,
        "follow_up": _follow_up(asked.follow_up),
        "bigger_pools": [str(pool_id) for pool_id in asked.bigger_pools],
        "group_id": _text(asked.group_id),
        "after_job_id": _text(asked.after_job_id),
        "approval_id": _text(asked.approval_id),
        "starts_after": asked.starts_after.isoformat() if asked.starts_after else None,
        "expires_in_s": asked.expires_in_s,
    }


def _text(id_: UUID | None) -> str | None:
    return str(id_) if id_ is not None else None


def _enqueued(session: Session, asked: JobAsked, *, state: JobState, vtag: int, placed: bool) -> Enqueued:
    place = NO_PLACE
    if placed and state is JobState.READY:
        class_id = CLASS_IDS[asked.urgency]
        place = _place(session, pool_id=asked.pool_id, class_id=class_id, vtag=vtag, job_id=asked.job_id)
    return Enqueued(job_id=asked.job_id, known=False, place=place, state=state, vtag=vtag)


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
            failures=shown_failures(row.failures),
            created_at=row.created_at,
            ended_at=row.ended_at,
            worker=row.worker,
            leased_at=row.leased_at,
            progress=row.progress,
            phase=row.phase,
            node=row.node,
            group_id=GroupId(row.group_id) if row.group_id else None,
            after_job_id=JobId(row.after_job_id) if row.after_job_id else None,
            starts_after=row.starts_after,
            held_by=HeldBy(row.held_by) if row.held_by else None,
            waits_for=row.waits_for,
            expires_at=row.expires_at,
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
    waking.wake_after_commit(session)
    state: str | None = row.state
    for _ in range(CANCEL_LOOKS):
        if cancel_waiting(session, [job_id]):
            return Cancellation.CANCELLED
        # Running, or just moving between two places: whoever has it in hand finds the wish.
        state = upkeep.request_cancel(session, job_id=job_id)
        if state not in WAITING:
            break
    if state is None:
        return Cancellation.ENDED
    waking.cancel_after_commit(session, job_id)
    return Cancellation.REQUESTED


def cancel_waiting(session: Session, job_ids: Sequence[JobId]) -> list[JobId]:
    """End those of these jobs that wait, and what waits for them; return which of these that were."""
    taken = [JobId(job_id) for job_id in upkeep.take_waiting(session, job_ids=job_ids)] if job_ids else []
    if taken:
        upkeep.end_jobs(session, job_ids=taken, state=JobState.CANCELLED)
        endings.settle_ended(session, taken, JobState.CANCELLED)
    return taken


def _follow_up(asked: FollowUp | None) -> dict[str, Json] | None:
    if asked is None:
        return None
    return {"kind": asked.kind, "recipe": asked.recipe, "subject": str(asked.subject)}


def _place(session: Session, *, pool_id: PoolId, class_id: int, vtag: int, job_id: JobId) -> Place:
    ahead = entering.count_ahead(session, pool_id=pool_id, class_id=class_id, vtag=vtag, job_id=job_id)
    starts_in = round(ahead.cost_ms / ahead.workers / 1000, 1) if ahead.workers else None
    return Place(ahead=ahead.jobs, starts_in_s=starts_in)


def _not_found(job_id: JobId) -> JobNotFound:
    return JobNotFound(f"job {job_id}", hint="`memoryd jobs list` shows yours")


def shown_failures(stored: Sequence[dict[str, Json]]) -> tuple[dict[str, Json], ...]:
    """Return a job's failed tries as people see them."""
    # The token's hash is there to recognise a report that is sent twice; nobody needs to see it.
    return tuple({name: value for name, value in failure.items() if name != "token_hash"} for failure in stored)
