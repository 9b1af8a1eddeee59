"""The server's own work: chores, the leader, and which database this is."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.dispatch.tables.row_storage import HALF_FULL
from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow


class Chore(FarmTable):
    """Follow-up work of the server: one row per batch and recipe. Done is deleted; given up stays, with its reason."""

    __tablename__ = "chore"
    __table_args__ = (
        CheckConstraint("cardinality(subjects) between 1 and 500", name="subjects"),
        Index("chore_order_idx", text("priority desc"), "id", postgresql_where="gave_up_at is null"),
        HALF_FULL,
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
