"""What is stored of recalls, and which weights touched which pictures: kept, so that a million are counted at once."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, Sha256, TenantTable


class Recall(TenantTable):
    """That a model is not to be used any more. A recall that was lifted stays; the model may be recalled again."""

    __tablename__ = "recall"
    __table_args__ = (
        CheckConstraint("octet_length(model) = 32", name="model"),
        Index("recall_standing_key", "model", unique=True, postgresql_where=text("lifted_at is null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model: Mapped[Sha256]
    """No key: weights that nobody of this tenant has seen yet may be recalled too."""
    kind: Mapped[str]
    """A RecallKind."""
    reason: Mapped[str]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    lifted_at: Mapped[Moment | None]
    lifted_by: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    lifted_reason: Mapped[str | None]
    marking: Mapped[str]
    """A MarkingState."""
    mark_cursor: Mapped[UUID | None]
    """The line that marking has come to, from the newest to the oldest; null at the start."""
    lines_marked: Mapped[int] = mapped_column(BigInteger, server_default="0")
    jobs_ended: Mapped[int] = mapped_column(server_default="0")
    """Jobs that waited for it or ran with it when it was recalled, and were ended for it."""


class RecalledModel(TenantTable):
    """Weights that a recall concerns: the model itself, and what was made of it, as far as that was known."""

    __tablename__ = "recalled_model"

    recall_id: Mapped[UUID] = mapped_column(ForeignKey("recall.id"), primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(primary_key=True, index=True)
    via: Mapped[str | None]
    """How it was made of the model: quantised, merge, …; null: it is the model."""


class TouchModel(TenantTable):
    """Weights that touched something, under a short number, and how much it is in all."""

    __tablename__ = "touch_model"

    no: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(unique=True)
    generations: Mapped[int] = mapped_column(BigInteger, server_default="0")
    assets: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lines: Mapped[int] = mapped_column(BigInteger, server_default="0")


class TouchRun(TenantTable):
    """That a run used some weights."""

    __tablename__ = "touch_run"

    generation_id: Mapped[UUID] = mapped_column(primary_key=True)
    model_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Touch(TenantTable):
    """That weights took part in making an asset, and in which projects (`people`: who made it there, in their order) it is.

    Follows the facts of runs through touch_change. Ordered by line, so that the newest come first. No key: one function
    writes them, thousands at once.
    """

    __tablename__ = "touch"

    model_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root_id: Mapped[UUID] = mapped_column(primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)
    projects: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    people: Mapped[list[UUID | None]] = mapped_column(ARRAY(Uuid()), server_default="{}")


class TouchTally(TenantTable):
    """How many assets of a project and of a person in it some weights touched: the sum of `touch`, changed with it."""

    __tablename__ = "touch_tally"

    model_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    """All zeros: nobody."""
    assets: Mapped[int] = mapped_column(BigInteger)


class TouchChange(TenantTable):
    """What a statement changed of runs' facts, outputs, owners or lineage, and `touch` does not know yet.

    Written by triggers, in the transaction that changes: what is in `touch` and here together is always all.
    """

    __tablename__ = "touch_change"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    assets: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    generations: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    at: Mapped[RecordedNow]
