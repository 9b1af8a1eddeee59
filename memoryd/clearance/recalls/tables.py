"""What is stored of recalls: which model, why, by whom, which other weights that takes along, and how far marking is."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
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
    """The run that marking has come to, from the newest to the oldest; null at the start."""
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
