"""What is stored about jobs in their tenant: what was asked for, by whom, and what became of it."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Double, ForeignKey, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, Sha256, TenantTable


class JobDetail(TenantTable):
    """What a job asks for. Its state is the queue's knowledge, in the farm; here is only how it ended."""

    __tablename__ = "job_detail"
    __table_args__ = (
        Index("job_detail_project_idx", "project_id", text("job_id desc")),
        Index("job_detail_group_idx", "group_id", "item_no", postgresql_where=text("group_id is not null")),
        # A list of jobs would else walk over a group of thousands.
        Index("job_detail_alone_idx", "job_id", postgresql_where=text("group_id is null")),
    )

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"), index=True)
    kind: Mapped[str]
    name: Mapped[str]
    """What people call the workflow; names the folder of its outputs."""
    pool: Mapped[str]
    urgency: Mapped[str]
    prompt: Mapped[bytes]
    """The JSON text to execute, verbatim (zlib): its spelling decides the file's bytes."""
    extra_data: Mapped[bytes]
    """The JSON text that goes with it, verbatim (zlib)."""
    recompute: Mapped[bool]
    inputs: Mapped[list[dict[str, object]]] = mapped_column(JSONB)
    """name, subfolder, type, sha256, size: the files the worker must put in place."""
    pins: Mapped[list[dict[str, object]]] = mapped_column(JSONB)
    """folder, name, sha256 or null: the weights it was accepted for."""
    environments: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """SHA-256 (hex) of the environments that alone may run it; null: any."""
    via: Mapped[str]
    workflow: Mapped[Sha256 | None]
    """The identity of its workflow, where it could be told: what it costs is learned by it."""
    group_id: Mapped[UUID | None]
    item_no: Mapped[int | None]
    """Its place in its group, from 0."""
    item: Mapped[dict[str, object] | None] = mapped_column(JSONB(none_as_null=True))
    """What its group put into the template for it: address (`6.text`) and value; numbers beyond 2^53 as text."""
    clearance: Mapped[dict[str, object] | None] = mapped_column(JSONB(none_as_null=True))
    """verdict, action, policy (version), notes, request: where its models' licences said more than yes."""
    created_at: Mapped[RecordedNow]
    result: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    """outcome, outputs (node, batch_index, sha256, asset_id), cached_nodes, environment_sha256, prompt_id, error."""


class JobEvent(TenantTable):
    """What happened to a job, in order."""

    __tablename__ = "job_event"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job_detail.job_id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    state: Mapped[str]
    at: Mapped[RecordedNow]
    worker: Mapped[str | None]
    reason: Mapped[str | None]


class RunCost(TenantTable):
    """How long runs of a workflow take in a pool, learned from those that ended. A moving mean, with its spread."""

    __tablename__ = "run_cost"

    workflow: Mapped[Sha256] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int]
    mean_ms: Mapped[float] = mapped_column(Double)
    spread_ms: Mapped[float] = mapped_column(Double)
    """Mean distance from the mean."""
    at: Mapped[RecordedNow]


class GroupRequest(TenantTable):
    """How a group was asked for. How far it is is the queue's knowledge, in the farm."""

    __tablename__ = "group_request"

    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str | None] = mapped_column(unique=True)
    """The caller's idempotency key."""
    body_sha256: Mapped[Sha256]
    template: Mapped[bytes]
    """The graph that its items were made from: JSON text (zlib)."""
    inputs: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """The inputs that its items have values for, as they were named."""
    created_at: Mapped[RecordedNow]


class JobWords(TenantTable):
    """The words of a job's texts, by which its cost is found again, whether or not it made anything."""

    __tablename__ = "job_words"
    __table_args__ = (Index(None, "words", postgresql_using="gin"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job_detail.job_id"), primary_key=True)
    words: Mapped[str] = mapped_column(TSVECTOR)
