"""Handing a job to a worker: the lease first, then what the job asks for, and its inputs while the lease lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO
from uuid import UUID

from memoryd.access import directory
from memoryd.dispatch import leases, tending, workers
from memoryd.dispatch.facts import Completion, Grant, LeaseKey, WorkerIdentity
from memoryd.dispatch.wire import Claimed, InputFile, JobKind, Pin
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.database import Database, Session, TenantScope, take_farm
from memoryd.foundation.errors import MemorydError, NotFound
from memoryd.foundation.ids import TenantId
from memoryd.foundation.texts import storable
from memoryd.submission import queries
from memoryd.submission.facts import EventState
from memoryd.submission.submitting import unpacked

LOADED_LIMIT = 100
"""Names of loaded models that a claim looks at."""
REASON_LIMIT = 2_000
"""Characters."""


class InputNotAsked(NotFound):
    """This job has no such input."""


def claim(database: Database, worker: WorkerIdentity, *, incarnation: UUID, loaded: Sequence[str]) -> Claimed | None:
    """Return the next job for a worker, under lease, or None. Raises: EarlierStart, WorkerNotRecognised, DatabaseDown.

    Whoever asks for new work has ended what its earlier starts had begun: what is left of that goes back to the queue.
    The lease is committed before the job's texts are read, so that no lock of the queue is held meanwhile; where
    reading fails, the job is given back uncounted.
    """
    with database.farm_work() as session:
        present, left_over = workers.begin_claim(session, worker.worker_id, incarnation)
        if left_over:
            tending.end_earlier_starts(session, worker_id=present.worker_id, incarnation=incarnation)
        grant = leases.claim(session, present, loaded=[storable(name)[0] for name in loaded[:LOADED_LIMIT]])
        scope = _scope(session, grant.tenant_id) if grant is not None else None
    if grant is None or scope is None:
        return None
    try:
        with database.tenant_work(scope) as session:
            queries.insert_event(session, job_id=grant.job_id, state=EventState.CLAIMED, worker=worker.label)
            return _claimed(session, grant)
    except MemorydError:
        _give_back(database, worker, grant)
        raise


def scope_of_lease(database: Database, worker: WorkerIdentity, lease: LeaseKey) -> TenantScope:
    """Return whose job a live lease is for. Raises: LeaseLost."""
    with database.farm_work() as session:
        return _scope(session, leases.tenant_of(session, worker, lease))


def open_input(database: Database, store: ByteStore, worker: WorkerIdentity, lease: LeaseKey, sha256: str) -> BinaryIO:
    """Return one of a leased job's inputs, open for reading. Raises: LeaseLost, InputNotAsked, NotFound."""
    scope = scope_of_lease(database, worker, lease)
    with database.tenant_work(scope) as session:
        detail = queries.find_detail(session, job_id=lease.job_id)
    if detail is None or sha256 not in {file["sha256"] for file in detail.inputs}:
        raise InputNotAsked(f"{sha256[:12]}… of job {lease.job_id}", hint="fetch only what the claim listed")
    return store.open(scope.slug, bytes.fromhex(sha256))


def release(database: Database, worker: WorkerIdentity, lease: LeaseKey, *, reason: str, counts: bool) -> Completion:
    """Give a job back unrun, and note it. Raises: LeaseLost."""
    scope = scope_of_lease(database, worker, lease)
    with database.tenant_work(scope) as session:
        queries.insert_event(
            session, job_id=lease.job_id, state=EventState.RELEASED, worker=worker.label, reason=stored_reason(reason)
        )
        take_farm(session)
        answer = leases.release(session, worker, lease, reason=reason, counts=counts)
        if answer is not Completion.RECORDED:
            raise leases.lost(lease)
    return answer


def stored_reason(reason: str) -> str:
    """Return a worker's words as a job's history keeps them."""
    return storable(reason)[0][:REASON_LIMIT]


def _claimed(session: Session, grant: Grant) -> Claimed:
    detail = queries.find_detail(session, job_id=grant.job_id)
    if detail is None:
        raise NotFound(f"job {grant.job_id} has no detail")
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
        lease_s=grant.lease_s,
        deadline_s=grant.deadline_s,
    )


def _give_back(database: Database, worker: WorkerIdentity, grant: Grant) -> None:
    lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
    with database.farm_work() as session:
        leases.release(session, worker, lease, reason="the server could not read what the job asks for")


def _scope(session: Session, tenant_id: TenantId) -> TenantScope:
    for scope in directory.list_tenants(session):
        if scope.id == tenant_id:
            return scope
    raise directory.TenantNotFound(f"tenant {tenant_id}", hint="`memoryd tenants list` shows them")
