"""Jobs, where they wait, and the right to do them."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Double, ForeignKey, Identity, Index, SmallInteger, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.dispatch.tables.row_storage import CHURNING, HALF_FULL, MOSTLY_FULL
from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow, Sha256


class Job(FarmTable):
    """Durable work for a worker, as the queue knows it; what it asks for lies in the tenant's `job_detail`."""

    __tablename__ = "job"
    __table_args__ = (
        Index(None, "tenant_id", "id"),
        # None of them ever changes: state changes stay in their page (HOT).
        Index(None, "group_id", postgresql_where=text("group_id is not null")),
        Index(None, "after_job_id", postgresql_where=text("after_job_id is not null")),
        Index(None, "approval_id", postgresql_where=text("approval_id is not null")),
        MOSTLY_FULL,
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
    approval_id: Mapped[UUID | None]
    """Not while this approval is awaited, and not at all once it was refused."""
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
        # Neither begins as the primary key does, so that no condition fits two of them: see queries/ready_rows.
        Index("ready_model_set_idx", "model_set", "pool_id", "class_id", "vtag", "job_id"),
        Index("ready_tenant_idx", "tenant_id", "pool_id", "class_id", "vtag", "job_id"),
        CHURNING,
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
    __table_args__ = (
        Index("held_order_idx", "reason", "waits_for", "vtag", "job_id"),
        Index(None, "expires_at"),
        CHURNING,
    )

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    project_id: Mapped[UUID | None]
    reason: Mapped[str]
    """`after`, `approval`, `group`, `project` or `cap`."""
    waits_for: Mapped[UUID]
    """The job, approval, group, project or cap."""
    vtag: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[Moment]
    at: Mapped[RecordedNow]


class ApprovalHold(FarmTable):
    """That jobs wait for somebody to approve, or that it was refused. Given, it is gone, and nothing holds them back."""

    __tablename__ = "approval_hold"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    refused: Mapped[str | None]
    """Why; null while it is awaited."""
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


class Mark(FarmTable):
    """The low watermark of one pool and class: no live row of `ready` has a smaller tag."""

    __tablename__ = "mark"
    __table_args__ = (HALF_FULL,)

    pool_id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    low: Mapped[int] = mapped_column(BigInteger)


class Lease(FarmTable):
    """The right to do a job, named by fence and token. The key is the job: there is one or none (INV-4)."""

    __tablename__ = "lease"
    __table_args__ = (HALF_FULL,)

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
