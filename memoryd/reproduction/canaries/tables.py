"""What this room stores: which projects keep canaries, and every run with what it showed."""

from __future__ import annotations

import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class CanaryPolicy(TenantTable):
    """That a project keeps canaries; without a row it keeps none."""

    __tablename__ = "canary_policy"
    __table_args__ = (
        CheckConstraint("every_s > 0", name="every"),
        CheckConstraint("assets_limit > 0", name="assets"),
    )

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    every_s: Mapped[int | None]
    """Null: not on a schedule."""
    after_change: Mapped[bool]
    """When a worker's environment changed."""
    assets_limit: Mapped[int]
    collection_id: Mapped[UUID | None] = mapped_column(ForeignKey("collection.id"))
    """Only approved assets of this collection; null: of the project, one of each workflow."""
    keep_out: Mapped[bool]
    """A worker that drifts gets no reproduction work until somebody decides."""
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[RecordedNow]


class CanaryRun(TenantTable):
    """One approved asset, made again by one worker."""

    __tablename__ = "canary_run"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    worker_id: Mapped[UUID]
    worker: Mapped[str]
    """Its label then."""
    pool: Mapped[str]
    reason: Mapped[str]
    """`schedule`, `change` or `asked`."""
    state: Mapped[str]
    """`due`, `running` or `over`."""
    reproduction_id: Mapped[UUID]
    """Chosen before it is made, so that a process that died in between makes no second one."""
    stated: Mapped[bytes | None]
    """The environment that the worker stated when the run became due (hash)."""
    environment: Mapped[bytes | None]
    """The environment it really ran in (hash)."""
    outcome: Mapped[str | None]
    verdict: Mapped[str | None]
    """Against the approved original."""
    made_asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("asset.id"))
    made_sha256: Mapped[bytes | None]
    baseline_sha256: Mapped[bytes | None]
    """What it was compared with."""
    is_baseline: Mapped[bool] = mapped_column(server_default="false")
    """Later runs are compared with what this one made."""
    measures: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    causes: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    doubt_id: Mapped[UUID | None]
    at: Mapped[RecordedNow]
    begun_at: Mapped[datetime.datetime | None]
    ended_at: Mapped[datetime.datetime | None]


Index(
    "canary_run_open_key",
    CanaryRun.worker_id,
    CanaryRun.asset_id,
    CanaryRun.project_id,
    unique=True,
    postgresql_where=CanaryRun.state != "over",
)
Index("canary_run_latest_idx", CanaryRun.worker_id, CanaryRun.asset_id, CanaryRun.project_id, CanaryRun.id.desc())
Index("canary_run_newest_idx", CanaryRun.project_id, CanaryRun.id.desc())
