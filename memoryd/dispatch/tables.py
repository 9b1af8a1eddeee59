"""What is stored about jobs, leases, pools, workers and chores.

The rows that every claim touches refer to each other without foreign keys, and carry no index on a column that
changes: heartbeats and state changes stay in their page (HOT), which an index on `expires_at` made 4 times slower and
36 times larger. `ready` is insert and delete only, and read from a low watermark (`mark`), so that a transaction that
holds vacuum back does not slow a claim. Source: reference measurements of 200,000 jobs under a held xmin.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow, Sha256

NOBODY = "00000000-0000-0000-0000-000000000000"
"""Stands for no project in a flow's key, and for the whole pool in a setback's."""

_HALF_FULL = {"postgresql_with": {"fillfactor": 50}}
_MOSTLY_FULL = {"postgresql_with": {"fillfactor": 80}}
_CHURNING = {
    "postgresql_with": {
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 1000,
        "autovacuum_vacuum_cost_delay": 0,
    }
}

# --- pools and classes: where and how urgently a job may run


class JobClass(FarmTable):
    """How urgent work is: how long a silent lease lives, and how long a job of it gives way to newer, more urgent ones."""

    __tablename__ = "job_class"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(unique=True)
    visibility_s: Mapped[float] = mapped_column(Double)
    age_offset_s: Mapped[float] = mapped_column(Double)
    backoff_s: Mapped[float] = mapped_column(Double)
    """The first retry waits up to this long; each later one up to twice the one before."""
    affinity: Mapped[float] = mapped_column(Double)
    """How many loading times of a model a job that finds it loaded may jump ahead."""


class Pool(FarmTable):
    """A named set of workers that are alike for the jobs they take."""

    __tablename__ = "pool"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    shared: Mapped[bool]
    """Open to every tenant; otherwise only to those in `pool_grant`."""
    vram_mb: Mapped[int | None]
    """Memory of the smallest card among its workers."""
    region: Mapped[str | None]
    licence_server: Mapped[str | None]
    labels: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    rank: Mapped[int] = mapped_column(server_default="0")
    """A worker of several pools tries the one of the greatest rank first, then the one of the most memory."""
    paused_at: Mapped[Moment | None]
    """Nothing is claimed from it since then."""
    warm_up_graph: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A graph in API format that a worker runs before its first claim, compressed (zlib)."""
    max_run_time_s: Mapped[float] = mapped_column(Double)
    no_progress_limit_s: Mapped[float] = mapped_column(Double)
    warm_up_s: Mapped[float] = mapped_column(Double)
    """How long loading a model takes here: what placing a job on a warm worker saves."""
    created_at: Mapped[RecordedNow]


class Setback(FarmTable):
    """That runs fail for reasons of the farm, not of the job: how often in a row, and until when nothing is claimed.

    One row per pool and worker, and one for the whole pool under the worker NOBODY, where several workers meet the same.
    A run that succeeds deletes both: normally the table is empty.
    """

    __tablename__ = "setback"

    pool_id: Mapped[UUID] = mapped_column(primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(primary_key=True)
    streak: Mapped[int] = mapped_column(SmallInteger)
    kind: Mapped[str]
    until: Mapped[Moment]
    at: Mapped[RecordedNow]


class PoolGrant(FarmTable):
    """That a tenant may use a pool which is not shared."""

    __tablename__ = "pool_grant"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pool.id"), primary_key=True, index=True)


# --- jobs


class Job(FarmTable):
    """Durable work for a worker, as the queue knows it; what it asks for lies in the tenant's `job_detail`."""

    __tablename__ = "job"
    __table_args__ = (
        Index(None, "tenant_id", "id"),
        # Neither of them ever changes: state changes stay in their page (HOT).
        Index(None, "group_id", postgresql_where=text("group_id is not null")),
        Index(None, "after_job_id", postgresql_where=text("after_job_id is not null")),
        _MOSTLY_FULL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    project_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pool.id"))
    class_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("job_class.id"))
    model_set: Mapped[str]
    """The large models it needs, as one word; empty where it needs none."""
    cost_ms: Mapped[int] = mapped_column(BigInteger)
    vtag: Mapped[int] = mapped_column(BigInteger)
    """Its place in the fair order of its pool and class, never aged by an update; 0 until it first enters the order."""
    state: Mapped[str]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Counted tries of the present budget. Not the fence: drain and replay set it back."""
    infra_attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    max_attempts: Mapped[int] = mapped_column(SmallInteger)
    replays: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    avoid_worker: Mapped[UUID | None]
    """The worker that failed it last: another tries next, where there is one."""
    failures: Mapped[list[dict[str, object]]] = mapped_column(JSONB, server_default="[]")
    """Every try that failed: attempt, fence, worker, cause, error, at."""
    follow_up: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    """The chore that its end brings, however it ends: kind, recipe, subject."""
    bigger_pools: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    """Where it goes when a card's memory does not suffice, in order; only pools that its project may use."""
    group_id: Mapped[UUID | None]
    after_job_id: Mapped[UUID | None]
    """Not before that job has succeeded."""
    followed: Mapped[bool] = mapped_column(server_default="false")
    """Whether a job waits for this one's end: set by an update, so that an end that comes at the same moment sees it."""
    starts_after: Mapped[Moment | None]
    created_at: Mapped[RecordedNow]
    expires_at: Mapped[Moment]
    """Not started by then: given up."""
    ended_at: Mapped[Moment | None]


class JobKey(FarmTable):
    """A caller's idempotency key: the same key again is the same job."""

    __tablename__ = "job_key"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[UUID]
    body_sha256: Mapped[Sha256]
    created_at: Mapped[RecordedNow] = mapped_column(index=True)


class Ready(FarmTable):
    """A job that may start now. Narrow, inserted and deleted, never updated."""

    __tablename__ = "ready"
    __table_args__ = (
        Index("ready_model_set_idx", "pool_id", "class_id", "model_set", "vtag", "job_id"),
        Index("ready_tenant_idx", "pool_id", "class_id", "tenant_id", "vtag", "job_id"),
        _CHURNING,
    )

    pool_id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    vtag: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_set: Mapped[str]
    tenant_id: Mapped[UUID]
    project_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    avoid_worker: Mapped[UUID | None]
    cost_ms: Mapped[int] = mapped_column(BigInteger)
    enqueued_at: Mapped[RecordedNow]
    expires_at: Mapped[Moment]


class Held(FarmTable):
    """A job that waits for something else than a worker or a time. Inserted and deleted, never updated."""

    __tablename__ = "held"
    __table_args__ = (Index(None, "waits_for", "vtag", "job_id"), Index(None, "expires_at"), _CHURNING)

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    project_id: Mapped[UUID | None]
    reason: Mapped[str]
    """`after`, `group`, `project` or `cap`."""
    waits_for: Mapped[UUID]
    """The job, group, project or cap."""
    vtag: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[Moment]
    at: Mapped[RecordedNow]


class JobGroup(FarmTable):
    """Jobs that were asked for together."""

    __tablename__ = "job_group"
    __table_args__ = (Index(None, "tenant_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    project_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    name: Mapped[str]
    total: Mapped[int]
    paused_at: Mapped[Moment | None]
    cancelled_at: Mapped[Moment | None]
    created_at: Mapped[RecordedNow]


class PausedProject(FarmTable):
    """A project whose jobs wait."""

    __tablename__ = "paused_project"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[RecordedNow]


class Cap(FarmTable):
    """How many jobs of a scope run at once at most; what is null means any."""

    __tablename__ = "cap"
    __table_args__ = (
        Index(
            "cap_scope_key",
            "tenant_id",
            "project_id",
            "person_id",
            "pool_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("max_running >= 0", name="max_running"),
        CheckConstraint("tenant_id is not null or (project_id is null and person_id is null)", name="owner"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenant.id"))
    project_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    pool_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool.id"))
    max_running: Mapped[int]


class TenantWeight(FarmTable):
    """A tenant's part of every pool, against the 1 of those that are not listed."""

    __tablename__ = "tenant_weight"
    __table_args__ = (CheckConstraint("weight > 0", name="weight"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    weight: Mapped[float] = mapped_column(Double)


class ProjectWeight(FarmTable):
    """A project's part of what its tenant gets, against the 1 of those that are not listed."""

    __tablename__ = "project_weight"
    __table_args__ = (CheckConstraint("weight > 0", name="weight"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    weight: Mapped[float] = mapped_column(Double)


class Flow(FarmTable):
    """How far a project's work reaches in the fair order of one pool and class (start-time fair queuing)."""

    __tablename__ = "flow"
    __table_args__ = (_HALF_FULL,)

    pool_id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=NOBODY)
    """NOBODY for jobs of no project."""
    weight: Mapped[float] = mapped_column(Double, server_default="1")
    """Its part at its last entry: the tenant's weight times the project's, over the weights of the tenant's projects
    that had work waiting then."""
    last_finish: Mapped[int] = mapped_column(BigInteger)
    last_back: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """How far jobs reach that came back after their tag had passed: many at once must not stand at one place."""


class Mark(FarmTable):
    """The low watermark of one pool and class: no live row of `ready` has a smaller tag."""

    __tablename__ = "mark"
    __table_args__ = (_HALF_FULL,)

    pool_id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    low: Mapped[int] = mapped_column(BigInteger)


class Lease(FarmTable):
    """The right to do a job, named by fence and token. The key is the job: there is one or none (INV-4)."""

    __tablename__ = "lease"
    __table_args__ = (_HALF_FULL,)

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """Greater than every fence before it, whoever held the job."""
    token_hash: Mapped[Sha256]
    """Random beside the fence: a restored database hands out fences again, but no token twice."""
    worker_id: Mapped[UUID]
    incarnation: Mapped[UUID]
    tenant_id: Mapped[UUID]
    project_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    pool_id: Mapped[UUID]
    class_id: Mapped[int] = mapped_column(SmallInteger)
    vtag: Mapped[int] = mapped_column(BigInteger)
    waited_ms: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """How long the job waited for this lease, from when it could have started."""
    leased_at: Mapped[RecordedNow]
    expires_at: Mapped[Moment]
    deadline_at: Mapped[Moment]
    progress: Mapped[float | None] = mapped_column(Double)
    phase: Mapped[str | None]
    node: Mapped[str | None]
    progressed_at: Mapped[RecordedNow]


class Delayed(FarmTable):
    """A job that waits for its time: a retry, or one that was asked to start later."""

    __tablename__ = "delayed"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    run_at: Mapped[Moment] = mapped_column(index=True)


class Dead(FarmTable):
    """A job that was given up, until somebody replays it."""

    __tablename__ = "dead"
    __table_args__ = (Index(None, "tenant_id", "job_id"),)

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    reason: Mapped[str]
    at: Mapped[RecordedNow]


class Result(FarmTable):
    """How a job ended: at most one row per job, ever."""

    __tablename__ = "result"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    token_hash: Mapped[Sha256]
    outcome: Mapped[str]
    worker_id: Mapped[UUID]
    at: Mapped[RecordedNow]


class RunFigure(FarmTable):
    """One try of a job, once it has ended: what it cost. Written where its lease ends, never changed."""

    __tablename__ = "run_figure"
    __table_args__ = (
        Index(None, "tenant_id", "ended_at"),
        Index("run_figure_ended_at_idx", "ended_at", postgresql_using="brin"),
    )

    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The lease's: no two tries have the same."""
    job_id: Mapped[UUID]
    tenant_id: Mapped[UUID]
    project_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    pool_id: Mapped[UUID]
    class_id: Mapped[int] = mapped_column(SmallInteger)
    worker_id: Mapped[UUID]
    model_set: Mapped[str]
    outcome: Mapped[str]
    """`succeeded`, `cancelled`, `failed` (of the job), `lost` (of the farm, uncounted)."""
    kind: Mapped[str | None]
    """Why it did not succeed, as a stable word: `execution-error`, `out-of-memory`, `lease-expired`, …"""
    waited_ms: Mapped[int] = mapped_column(BigInteger)
    """From when it could have started to the lease."""
    leased_at: Mapped[Moment]
    ended_at: Mapped[RecordedNow]
    loading_ms: Mapped[int | None] = mapped_column(BigInteger)
    executing_ms: Mapped[int | None] = mapped_column(BigInteger)
    model_loaded: Mapped[bool | None]
    """Whether it loaded its large model, or found it warm; null where the worker does not tell."""
    vram_peak_mb: Mapped[int | None]


# --- workers


class Worker(FarmTable):
    """Who does jobs: one row per join, and a fresh incarnation per start."""

    __tablename__ = "worker"
    __table_args__ = (_HALF_FULL,)

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
    registered_at: Mapped[Moment | None]
    seen_at: Mapped[Moment | None]
    created_at: Mapped[RecordedNow]


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
    """Names the file system that the folder lies on, where several workers may see the same one."""


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


# --- the server's own work


class Chore(FarmTable):
    """Follow-up work of the server: one row per batch and recipe. Done is deleted; given up stays, with its reason."""

    __tablename__ = "chore"
    __table_args__ = (
        CheckConstraint("cardinality(subjects) between 1 and 500", name="subjects"),
        Index("chore_order_idx", text("priority desc"), "id", postgresql_where="gave_up_at is null"),
        _HALF_FULL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), index=True)
    kind: Mapped[str]
    recipe: Mapped[str]
    subjects: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    priority: Mapped[int] = mapped_column(SmallInteger)
    """Greater comes first."""
    not_before: Mapped[RecordedNow]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    lease_token: Mapped[UUID | None]
    lease_until: Mapped[Moment | None]
    error: Mapped[str | None]
    gave_up_at: Mapped[Moment | None]
    created_at: Mapped[RecordedNow]


class Leader(FarmTable):
    """Who tends the queue at present. Lost in a crash, and then elected anew."""

    __tablename__ = "leader"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID]
    elected_at: Mapped[Moment]
    until: Mapped[Moment]


class RestoreEpoch(FarmTable):
    """Which database this was when the server last started: a change means that it was restored from a copy."""

    __tablename__ = "restore_epoch"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    system_identifier: Mapped[int] = mapped_column(BigInteger)
    timeline: Mapped[int]
    database_oid: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int]
    changed_at: Mapped[RecordedNow]
