"""The shapes of this room's HTTP."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from memoryd.access.chain import ChainVerdict
from memoryd.access.facts import AuditView, Caller, KeyView, PersonView, ProjectView, Role, Scope


class Shape(BaseModel):
    """What all shapes share: members that we do not know are refused, so that a misspelt one is no silent default."""

    model_config = ConfigDict(extra="forbid")


class WhoAmI(Shape):
    """Who the server takes the caller for."""

    tenant: str
    name: str
    via: str
    person_id: UUID | None
    scopes: list[Scope]
    everywhere: list[Scope]
    """Held in the whole tenant."""
    projects: list[str]
    """Projects that the caller sees."""

    @classmethod
    def of(cls, caller: Caller, projects: list[ProjectView]) -> WhoAmI:
        """Return the shape of a caller."""
        return cls(
            tenant=caller.tenant.slug,
            name=caller.name,
            via=caller.via,
            person_id=caller.person_id,
            scopes=sorted(caller.scopes),
            everywhere=sorted(caller.everywhere),
            projects=[project.slug for project in projects],
        )


class ProjectShape(Shape):
    """A project. `pools` and `regions`: where its jobs may run; null is everywhere."""

    id: UUID
    slug: str
    name: str
    created_at: datetime.datetime
    archived_at: datetime.datetime | None
    pools: list[str] | None = None
    regions: list[str] | None = None

    @classmethod
    def of(cls, project: ProjectView) -> ProjectShape:
        """Return the shape of a project."""
        return cls(
            id=project.id,
            slug=project.slug,
            name=project.name,
            created_at=project.created_at,
            archived_at=project.archived_at,
            pools=None if project.pools is None else list(project.pools),
            regions=None if project.regions is None else list(project.regions),
        )


class ProjectPlaces(Shape):
    """Where a project's jobs may run; null is everywhere, what is not sent stays as it is."""

    pools: list[str] | None = None
    regions: list[str] | None = None


class ProjectList(Shape):
    """All projects that the caller sees: never so many that they come in pages."""

    items: list[ProjectShape]
    next_cursor: str | None = None


class NewProject(Shape):
    """A project to be made."""

    slug: str
    name: str | None = None


class RoleShape(Shape):
    """A role in a project; in the whole tenant where `project` is null."""

    role: Role
    project: str | None


class PersonShape(Shape):
    """A person."""

    id: UUID
    login: str
    display_name: str
    roles: list[RoleShape]
    created_at: datetime.datetime

    @classmethod
    def of(cls, person: PersonView) -> PersonShape:
        """Return the shape of a person."""
        return cls(
            id=person.id,
            login=person.login,
            display_name=person.display_name,
            roles=[RoleShape(role=each.role, project=each.project) for each in person.memberships],
            created_at=person.created_at,
        )


class PersonList(Shape):
    """Everybody of the tenant."""

    items: list[PersonShape]
    next_cursor: str | None = None


class NewPerson(Shape):
    """A person to be recorded, or given a further role."""

    login: str
    display_name: str | None = None
    email: str | None = Field(default=None, max_length=254)
    role: Role = Role.ARTIST
    project: str | None = None
    """Null: the role holds in the whole tenant."""


class SignInLinkShape(Shape):
    """A one-time link; shown once."""

    url: str
    token: str
    expires_at: datetime.datetime


class SignInToken(Shape):
    """What a one-time link carries."""

    token: str = Field(max_length=200)


class SignedIn(Shape):
    """Whose session began; its cookie is in the header."""

    tenant: str
    name: str


class NewKeyRequest(Shape):
    """An API key to be made, for the caller unless `person` names somebody else."""

    name: str
    scopes: list[Scope] = Field(min_length=1)
    person: str | None = None
    expires_at: AwareDatetime | None = None


class NewKeyShape(Shape):
    """A key that was just made. `token` is shown once."""

    id: UUID
    prefix: str
    token: str


class KeyShape(Shape):
    """A key without its secret."""

    id: UUID
    name: str
    prefix: str
    person: str | None
    scopes: list[Scope]
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    last_used_on: datetime.date | None
    revoked_at: datetime.datetime | None

    @classmethod
    def of(cls, key: KeyView) -> KeyShape:
        """Return the shape of a key."""
        return cls(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            person=key.person,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_on=key.last_used_on,
            revoked_at=key.revoked_at,
        )


class KeyList(Shape):
    """All keys of the tenant."""

    items: list[KeyShape]
    next_cursor: str | None = None


class AuditEntryShape(Shape):
    """A sealed entry."""

    seq: int
    at: datetime.datetime
    action: str
    subject: str
    via: str | None
    person_id: UUID | None
    who: str | None
    erased: bool
    facts: Any
    hash: str

    @classmethod
    def of(cls, entry: AuditView) -> AuditEntryShape:
        """Return the shape of an entry."""
        return cls(
            seq=entry.seq,
            at=entry.at,
            action=entry.action,
            subject=entry.subject,
            via=entry.via,
            person_id=entry.person_id,
            who=entry.who,
            erased=entry.erased,
            facts=entry.facts,
            hash=entry.hash.hex(),
        )


class AuditList(Shape):
    """Sealed entries, newest first."""

    items: list[AuditEntryShape]
    next_cursor: str | None


class FindingShape(Shape):
    """One defect of a trail."""

    defect: str
    seq: int
    sentence: str


class VerificationShape(Shape):
    """What verification of a trail found."""

    intact: bool
    entries: int
    last_seq: int
    checkpoints: int
    signed_to: int
    unsealed: int
    public_key: str | None
    defects: int
    findings: list[FindingShape]

    @classmethod
    def of(cls, verdict: ChainVerdict) -> VerificationShape:
        """Return the shape of a verdict."""
        return cls(
            intact=verdict.intact,
            entries=verdict.entries,
            last_seq=verdict.last_seq,
            checkpoints=verdict.checkpoints,
            signed_to=verdict.signed_to,
            unsealed=verdict.unsealed,
            public_key=verdict.public_key.hex() if verdict.public_key else None,
            defects=verdict.defects,
            findings=[
                FindingShape(defect=each.defect, seq=each.seq, sentence=each.sentence) for each in verdict.findings
            ],
        )


class CheckpointShape(Shape):
    """A signed checkpoint, as it is kept outside."""

    kind: str
    v: int
    statement: str
    public_key: str
    signature: str
