"""Workers whose output drifted, and whose turn it is to be tried."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow


class WorkerDoubt(FarmTable):
    """That a worker no longer makes what it made, as one tenant's project found; it stands until somebody decides.

    Nothing here names an asset: a worker is shared, what one tenant approved is not.
    """

    __tablename__ = "worker_doubt"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    project_id: Mapped[UUID]
    reason: Mapped[str]
    """`pixels-drifted` or `file-drifted`."""
    last_good_at: Mapped[Moment | None]
    """The last run before the doubt that was as it should be; null where there was none on this worker."""
    first_bad_at: Mapped[Moment]
    change: Mapped[list[dict[str, object]]] = mapped_column(JSONB, server_default="[]")
    """What differs between the worker's environments of these two runs, the likeliest reason first."""
    changed: Mapped[bool | None]
    """Whether its environment differs at all; null where one of the two is not known."""
    keeps_out: Mapped[bool]
    bad_runs: Mapped[int] = mapped_column(server_default="1")
    last_bad_at: Mapped[Moment]
    good_again_at: Mapped[Moment | None]
    """Since when every asset that had drifted is made as before, though nobody has decided yet."""
    raised_at: Mapped[RecordedNow]
    decided_at: Mapped[Moment | None]
    decided_by: Mapped[UUID | None]
    decision: Mapped[str | None]
    note: Mapped[str | None]
    closed_at: Mapped[Moment | None]


Index(
    "worker_doubt_standing_key",
    WorkerDoubt.tenant_id,
    WorkerDoubt.worker_id,
    WorkerDoubt.project_id,
    unique=True,
    postgresql_where=WorkerDoubt.closed_at.is_(None),
)
Index("worker_doubt_worker_id_idx", WorkerDoubt.worker_id, WorkerDoubt.raised_at.desc(), WorkerDoubt.id.desc())


class CanaryTurn(FarmTable):
    """Whose canary a worker runs at present: one at a time, over all tenants that it serves."""

    __tablename__ = "canary_turn"

    worker_id: Mapped[UUID] = mapped_column(ForeignKey("worker.id"), primary_key=True)
    tenant_id: Mapped[UUID]
    run_id: Mapped[UUID]
    until: Mapped[Moment]
    """A turn that nobody ended by then is anybody's."""
