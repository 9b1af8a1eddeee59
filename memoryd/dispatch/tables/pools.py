"""Pools, job classes, and who may use how much of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Index, LargeBinary, SmallInteger
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.dispatch.tables.row_storage import HALF_FULL
from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow

NOBODY = "00000000-0000-0000-0000-000000000000"
"""Stands for no project in a flow's key, and for the whole pool in a setback's."""


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
    owner_worker: Mapped[UUID | None] = mapped_column(unique=True)
    """The one worker that claims from it: a pool for jobs that are meant for that worker, which nobody else sees."""
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
    __table_args__ = (HALF_FULL,)

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
