"""What workers tell of their model files, and what of it a tenant may read: only what workers that serve it told."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.models_wire import FactsShape, ModelDescription
from memoryd.dispatch.queries import model_descriptions as queries
from memoryd.dispatch.wire import ModelPlace
from memoryd.foundation.database import Session
from memoryd.foundation.ids import TenantId, WorkerId
from memoryd.foundation.texts import storable
from memoryd.weights.describing import ModelFacts

FOLLOW = "follow-models"
"""The chore of taking over what workers tell into the registry of each tenant that they serve."""

FOLLOW_AFTER_S = 5.0
"""What is told within this time is taken over at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlaceTold:
    """That a worker states files of a folder. `key` None: it does not tell which folder it is."""

    worker_id: WorkerId
    label: str
    key: str | None
    kind: str
    root: str
    digest: bytes
    """Another when anything that it states of the folder's files is another (32 bytes)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileTold:
    """A model file as a worker states it; `sha256` None until it is hashed, `stamp` None until it is described."""

    folder: str
    path: str
    size: int | None
    mtime_ns: int | None
    sha256: bytes | None
    stamp: str | None


def keep_places(session: Session, worker_id: WorkerId, places: Sequence[ModelPlace]) -> None:
    """Note which folders a worker sees, instead of those that it stated before."""
    rows = [{"key": place.key, "kind": place.kind, "root": storable(place.root)[0]} for place in places]
    queries.replace_places(session, worker_id=worker_id, places=rows)


def keep(session: Session, worker: WorkerIdentity, told: Sequence[ModelDescription]) -> None:
    """Note what a worker read in model files and beside them."""
    rows = [
        {
            "sha256": bytes.fromhex(one.sha256),
            "stamp": one.stamp,
            "document": zlib.compress(FactsShape(**dict(one)).model_dump_json().encode()),
        }
        for one in sorted(told, key=lambda one: one.sha256)
    ]
    if rows:
        queries.insert_descriptions(session, worker_id=worker.worker_id, rows=rows)
        ask_to_follow(session, worker.worker_id)


def list_wanted(session: Session, worker: WorkerIdentity, stamps: Mapping[str, str]) -> list[bytes]:
    """Return the files (stamp by hexadecimal hash) that this worker is to describe."""
    return queries.list_undescribed(session, worker_id=worker.worker_id, stamps=stamps) if stamps else []


def ask_to_follow(session: Session, worker_id: UUID, *, wait_s: float = FOLLOW_AFTER_S) -> None:
    """Let every tenant that a worker serves take over what workers tell; asked again meanwhile, it is done once."""
    queries.insert_chores(session, kind=FOLLOW, worker_id=worker_id, wait_s=wait_s)


def list_serving(session: Session, tenant_id: TenantId) -> dict[WorkerId, str]:
    """Return the labels of the workers that serve a tenant. `session` has taken the farm."""
    return {WorkerId(row.id): row.label for row in queries.list_serving(session, tenant_id=tenant_id)}


def list_told(session: Session, tenant_id: TenantId) -> list[PlaceTold]:
    """Return which hashed files, by folder, the workers that serve a tenant state. `session` has taken the farm."""
    return [
        PlaceTold(
            worker_id=WorkerId(row.worker_id),
            label=row.label,
            key=row.key,
            kind=row.kind or "",
            root=row.root or "",
            digest=bytes(row.digest),
        )
        for row in queries.list_told(session, tenant_id=tenant_id)
    ]


def list_files(session: Session, tenant_id: TenantId, place: PlaceTold) -> list[FileTold]:
    """Return the files of a folder as all workers that see it and serve a tenant state them; of each name the latest.

    A hash that one worker has not measured yet is another's, where size and time of change are the same.
    """
    rows = queries.list_files(session, tenant_id=tenant_id, key=place.key, worker_id=place.worker_id)
    hashed = {(r.folder, r.path, r.size, r.mtime_ns): r for r in reversed(rows) if r.sha256 is not None}
    named: dict[tuple[str, str], FileTold] = {}
    for row in rows:
        known = hashed.get((row.folder, row.path, row.size, row.mtime_ns))
        named.setdefault(
            (row.folder, row.path),
            FileTold(
                folder=row.folder,
                path=row.path,
                size=row.size,
                mtime_ns=row.mtime_ns,
                sha256=None if known is None else bytes(known.sha256),
                stamp=None if known is None else known.stamp,
            ),
        )
    return list(named.values())


def read_descriptions(
    session: Session, tenant_id: TenantId, sha256s: Sequence[bytes]
) -> dict[bytes, tuple[str, ModelFacts]]:
    """Return what the workers that serve a tenant told of files, with its stamp. `session` has taken the farm."""
    return {
        bytes(row.sha256): (row.stamp, FactsShape.model_validate_json(zlib.decompress(row.document)).facts())
        for row in queries.list_descriptions(session, tenant_id=tenant_id, sha256s=sha256s)
    }


def forget(session: Session, worker_id: WorkerId) -> None:
    """Forget what a worker told, and let the tenants that it served know."""
    ask_to_follow(session, worker_id, wait_s=0)
    queries.forget_worker(session, worker_id=worker_id)
