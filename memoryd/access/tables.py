"""What is stored about tenants, people, keys, sessions and the audit trail."""

from __future__ import annotations

import datetime

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, FarmTable, Moment, RecordedNow, Sha256, TenantTable

# --- the farm: what must be known before a tenant is


class Tenant(FarmTable):
    """A studio or client organisation, and where its data lies."""

    __tablename__ = "tenant"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    schema: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str] = mapped_column(unique=True)
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    state: Mapped[str]
    created_at: Mapped[RecordedNow]


class KeyIndex(FarmTable):
    """Whose key has this prefix: the one thing that is looked up across tenants when a key comes in."""

    __tablename__ = "key_index"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), index=True)
    key_id: Mapped[UUID]


# --- a tenant: projects and clients


class Client(TenantTable):
    """For whom a project works."""

    __tablename__ = "client"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    facts: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    """Revenue band, territory: what licence terms ask about."""
    created_at: Mapped[RecordedNow]


class Project(TenantTable):
    """What assets are made for; what a person may see is decided by project."""

    __tablename__ = "project"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    client_id: Mapped[UUID | None] = mapped_column(ForeignKey("client.id"))
    policy_version: Mapped[str | None]
    pools: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Names of the pools its jobs may use; null is all that the tenant may use."""
    regions: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Regions in which its jobs may run; null is everywhere."""
    created_at: Mapped[RecordedNow]
    archived_at: Mapped[Moment | None]


class Delivery(TenantTable):
    """What is handed to a client at one time."""

    __tablename__ = "delivery"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    client_id: Mapped[UUID | None] = mapped_column(ForeignKey("client.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    state: Mapped[str]
    created_at: Mapped[RecordedNow]
    frozen_at: Mapped[Moment | None]


class DeliveryItem(TenantTable):
    """An asset of a delivery. The asset's tables lie above this room, so no key refers to them."""

    __tablename__ = "delivery_item"

    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    root_id: Mapped[UUID] = mapped_column(primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(primary_key=True)


# --- a tenant: people and what proves who they are


class Person(TenantTable):
    """Somebody of the studio."""

    __tablename__ = "person"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str]
    email_sealed: Mapped[bytes | None]
    """Under the person's key."""
    created_at: Mapped[RecordedNow]
    erased_at: Mapped[Moment | None]


class Membership(TenantTable):
    """A person's role in a project, or in the whole tenant."""

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("person_id", "project_id", postgresql_nulls_not_distinct=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"), index=True)
    """Null: in the whole tenant."""
    role: Mapped[str]
    since: Mapped[RecordedNow]


class PersonKey(TenantTable):
    """The key that a person's personal parts are sealed with; destroying it erases them everywhere, backups apart."""

    __tablename__ = "person_key"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    wrapped: Mapped[bytes | None]
    """Sealed under the key file; null once destroyed."""
    made_at: Mapped[RecordedNow]
    destroyed_at: Mapped[Moment | None]


class ApiKey(TenantTable):
    """A key for programs. Only the hash of its secret is here."""

    __tablename__ = "api_key"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"), index=True)
    """Null: a worker's."""
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[Sha256]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[RecordedNow]
    expires_at: Mapped[Moment | None]
    last_used_on: Mapped[datetime.date | None]
    """A date: enough to find dead keys, too little to follow a person's day."""
    revoked_at: Mapped[Moment | None]


class SignIn(TenantTable):
    """A one-time link that starts a session."""

    __tablename__ = "sign_in"

    token_hash: Mapped[Sha256] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    made_at: Mapped[RecordedNow]
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]


class WebSession(TenantTable):
    """A browser that is signed in."""

    __tablename__ = "web_session"

    token_hash: Mapped[Sha256] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    made_at: Mapped[RecordedNow]
    expires_at: Mapped[Moment]


# --- a tenant: the audit trail


class AuditPending(TenantTable):
    """An action that committed and is not yet sealed. Its personal part is plain until then."""

    __tablename__ = "audit_pending"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[RecordedNow]
    action: Mapped[str]
    subject: Mapped[str]
    via: Mapped[str | None]
    key_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    facts: Mapped[str]
    """Canonical JSON. Text, not jsonb: jsonb refuses an escaped NUL."""
    personal: Mapped[str | None]
    """Canonical JSON."""


class AuditEntry(TenantTable):
    """A sealed entry. Append-only: the tenant's role may neither update nor delete here (INV-9)."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        CheckConstraint("length(hash) = 32", name="hash"),
        Index(None, "action", "seq"),
        Index(None, "subject", "seq"),
        Index(None, "person_id", "seq"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[Moment]
    action: Mapped[str]
    subject: Mapped[str]
    person_id: Mapped[UUID | None]
    body: Mapped[bytes]
    """Canonical JSON; `at`, `action`, `subject` and `person_id` beside it are for looking up, and checked against it."""
    personal_sealed: Mapped[bytes | None]
    hash: Mapped[Sha256]


class AuditCheckpoint(TenantTable):
    """A signed statement of how far the trail had come. Append-only as the entries are."""

    __tablename__ = "audit_checkpoint"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[Sha256]
    at: Mapped[Moment]
    statement: Mapped[bytes]
    """Canonical JSON: what is signed."""
    public_key: Mapped[bytes]
    signature: Mapped[bytes]


APPEND_ONLY = (AuditEntry.__tablename__, AuditCheckpoint.__tablename__)
"""Tables of which the tenant's role may only read and add rows."""
