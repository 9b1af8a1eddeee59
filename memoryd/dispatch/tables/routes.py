"""Jobs that are meant for particular workers, and where they go when those are not there."""

from __future__ import annotations

from sqlalchemy import ARRAY, Index, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow


class Route(FarmTable):
    """Where a routed job is now, and where it goes next. Read by the leader alone; no claim looks at it."""

    __tablename__ = "route"
    __table_args__ = (Index("route_open_idx", "job_id", unique=True, postgresql_where=text("open")),)

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    asked_pool_id: Mapped[UUID]
    """The pool that was asked for: where the job goes in the end, unless `only`."""
    worker_id: Mapped[UUID]
    """The worker in whose private pool it lies."""
    workers: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    """Those after this one, the nearest first."""
    only_these: Mapped[bool]
    """None but these workers: the job is given up rather than run by another."""
    since: Mapped[RecordedNow]
    """Since when it waits for this worker."""
    away_since: Mapped[Moment | None]
    """Since when this worker is not there, where there is no other to go to."""
    open: Mapped[bool]
    """Whether it may still go elsewhere: false once the job has ended, or left for its pool."""
