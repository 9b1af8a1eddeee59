"""Workers, their keys, and what they state of themselves."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Index, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.dispatch.tables.row_storage import HALF_FULL
from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow, Sha256


class Worker(FarmTable):
    """Who does jobs: one row per join, and a fresh incarnation per start."""

    __tablename__ = "worker"
    __table_args__ = (HALF_FULL,)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incarnation: Mapped[UUID | None]
    label: Mapped[str]
    host: Mapped[str]
    gpu_uuid: Mapped[str | None]
    gpu_name: Mapped[str | None]
    gpu_driver: Mapped[str | None]
    vram_mb: Mapped[int | None]
    vram_used_mb: Mapped[int | None]
    """As of its last heartbeat that told of it."""
    node_packs: Mapped[list[dict[str, object]]] = mapped_column(JSONB, server_default="[]")
    """Of each: name, remote, commit."""
    launch_flags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    state: Mapped[str]
    serves: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    """Tenants whose jobs it takes; empty is all."""
    protocol: Mapped[int]
    environment_sha256: Mapped[Sha256 | None]
    environment: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Canonical JSON, compressed (zlib)."""
    nodes_sha256: Mapped[Sha256 | None]
    nodes: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Its node specifications (`comfyui.catalogue_document`): its own, since they list the files that it has."""
    fetches_models: Mapped[bool] = mapped_column(server_default="false")
    """Whether it can bring models that it lacks: its ComfyUI's folders lie on its own machine."""
    registered_at: Mapped[Moment | None]
    seen_at: Mapped[Moment | None]
    silent_since: Mapped[Moment | None]
    """Since when it is told to be silent; null while it is heard."""
    created_at: Mapped[RecordedNow]


class WorkerEnvironment(FarmTable):
    """An environment that a worker stated, and when: a result that comes late still finds the one it was made in."""

    __tablename__ = "worker_environment"

    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"), primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(primary_key=True, index=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """Canonical JSON, compressed (zlib)."""
    first_at: Mapped[RecordedNow]
    last_at: Mapped[RecordedNow]
    """When it was stated last; the one that was stated last of all is the worker's present one."""


class WorkerPool(FarmTable):
    """That a worker serves a pool."""

    __tablename__ = "worker_pool"

    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"), primary_key=True)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pool.id"), primary_key=True, index=True)


class WorkerModel(FarmTable):
    """A model file that a worker can load, as it stated at its last start."""

    __tablename__ = "worker_model"
    __table_args__ = (Index(None, "folder", "path"),)

    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"), primary_key=True)
    folder: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256 | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    mount: Mapped[str | None]
    """The key of the WorkerPlace that it lies in; null where the worker did not tell."""


class WorkerPlace(FarmTable):
    """A folder with model files that a worker sees, as it stated at its last start."""

    __tablename__ = "worker_place"

    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    """Of a folder that several workers see, the same for all of them."""
    kind: Mapped[str]
    """A wire.PlaceKind."""
    root: Mapped[str]
    """The folder, as this worker calls it."""


class WorkerDescription(FarmTable):
    """What a worker read in a model file and beside it. Told to those tenants only that the worker serves."""

    __tablename__ = "worker_description"

    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"), primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(primary_key=True)
    stamp: Mapped[str]
    """Changes when the files beside it change, or the way of reading them."""
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """A wire.ModelDescription, canonical JSON, compressed (zlib)."""
    told_at: Mapped[RecordedNow]


class ModelHash(FarmTable):
    """What one of several workers measured of a model file that they all see, or is measuring at present."""

    __tablename__ = "model_hash"

    key: Mapped[Sha256] = mapped_column(primary_key=True)
    """The SHA-256 of whom the worker serves, the shared folder, and the file's path in it, size, time and sample."""
    worker_id: Mapped[UUID] = mapped_column(index=True)
    """Who measured it, or is about to."""
    sha256: Mapped[Sha256 | None]
    leased_until: Mapped[Moment]
    """Without a result by then, another may measure it."""
    asked_at: Mapped[RecordedNow]


class WorkerNodes(FarmTable):
    """A node catalogue by its hash: workers that were set up alike share one row."""

    __tablename__ = "worker_nodes"

    sha256: Mapped[Sha256] = mapped_column(primary_key=True)
    classes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    first_seen_at: Mapped[RecordedNow]


class WorkerKey(FarmTable):
    """What a worker proves itself with. Only the hash of the secret is here."""

    __tablename__ = "worker_key"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"), index=True)
    secret_hash: Mapped[Sha256]
    created_at: Mapped[RecordedNow]
    revoked_at: Mapped[Moment | None]


class JoinToken(FarmTable):
    """A one-time token that makes a worker."""

    __tablename__ = "join_token"

    token_hash: Mapped[Sha256] = mapped_column(primary_key=True)
    pool_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    serves: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    label: Mapped[str | None]
    created_at: Mapped[RecordedNow]
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]
