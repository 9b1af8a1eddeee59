"""Workers: how they join, prove themselves, state what they can do, and are drained."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from memoryd.access.tokens import hash_secret, new_secret
from memoryd.dispatch import model_descriptions, telling, waking
from memoryd.dispatch.facts import WorkerIdentity, WorkerState, WorkerView
from memoryd.dispatch.pools import find_pool
from memoryd.dispatch.queries import fleet, presence, stated_environments
from memoryd.dispatch.wire import SUPPORTED, Gpu, ModelFile, ModelPlace, NodePack, RegisterRequest
from memoryd.foundation.canonical_json import Json, canonical_bytes, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, MemorydError, NotAcceptable, NotFound, NotRecognised
from memoryd.foundation.ids import PoolId, TenantId, WorkerId, new_id
from memoryd.foundation.texts import storable

HEARTBEAT_S = 3.0
"""How often a worker must be heard: less than a third of the shortest visibility (realtime, 10 s)."""
JOIN_TOKEN_TTL_S = 24 * 3600
KEY_MARK = "mw_"
"""What worker keys begin with, so that a leaked one is recognised for what it is."""
JOIN_MARK = "mj_"
PREFIX_BYTES = 6
LABEL_LIMIT = 100
MODELS_LIMIT = 50_000
CLASSES_LIMIT = 20_000
PACKS_LIMIT = 2_000
FLAGS_LIMIT = 500
ENVIRONMENT_LIMIT = 4 * 1024 * 1024
"""Bytes of an environment's document."""


class WorkerNotRecognised(NotRecognised):
    """This is no worker's key."""


class JoinTokenRefused(NotRecognised):
    """This join token is not valid."""


class WorkerNotFound(NotFound):
    """There is no such worker."""


class ProtocolNotSupported(Conflict):
    """Server and worker speak different versions."""


class EarlierStart(Conflict):
    """This worker was started anew in the meantime."""


class StatementTooLarge(NotAcceptable):
    """A worker stated more about itself than can be kept."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A worker that just joined. `key` is shown this once."""

    worker_id: WorkerId
    key: str
    pools: tuple[str, ...]


def check_protocol(stated: int | None) -> int:
    """Return the version to speak. Raises: ProtocolNotSupported."""
    if stated is None or stated not in SUPPORTED:
        ours = ", ".join(str(version) for version in SUPPORTED)
        newer = stated is not None and stated > max(SUPPORTED)
        raise ProtocolNotSupported(
            f"the worker speaks {stated if stated is not None else 'no version'}, this server {ours}",
            hint="upgrade the server first, then its workers" if newer else "upgrade memoryd on the worker's machine",
            supported=list(SUPPORTED),
        )
    return stated


def make_join_token(
    session: Session, *, pools: Sequence[str], tenants: Sequence[TenantId], label: str | None = None
) -> str:
    """Return a one-time token, valid for JOIN_TOKEN_TTL_S, that makes a worker for these tenants' jobs in these pools.

    Whoever administers one tenant names that tenant alone: a worker sees the prompts of every tenant it serves.

    Raises: PoolNotFound.
    """
    token = JOIN_MARK + new_secret()
    fleet.insert_join_token(
        session,
        {
            "token_hash": hash_secret(token),
            "pool_ids": list({find_pool(session, pool, tenant_id=one).id: None for pool in pools for one in tenants}),
            "serves": list(tenants),
            "label": _shown(label) if label else None,
            "expires_at": fleet.read_clock(session) + datetime.timedelta(seconds=JOIN_TOKEN_TTL_S),
        },
    )
    return token


def join(session: Session, token: str, *, label: str, host: str, gpu_uuid: str | None, protocol: int) -> Joined:
    """Use a join token up and return the worker it makes. Raises: JoinTokenRefused, ProtocolNotSupported."""
    check_protocol(protocol)
    row = fleet.use_join_token(session, token_hash=hash_secret(token))
    if row is None:
        raise JoinTokenRefused(
            "unknown, used before, or too old", hint="`memoryd workers add --pool P` prints a fresh command"
        )
    worker_id = WorkerId(new_id())
    fleet.insert_worker(
        session,
        {
            "id": worker_id,
            "label": row.label or _shown(label),
            "host": _shown(host),
            "gpu_uuid": gpu_uuid and _shown(gpu_uuid),
            "state": WorkerState.JOINED,
            "serves": row.serves,
            "protocol": protocol,
        },
        pool_ids=row.pool_ids,
    )
    prefix, secret = KEY_MARK + secrets.token_hex(PREFIX_BYTES), new_secret()
    fleet.insert_worker_key(session, prefix=prefix, worker_id=worker_id, secret_hash=hash_secret(secret))
    worker = recognise(session, f"{prefix}_{secret}")
    return Joined(worker_id=worker_id, key=f"{prefix}_{secret}", pools=worker.pools)


def recognise(session: Session, key: str) -> WorkerIdentity:
    """Return the worker that a key proves. `session` has taken the farm. Raises: WorkerNotRecognised."""
    prefix, _, secret = key.rpartition("_")
    row = fleet.find_worker_key(session, prefix=storable(prefix)[0])
    if row is None or not secrets.compare_digest(row.secret_hash, hash_secret(secret)):
        raise WorkerNotRecognised(
            "the key is unknown or revoked", hint="join again: `memoryd workers add --pool P` prints the command"
        )
    return _identity(row)


def current(session: Session, worker_id: WorkerId) -> WorkerIdentity:
    """Return a worker as it is now: drained or started anew since it was recognised. Raises: WorkerNotRecognised."""
    row = fleet.find_worker(session, worker_id=worker_id)
    if row is None or row.state == WorkerState.REMOVED:
        raise _removed()
    return _identity(row)


def begin_claim(session: Session, worker_id: WorkerId, incarnation: UUID) -> tuple[WorkerIdentity, bool]:
    """Note that a worker asks for work; return it as it is now, and whether an earlier start of it holds a lease still.

    Raises: WorkerNotRecognised, where it was removed meanwhile; EarlierStart.
    """
    [begun] = begin_claims(session, [(worker_id, incarnation)])
    if isinstance(begun, MemorydError):
        raise begun
    return begun


def begin_claims(
    session: Session, asks: Sequence[tuple[WorkerId, UUID]]
) -> list[tuple[WorkerIdentity, bool] | MemorydError]:
    """As begin_claim, for workers that ask at the same time, each by its id and start; an error is returned in its place."""
    rows = presence.touch_claimers(
        session, worker_ids=[worker_id for worker_id, _ in asks], incarnations=[start for _, start in asks]
    )
    return [_begun(row, start) for row, (_, start) in zip(rows, asks, strict=True)]


def _begun(row: Any, incarnation: UUID) -> tuple[WorkerIdentity, bool] | MemorydError:
    if row.worker_id is None or row.state == WorkerState.REMOVED:
        return _removed()
    worker = _identity(row)
    try:
        check_start(worker, incarnation)
    except EarlierStart as error:
        return error
    return worker, row.left_over


def touch(session: Session, worker_id: WorkerId, *, vram_used_mb: int | None = None) -> tuple[WorkerState, UUID | None]:
    """Note a sign of life; return what the worker is willing to do, and which start of it is the present one.

    The whole transaction commits without waiting for the disk: what a crash loses of it the next sign of life brings.

    Raises: WorkerNotRecognised, where it was removed meanwhile.
    """
    row = presence.touch(session, worker_id=worker_id, vram_used_mb=vram_used_mb)
    if row is None or row.state == WorkerState.REMOVED:
        raise _removed()
    return WorkerState(row.state), row.incarnation


def _removed() -> WorkerNotRecognised:
    return WorkerNotRecognised(
        "the worker was removed", hint="`memoryd workers add --pool P` prints a new join command"
    )


def _identity(row: fleet.Found) -> WorkerIdentity:
    return WorkerIdentity(
        worker_id=WorkerId(row.worker_id),
        label=row.label,
        state=WorkerState(row.state),
        incarnation=row.incarnation,
        serves=tuple(TenantId(one) for one in row.serves),
        pool_ids=tuple(PoolId(one) for one in row.pool_ids),
        pools=tuple(row.pools),
    )


def register(session: Session, worker: WorkerIdentity, stated: RegisterRequest) -> WorkerIdentity:
    """Note a start of a worker and what it can do; return it as it is now.

    What its earlier start had begun stays its own to finish. Raises: StatementTooLarge, ProtocolNotSupported;
    WorkerNotRecognised, where it was removed meanwhile.
    """
    check_protocol(stated.protocol)
    document = canonical_bytes(stated.environment)
    _check_sizes(stated, len(document))
    nodes_sha256 = bytes.fromhex(stated.nodes_sha256)
    fleet.insert_nodes(session, sha256=nodes_sha256, classes=sorted({storable(name)[0] for name in stated.classes}))
    gpu = stated.gpu or Gpu()
    written = fleet.update_worker_start(
        session,
        {
            "worker_id": worker.worker_id,
            "incarnation": stated.incarnation,
            "label": worker.label,
            "host": _shown(stated.host),
            "gpu_uuid": _told(gpu.uuid or stated.gpu_uuid),
            "gpu_name": _told(gpu.name),
            "gpu_driver": _told(gpu.driver),
            "vram_mb": gpu.vram_mb,
            "node_packs": [_pack(pack) for pack in stated.node_packs],
            "launch_flags": [storable(flag)[0] for flag in stated.launch_flags],
            "fetches_models": stated.fetches_models,
            "protocol": stated.protocol,
            "environment": zlib.compress(document),
            "environment_sha256": hash_secret(document.decode("ascii")),
            "nodes_sha256": nodes_sha256,
        },
    )
    if not written:
        raise _removed()
    stated_environments.note(
        session, worker.worker_id, sha256=hash_secret(document.decode("ascii")), document=zlib.compress(document)
    )
    model_descriptions.keep_places(session, worker.worker_id, stated.places)
    fleet.replace_models(session, worker_id=worker.worker_id, models=_models(stated.models, stated.places))
    model_descriptions.ask_to_follow(session, worker.worker_id)
    telling.tell_workers(session, "worker.registered", [worker.worker_id])
    waking.change_after_commit(session, worker.worker_id)
    return current(session, worker.worker_id)


def warm_up_graph(session: Session, worker: WorkerIdentity) -> str | None:
    """Return the graph (API format, JSON text) that a worker runs before it claims, None where no pool of its has one.

    Of several pools the one counts that it tries first.
    """
    packed = fleet.find_warm_up_graph(session, worker_id=worker.worker_id)
    return zlib.decompress(packed).decode() if packed is not None else None


def _check_sizes(stated: RegisterRequest, document: int) -> None:
    for count, limit, things in (
        (len(stated.models), MODELS_LIMIT, "models"),
        (len(stated.classes), CLASSES_LIMIT, "node classes"),
        (len(stated.node_packs), PACKS_LIMIT, "node packs"),
        (len(stated.launch_flags), FLAGS_LIMIT, "launch flags"),
        (document, ENVIRONMENT_LIMIT, "bytes of environment"),
    ):
        if count > limit:
            raise StatementTooLarge(f"{count} {things}", hint=f"at most {limit}")


def check_start(worker: WorkerIdentity, incarnation: UUID) -> None:
    """Return where this is the worker's present start. Raises: EarlierStart."""
    if worker.incarnation != incarnation:
        raise EarlierStart(f"worker {worker.label!r}", hint="register first; if another process runs, stop this one")


def leave(session: Session, worker: WorkerIdentity, incarnation: UUID) -> None:
    """Note that this start of a worker takes no more work."""
    if fleet.update_worker_state(session, worker_id=worker.worker_id, state=WorkerState.LEFT, incarnation=incarnation):
        telling.tell_workers(session, "worker.left", [worker.worker_id])


def list_workers(session: Session, *, tenant_id: TenantId, counted: bool = True) -> list[WorkerView]:
    """Return the workers that serve a tenant, by label; those that were removed are left out.

    Without `counted` nobody counts what they run and how many models they have: both are 0.
    """
    return [_view(row) for row in fleet.list_workers(session, tenant_id=tenant_id, counted=counted)]


def find_view(session: Session, worker_id: WorkerId, *, tenant_id: TenantId) -> WorkerView:
    """Return one of the workers that serve a tenant. Raises: WorkerNotFound, also for another tenant's."""
    for row in fleet.list_workers(session, tenant_id=tenant_id, worker_id=worker_id):
        return _view(row)
    raise WorkerNotFound(f"worker {worker_id}", hint="`memoryd workers list` shows them")


def _view(row: fleet.Found) -> WorkerView:
    return WorkerView(
        id=WorkerId(row.id),
        label=row.label,
        host=row.host,
        gpu_uuid=row.gpu_uuid,
        state=WorkerState(row.state),
        pools=tuple(row.pools),
        online=row.online,
        running=row.running,
        models=row.models,
        protocol=row.protocol,
        seen_at=row.seen_at,
    )


def find_environment(session: Session, sha256: bytes) -> Mapping[str, Json] | None:
    """Return an environment's document as some worker stated it, by its hash (32 bytes), or None."""
    packed = fleet.find_environment(session, sha256=sha256)
    document = read_json(zlib.decompress(packed)) if packed is not None else None
    return document if isinstance(document, dict) else None


def known_classes(session: Session, pool_id: PoolId) -> frozenset[str] | None:
    """Return the node classes that some worker of a pool has; None where no worker has stated any."""
    rows = fleet.list_catalogues(session, pool_id=pool_id)
    return frozenset(name for row in rows for name in row.classes) if rows else None


def hashed_models(session: Session, worker_id: WorkerId, names: Sequence[str]) -> dict[tuple[str, str], bytes]:
    """Return what a worker itself found in its model files of these names: (folder, name) -> SHA-256 (32 bytes)."""
    rows = fleet.list_hashed_models(session, worker_id=worker_id, paths=[storable(name)[0] for name in names])
    return {(row.folder, row.path): row.sha256 for row in rows}


def _models(stated: Sequence[ModelFile], places: Sequence[ModelPlace]) -> list[dict[str, object]]:
    # A folder that lists a file twice (two search paths) is one name to a graph: the first counts, as in ComfyUI.
    named: dict[tuple[str, str], dict[str, object]] = {}
    for model in stated:
        folder, path = storable(model.folder)[0], storable(model.path)[0]
        named.setdefault(
            (folder, path),
            {
                "folder": folder,
                "path": path,
                "sha256": bytes.fromhex(model.sha256) if model.sha256 else None,
                "size": model.size,
                "mtime_ns": model.mtime_ns,
                "mount": places[model.place].key if model.place is not None and model.place < len(places) else None,
            },
        )
    return list(named.values())


def _pack(pack: NodePack) -> dict[str, Json]:
    remote = storable(pack.remote)[0] if pack.remote is not None else None
    return {"name": storable(pack.name)[0], "remote": remote, "commit": pack.commit}


def _told(text: str | None) -> str | None:
    return storable(text)[0].strip()[:LABEL_LIMIT] or None if text is not None else None


def _shown(text: str) -> str:
    return storable(text)[0].strip()[:LABEL_LIMIT] or "worker"
