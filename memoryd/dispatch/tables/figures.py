"""What tries of jobs cost."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow


class RunFigure(FarmTable):
    """One try of a job, once it has ended: what it cost. Written where its lease ends, never changed."""

    __tablename__ = "run_figure"
    __table_args__ = (Index(None, "tenant_id", "ended_at"),)

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
