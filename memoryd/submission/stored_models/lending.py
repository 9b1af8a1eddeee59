"""Models for workers: only what a job pins whose lease the worker holds, and only where the store of its tenant has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import BinaryIO

from memoryd.catalog.holding import model_holders_of
from memoryd.dispatch.facts import LeaseKey, WorkerIdentity
from memoryd.dispatch.fetch_wire import HeldAnswer, HeldRequest, ModelOffered, ModelsOffered
from memoryd.dispatch.wire import Pin
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import TenantId
from memoryd.model_registry.keeping import copies
from memoryd.submission import queries
from memoryd.submission.bringing import stored_for
from memoryd.submission.claiming import scope_of, scope_of_lease


class ModelNotPinned(NotFound):
    """This job pins no such model that the store has."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A model that a worker may have, open at its start."""

    sha256: bytes
    size: int
    file: BinaryIO


def offer(
    database: Database, store: ByteStore, worker: WorkerIdentity, lease: LeaseKey, pins: Sequence[Pin]
) -> ModelsOffered:
    """Return which of a leased job's pins the store has. Raises: LeaseLost."""
    scope = scope_of_lease(database, worker, lease)
    wanted = {(pin.folder, pin.name) for pin in pins}
    models = copies.model_store(store)
    with database.tenant_work(scope) as session:
        own = [pin for pin in _pins_of(session, lease) if (pin.folder, pin.name) in wanted]
        found = stored_for(session, own)
        copies.touch(session, [copy.sha256 for copy in found.values()])
    return ModelsOffered(
        tenant=scope.id,
        models=[
            ModelOffered(folder=folder, name=name, sha256=copy.sha256.hex(), size=copy.size)
            for (folder, name), copy in found.items()
            if models.exists(scope.slug, copy.sha256)
        ],
    )


def lend(database: Database, store: ByteStore, worker: WorkerIdentity, lease: LeaseKey, sha256: bytes) -> Lent:
    """Return a model that a leased job pins, open. Raises: LeaseLost, ModelNotPinned, NotStored."""
    scope = scope_of_lease(database, worker, lease)
    with database.tenant_work(scope) as session:
        copy = {one.sha256: one for one in stored_for(session, _pins_of(session, lease)).values()}.get(sha256)
        if copy is not None:
            copies.touch(session, [sha256])
    if copy is None:
        raise ModelNotPinned(f"{sha256.hex()[:12]}… of job {lease.job_id}", hint="fetch only what the job pins")
    return Lent(sha256=sha256, size=copy.size, file=copies.open_copy(store, scope.slug, sha256))


def held(database: Database, worker: WorkerIdentity, asked: HeldRequest) -> HeldAnswer:
    """Return which of a tenant's models approved pictures hold: none, where the worker does not serve it (any more).

    Raises: TenantNotFound.
    """
    tenant = TenantId(asked.tenant)
    if worker.serves and tenant not in worker.serves:
        return HeldAnswer()
    with database.farm_work() as session:
        scope = scope_of(session, tenant)
    digests = [bytes.fromhex(one) for one in asked.sha256s]
    with database.tenant_work(scope) as session:
        return HeldAnswer(held=[sha256.hex() for sha256 in model_holders_of(session, digests)])


def _pins_of(session: Session, lease: LeaseKey) -> list[Pin]:
    detail = queries.find_detail(session, job_id=lease.job_id)
    return [Pin.model_validate(pin) for pin in detail.pins] if detail is not None else []
