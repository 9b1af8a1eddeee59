"""The values this room hands out: who asks, and what they may see and do."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import TypeAlias

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import TenantScope
from memoryd.foundation.ids import KeyId, PersonId, ProjectId


class Role(enum.StrEnum):
    """What a person does in a project, or in the whole tenant."""

    VIEWER = "viewer"
    """Sees."""
    ARTIST = "artist"
    """Sees, tags, rates, submits, makes again."""
    PRODUCER = "producer"
    """An artist who also approves."""
    OFFICER = "officer"
    """A viewer who also discloses, verifies and exports reports."""
    ADMIN = "admin"
    """Everything in the tenant, people and keys included."""


class Scope(enum.StrEnum):
    """What a caller may do."""

    READ = "read"
    ANNOTATE = "annotate"
    """Tag, rate, note, collect."""
    APPROVE = "approve"
    SUBMIT = "submit"
    """Jobs and reproductions."""
    INGEST = "ingest"
    """Record files, roots, models; retry quarantine."""
    DISCLOSE = "disclose"
    REPORT = "report"
    ADMIN = "admin"
    """People, keys, workers, pools."""
    WORK = "work"
    """Claim and complete jobs: a worker's key, and no person's."""


class TenantState(enum.StrEnum):
    """How far a tenant has come."""

    MAKING = "making"
    """Registered; its schema is not complete. `memoryd tenants add` takes it up again."""
    ACTIVE = "active"


Sees: TypeAlias = "frozenset[ProjectId] | None"
"""The projects whose assets a caller may see; None is every asset of the tenant, those of no project included."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as far as it was proven."""

    tenant: TenantScope
    name: str
    scopes: frozenset[Scope]
    """What the caller may do in at least one project."""
    sees: Sees
    """From a guard: the projects in which the caller holds the scope that the guard asked for."""
    via: str
    """`key`, `session` or `local` (the local person of a server on loopback)."""
    person_id: PersonId | None = None
    key_id: KeyId | None = None
    everywhere: frozenset[Scope] = frozenset()
    """What the caller may do in the whole tenant."""
    in_project: Mapping[ProjectId, frozenset[Scope]] = dataclasses.field(default_factory=dict)
    """What the caller may do in single projects besides."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """A worker's key, recognised. Which worker holds it is the dispatch room's knowledge."""

    tenant: TenantScope
    """Where the key was made; whom the worker serves is decided by its row, not by this."""
    key_id: KeyId
    name: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TenantView:
    """A tenant, as the directory shows it."""

    scope: TenantScope
    name: str
    state: TenantState
    time_zone: str
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProjectView:
    """A project. `pools` and `regions`: where its jobs may run; None is everywhere."""

    id: ProjectId
    slug: str
    name: str
    created_at: datetime.datetime
    archived_at: datetime.datetime | None
    pools: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MembershipView:
    """A person's role in a project; in the whole tenant where there is no project."""

    role: Role
    project: str | None
    project_id: ProjectId | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonView:
    """A person and their roles."""

    id: PersonId
    login: str
    display_name: str
    memberships: tuple[MembershipView, ...]
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """An API key without its secret, which nobody has but its holder."""

    id: KeyId
    name: str
    prefix: str
    person: str | None
    scopes: frozenset[Scope]
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    last_used_on: datetime.date | None
    revoked_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made: the only time that its token can be read."""

    id: KeyId
    prefix: str
    token: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """An audit entry, opened for reading."""

    seq: int
    at: datetime.datetime
    action: str
    subject: str
    via: str | None
    person_id: PersonId | None
    who: str | None
    """None where nobody was named (the server itself, a worker) or the person was erased: see `erased`."""
    erased: bool
    facts: Json
    hash: bytes
