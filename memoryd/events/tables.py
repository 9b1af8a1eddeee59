"""What is stored about what happened: the outbox, the events in their one order, and who wants to be told."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, TenantTable


class Outbox(TenantTable):
    """Something that happened in a transaction, waiting for its place in the order."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[RecordedNow]
    kind: Mapped[str]
    subject: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    body: Mapped[str]
    """Canonical JSON. Text, not jsonb: jsonb refuses an escaped NUL."""


class Event(TenantTable):
    """Something that happened, at its place. The relay alone gives `seq`, one after the other, without gaps."""

    __tablename__ = "event"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[Moment] = mapped_column(index=True)
    kind: Mapped[str]
    subject: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    body: Mapped[str]


class Webhook(TenantTable):
    """An address that is told of events."""

    __tablename__ = "webhook"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    kinds: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Null: every kind."""
    secret_sealed: Mapped[bytes]
    after: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The last event that was turned into deliveries."""
    created_at: Mapped[RecordedNow]
    disabled_at: Mapped[Moment | None]


class WebhookDelivery(TenantTable):
    """One event on its way to one address."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index(None, "next_try_at", postgresql_where=text("delivered_at is null and failed_at is null")),)

    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhook.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tries: Mapped[int] = mapped_column(server_default="0")
    next_try_at: Mapped[RecordedNow]
    last_answer: Mapped[str | None]
    delivered_at: Mapped[Moment | None]
    failed_at: Mapped[Moment | None]
