"""The values this room hands out: who asks, and what they may see and do."""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

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


Sees: TypeAlias = "frozenset[ProjectId] | None"
"""The projects whose assets a caller may see; None is every asset of the tenant, those of no project included."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as far as it was proven."""

    tenant: TenantScope
    name: str
    scopes: frozenset[Scope]
    sees: Sees
    via: str
    """`key`, `session` or `local` (the local person of a server on loopback)."""
    person_id: PersonId | None = None
    key_id: KeyId | None = None
