"""What is stored of licences besides the shipped table: what people of the tenant added and changed, every version."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, TenantTable


class LicenceTerms(TenantTable):
    """A person's version of a licence's terms; the one without an end counts. Rows are ended, never changed."""

    __tablename__ = "licence_terms"
    __table_args__ = (
        Index("licence_terms_present_key", "licence", unique=True, postgresql_where=text("ended_at is null")),
    )

    licence: Mapped[str] = mapped_column(primary_key=True)
    """The slug."""
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1, 2, 3 …: that of the person's statements, not of the licence."""
    document: Mapped[dict[str, object] | None] = mapped_column(JSONB(none_as_null=True))
    """The whole licence, where it was added; null where the shipped one is changed."""
    changes: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    """Members that replace the document's."""
    reasons: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    """Per replaced member, why."""
    reason: Mapped[str]
    """Why this version was made."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    ended_at: Mapped[Moment | None]
