"""Handing a job to a worker: the lease first, then what the job asks for, and its inputs while the lease lives."""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
import zlib
from collections.abc import Mapping, Sequence
from typing import BinaryIO
from uuid import UUID

from memoryd.access import directory
from memoryd.dispatch import leases, tending, workers
from memoryd.dispatch.facts import Completion, Grant, LeaseKey, WorkerIdentity
from memoryd.dispatch.wire import Claimed, InputFile, JobKind, Pin
from memoryd.events import outbox
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Engine, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import MemorydError, NotFound
from memoryd.foundation.ids import JobId, TenantId
from memoryd.foundation.texts import storable
from memoryd.submission import queries, recalled_jobs
from memoryd.submission.facts import EventState
from memoryd.submission.submitting import unpacked

LOADED_LIMIT = 100
"""Names of loaded models that a claim looks at."""
REASON_LIMIT = 2_000
"""Characters."""
REASON_TOLD_LIMIT = 500
"""Characters of a reason that an event carries."""

RECALLED = "model-recalled"
"""The word for a job that would load recalled weights."""
UNREADABLE = "the server could not read what the job asks for"

_scopes: weakref.WeakKeyDictionary[Engine, dict[TenantId, TenantScope]] = weakref.WeakKeyDictionary()


class JobUnreadable(NotFound):
    """What this job asks for cannot be read."""


class JobRecalled(JobUnreadable):
    """This job would load weights that were recalled: no worker gets it, or not the one that has such a file."""

    def __init__(self, detail: str, *, hint: str, scope: TenantScope, job_id: JobId, held: recalled_jobs.Held) -> None:
        super().__init__(detail, hint=hint)
        self.scope, self.job_id, self.held = scope, job_id, held


class InputNotAsked(NotFound):
    """This job has no such input."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A worker that asks for its next job, by one of its starts, with these models loaded."""

    worker: WorkerIdentity
    incarnation: UUID
    loaded: tuple[str, ...]


def claim(database: Database, worker: WorkerIdentity, *, incarnation: UUID, loaded: Sequence[str]) -> Claimed | None:
    """Return the next job for a worker, under lease, or None. Raises: EarlierStart, WorkerNotRecognised, DatabaseDown.

    Whoever asks for new work has ended what its earlier starts had begun: what is left of that goes back to the queue.
    Lease, history and the job's texts are one transaction: one commit, and a job whose texts cannot be read is not lost.
    """
    try:
        with database.farm_work() as session:
            grant = _grant(session, worker, incarnation, loaded)
            return _handed_over(session, worker, grant, _scope_of(session, grant)) if grant is not None else None
    except JobRecalled as error:
        if error.held.anywhere:
            recalled_jobs.end_one(database, error.scope, error.job_id, error.held.reason)
        else:
            _give_back(database, worker, incarnation, loaded, error.held.reason, kind=RECALLED)
        raise
    except JobUnreadable:
        # Undone, it would be the next one's job, and the one's after that: it is taken once more, and given back.
        _give_back(database, worker, incarnation, loaded, UNREADABLE)
        raise


def claim_each(database: Database, asks: Sequence[Ask]) -> list[Claimed | MemorydError | None]:
    """Return what claim does for each of those who ask, or raises: for most of them in one transaction."""
    answers: list[Claimed | MemorydError | leases.Alone | None] = [leases.Alone.ASK_ALONE] * len(asks)
    if len(asks) > 1:
        with contextlib.suppress(JobUnreadable), database.farm_work() as session:
            answers = _claim_together(session, asks)
    return [
        _claim_alone(database, ask) if isinstance(answer, leases.Alone) else answer
        for ask, answer in zip(asks, answers, strict=True)
    ]


def _claim_alone(database: Database, ask: Ask) -> Claimed | MemorydError | None:
    try:
        return claim(database, ask.worker, incarnation=ask.incarnation, loaded=ask.loaded)
    except MemorydError as error:
        return error


def _claim_together(session: Session, asks: Sequence[Ask]) -> list[Claimed | MemorydError | leases.Alone | None]:
    begun = workers.begin_claims(session, [(ask.worker.worker_id, ask.incarnation) for ask in asks])
    answers: list[Claimed | MemorydError | leases.Alone | None] = [
        one if isinstance(one, MemorydError) else leases.Alone.ASK_ALONE for one in begun
    ]
    # What an earlier start of a worker left over is put away where it asks alone.
    able = [(at, one[0]) for at, one in enumerate(begun) if not isinstance(one, MemorydError) and not one[1]]
    grants = leases.claim_each(session, [(worker, names(asks[at].loaded)) for at, worker in able])
    granted = [grant for grant in grants if isinstance(grant, Grant)]
    scopes = {grant.tenant_id: _scope_of(session, grant) for grant in granted}
    for (at, worker), grant in sorted(
        zip(able, grants, strict=True), key=lambda one: str(one[1].tenant_id) if isinstance(one[1], Grant) else ""
    ):
        answers[at] = (
            _handed_over(session, worker, grant, scopes[grant.tenant_id]) if isinstance(grant, Grant) else grant
        )
    return answers


def names(loaded: Sequence[str]) -> list[str]:
    """Return the names of loaded models that a claim looks at, as the database takes them."""
    return [storable(name)[0] for name in loaded[:LOADED_LIMIT]]


def _grant(session: Session, worker: WorkerIdentity, incarnation: UUID, loaded: Sequence[str]) -> Grant | None:
    present, left_over = workers.begin_claim(session, worker.worker_id, incarnation)
    if left_over:
        tending.end_earlier_starts(session, worker_id=present.worker_id, incarnation=incarnation)
    return leases.claim(session, present, loaded=names(loaded))


def _scope_of(session: Session, grant: Grant) -> TenantScope:
    try:
        return scope_of(session, grant.tenant_id)
    except directory.TenantNotFound as error:
        raise JobUnreadable(f"job {grant.job_id} of a tenant that is not there", hint=error.hint) from error


def _handed_over(session: Session, worker: WorkerIdentity, grant: Grant, scope: TenantScope) -> Claimed:
    take_tenant(session, scope)
    detail = queries.note_claim(session, job_id=grant.job_id, state=EventState.CLAIMED, worker=worker.label)
    if detail is None:
        raise JobUnreadable(f"job {grant.job_id} has no detail", hint="it is given back, and given up in the end")
    held = recalled_jobs.look(session, scope, worker.worker_id, detail.pins) if detail.anything_recalled else None
    if held is not None:
        hint = "it is ended" if held.anywhere else "it waits for a worker with another file under that name"
        raise JobRecalled(
            f"job {grant.job_id}: {held.reason}",
            hint=f"{hint}; `memoryd models recalls` tells why",
            scope=scope,
            job_id=grant.job_id,
            held=held,
        )
    _announce(session, "job.claimed", grant.job_id, detail.project_id, {"worker": worker.label, "try": grant.attempt})
    return _claimed(grant, detail)


def hand_over_or_release(session: Session, worker: WorkerIdentity, grant: Grant) -> Claimed | None:
    """Return a job that was just leased with what it asks for; None where that cannot be read, and it is given back.

    `session` has taken the farm. What it did before stands: a result must not be lost for the sake of the next job.
    """
    try:
        return _handed_over(session, worker, grant, _scope_of(session, grant))
    except JobUnreadable as error:
        take_farm(session)
        lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
        recalled = isinstance(error, JobRecalled)
        leases.release(
            session,
            worker,
            lease,
            reason=error.held.reason if isinstance(error, JobRecalled) else UNREADABLE,
            kind=RECALLED if recalled else "released",
        )
        return None


def _announce(session: Session, kind: str, job_id: JobId, project_id: UUID | None, facts: Mapping[str, Json]) -> None:
    owner: dict[str, Json] = {"project_id": str(project_id)} if project_id is not None else {}
    outbox.announce(session, kind, job_id, owner | dict(facts))


def _give_back(
    database: Database,
    worker: WorkerIdentity,
    incarnation: UUID,
    loaded: Sequence[str],
    reason: str,
    *,
    kind: str = "released",
) -> None:
    with database.farm_work() as session:
        grant = _grant(session, worker, incarnation, loaded)
    if grant is None:
        return
    lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
    with database.farm_work() as session:
        leases.release(session, worker, lease, reason=reason, kind=kind)


def scope_of_lease(database: Database, worker: WorkerIdentity, lease: LeaseKey) -> TenantScope:
    """Return whose job a live lease is for. Raises: LeaseLost."""
    with database.farm_work() as session:
        return scope_of(session, leases.tenant_of(session, worker, lease))


def open_input(database: Database, store: ByteStore, worker: WorkerIdentity, lease: LeaseKey, sha256: str) -> BinaryIO:
    """Return one of a leased job's inputs, open for reading. Raises: LeaseLost, InputNotAsked, NotFound."""
    scope = scope_of_lease(database, worker, lease)
    with database.tenant_work(scope) as session:
        detail = queries.find_detail(session, job_id=lease.job_id)
    if detail is None or sha256 not in {file["sha256"] for file in detail.inputs}:
        raise InputNotAsked(f"{sha256[:12]}… of job {lease.job_id}", hint="fetch only what the claim listed")
    return store.open(scope.slug, bytes.fromhex(sha256))


def release(
    database: Database, worker: WorkerIdentity, lease: LeaseKey, *, reason: str, counts: bool, kind: str = "released"
) -> Completion:
    """Give a job back unrun, and note it; `kind` is the word for why. Raises: LeaseLost."""
    scope = scope_of_lease(database, worker, lease)
    with database.tenant_work(scope) as session:
        queries.insert_event(
            session, job_id=lease.job_id, state=EventState.RELEASED, worker=worker.label, reason=stored_reason(reason)
        )
        owner = queries.list_projects_of(session, job_ids=[lease.job_id]).get(lease.job_id)
        told: dict[str, Json] = {"worker": worker.label, "reason": stored_reason(reason)[:REASON_TOLD_LIMIT]}
        _announce(session, "job.released", lease.job_id, owner, told)
        take_farm(session)
        answer = leases.release(session, worker, lease, reason=reason, counts=counts, kind=kind)
        if answer is not Completion.RECORDED:
            raise leases.lost(lease)
    return answer


def stored_reason(reason: str) -> str:
    """Return a worker's words as a job's history keeps them."""
    return storable(reason)[0][:REASON_LIMIT]


def _claimed(grant: Grant, detail: queries.Found) -> Claimed:
    try:
        return Claimed(
            job_id=grant.job_id,
            fence=grant.fence,
            token=grant.token,
            attempt=grant.attempt,
            kind=JobKind(detail.kind),
            prompt=unpacked(detail.prompt),
            extra_data=unpacked(detail.extra_data),
            recompute=detail.recompute,
            inputs=[InputFile.model_validate(file) for file in detail.inputs],
            pins=[Pin.model_validate(pin) for pin in detail.pins],
            environments=list(detail.environments or ()),
            lease_s=grant.lease_s,
            deadline_s=grant.deadline_s,
        )
    except (MemorydError, ValueError, zlib.error) as error:
        raise JobUnreadable(f"job {grant.job_id}: {type(error).__name__}", hint="its record is damaged") from error


def scope_of(session: Session, tenant_id: TenantId) -> TenantScope:
    """Return a tenant's schema and role, which never change: read once in a process. Raises: TenantNotFound.

    `session` has taken the farm.
    """
    known = _scopes.setdefault(session.get_bind().engine, {})
    if tenant_id not in known:
        known.update({scope.id: scope for scope in directory.list_tenants(session)})
    if tenant_id not in known:
        raise directory.TenantNotFound(f"tenant {tenant_id}", hint="`memoryd tenants list` shows them")
    return known[tenant_id]
