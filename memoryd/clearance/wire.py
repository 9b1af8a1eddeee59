"""The shapes of HTTP: questions, verdicts with every clause, clients and deliveries."""

from __future__ import annotations

import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from memoryd.access.clients.facts import ClientView, DeliveryState, DeliveryView, PartyFacts
from memoryd.clearance.facts import CitedClause, Cleared, Duty, ItemVerdict, Kind, Use, Verdict, VerdictState
from memoryd.clearance.occasions import TERRITORIES_LIMIT, occasion_json

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Ref = Annotated[str, StringConstraints(min_length=1, max_length=4_096)]
_Words = Annotated[list[Annotated[str, StringConstraints(max_length=200)]], Field(max_length=TERRITORIES_LIMIT)]
_Count = Annotated[int, Field(ge=0, le=2**62)]


class Shape(BaseModel):
    """What all shapes share: members that we do not know are refused."""

    model_config = ConfigDict(extra="forbid")


class CheckRequest(Shape):
    """What to check: one of asset, workflow (API format), project, delivery; for what, where, for whom.

    Without `use` what the project's policy says, else client delivery; without `territories` the world.
    """

    asset: _Ref | None = None
    workflow: dict[str, Any] | None = None
    project: _Name | None = None
    """Alone: the whole project; beside a workflow: the project that it would run in."""
    delivery: _Ref | None = None
    use: Use | None = None
    territories: _Words | None = None
    client: _Name | None = None


class ClauseShape(Shape):
    """One reason. `model` and `licence` null where they are not known, or not the caller's to know (`elsewhere`)."""

    model: str | None
    model_name: str
    licence_id: UUID | None
    licence: str | None
    version: str
    url: str | None
    term: str
    section: str
    says: str
    verdict: Verdict
    text_sha256: str | None
    confidence: str | None
    source: str | None
    inherited: bool
    elsewhere: bool

    @classmethod
    def of(cls, clause: CitedClause) -> ClauseShape:
        """Return the shape of a clause."""
        return cls(
            model=None if clause.model is None else clause.model.hex(),
            model_name=clause.model_name,
            licence_id=clause.licence_id,
            licence=clause.licence,
            version=clause.version,
            url=clause.url,
            term=clause.term,
            section=clause.section,
            says=clause.says,
            verdict=clause.verdict,
            text_sha256=None if clause.text_sha256 is None else clause.text_sha256.hex(),
            confidence=clause.confidence,
            source=clause.source,
            inherited=clause.inherited,
            elsewhere=clause.elsewhere,
        )


class DutyShape(Shape):
    """Something to do though it is allowed."""

    kind: str
    text: str
    model_name: str
    licence: str
    url: str | None

    @classmethod
    def of(cls, duty: Duty) -> DutyShape:
        """Return the shape of a duty."""
        return cls(kind=duty.kind, text=duty.text, model_name=duty.model_name, licence=duty.licence, url=duty.url)


class OccasionShape(Shape):
    """What for, where, for whom, with the facts that counted; `untold` names those that studio or client did not tell."""

    use: Use
    territories: list[str]
    client: str | None
    revenue_usd: int | None
    users: int | None
    seats: list[str]
    registered: list[str]
    untold: list[str]


class ItemShape(Shape):
    """The verdict on one asset of a delivery."""

    asset_id: UUID
    root_id: UUID
    verdict: Verdict

    @classmethod
    def of(cls, item: ItemVerdict) -> ItemShape:
        """Return the shape of an item's verdict."""
        return cls(asset_id=item.asset_id, root_id=item.root_id, verdict=item.verdict)


class VerdictShape(Shape):
    """A kept verdict: `clauses` with the strictest first, those of the verdict itself decided. A review, never advice."""

    id: UUID
    kind: Kind
    subject: str
    name: str
    project_id: UUID | None
    verdict: Verdict
    occasion: OccasionShape
    clauses: list[ClauseShape]
    duties: list[DutyShape]
    notes: list[str]
    counts: dict[str, int]
    items: list[ItemShape]
    at: datetime.datetime
    state: VerdictState
    reopened_at: datetime.datetime | None
    reopened_why: str | None
    reopened_to: Verdict | None

    @classmethod
    def of(cls, cleared: Cleared) -> VerdictShape:
        """Return the shape of a verdict."""
        short = cleared.kind in (Kind.ASSET, Kind.PROJECT, Kind.DELIVERY)
        return cls(
            id=cleared.id,
            kind=cleared.kind,
            subject=str(UUID(bytes=cleared.subject)) if short else cleared.subject.hex(),
            name=cleared.name,
            project_id=cleared.project_id,
            verdict=cleared.judgement.verdict,
            occasion=OccasionShape.model_validate(occasion_json(cleared.occasion)),
            clauses=[ClauseShape.of(clause) for clause in cleared.judgement.clauses],
            duties=[DutyShape.of(duty) for duty in cleared.judgement.duties],
            notes=list(cleared.notes),
            counts=dict(cleared.counts),
            items=[ItemShape.of(item) for item in cleared.items],
            at=cleared.at,
            state=cleared.state,
            reopened_at=cleared.reopened_at,
            reopened_why=cleared.reopened_why,
            reopened_to=cleared.reopened_to,
        )


class VerdictList(Shape):
    """A page of kept verdicts."""

    items: list[VerdictShape]
    next_cursor: str | None


class PartyShape(Shape):
    """What licences ask about a business; null and empty are *not told*. Revenue a year in US dollars, users a month."""

    revenue_usd: int | None
    users: int | None
    seats: list[str]
    registered: list[str]

    @classmethod
    def of(cls, facts: PartyFacts) -> PartyShape:
        """Return the shape of the facts."""
        return cls(
            revenue_usd=facts.revenue_usd, users=facts.users, seats=list(facts.seats), registered=list(facts.registered)
        )


class PartyRequest(Shape):
    """Facts to set; what is null stays, what `forget` names (`revenue_usd`, `users`, `seats`, `registered`) goes."""

    revenue_usd: _Count | None = None
    users: _Count | None = None
    seats: _Words | None = None
    registered: _Words | None = None
    forget: list[str] = []


class NewClient(PartyRequest):
    """A client to be recorded."""

    name: _Name


class ClientRequest(PartyRequest):
    """What is told of a client; `project` begins to work for it."""

    project: _Name | None = None


class ClientShape(Shape):
    """A client; `projects` are those that the caller sees."""

    id: UUID
    name: str
    facts: PartyShape
    projects: list[str]
    created_at: datetime.datetime

    @classmethod
    def of(cls, client: ClientView) -> ClientShape:
        """Return the shape of a client."""
        return cls(
            id=client.id,
            name=client.name,
            facts=PartyShape.of(client.facts),
            projects=list(client.projects),
            created_at=client.created_at,
        )


class ClientList(Shape):
    """All clients that the caller may know of: never so many that they come in pages."""

    items: list[ClientShape]
    next_cursor: str | None = None


class NewDelivery(Shape):
    """A delivery to be begun; without a client it is the project's."""

    name: _Name
    project: _Name
    client: _Name | None = None


class DeliveryItems(Shape):
    """Assets to be added, by id, SHA-256 or path; or all that a search finds."""

    assets: Annotated[list[_Ref], Field(max_length=1_000)] = []
    query: Annotated[str, StringConstraints(max_length=4_000)] | None = None


class AddedShape(Shape):
    """How many assets are new in the delivery."""

    added: int


class DeliveryShape(Shape):
    """A delivery: what is handed to a client at one time."""

    id: UUID
    name: str
    project: str
    client: str | None
    state: DeliveryState
    items: int
    created_at: datetime.datetime
    frozen_at: datetime.datetime | None

    @classmethod
    def of(cls, delivery: DeliveryView) -> DeliveryShape:
        """Return the shape of a delivery."""
        return cls(
            id=delivery.id,
            name=delivery.name,
            project=delivery.project,
            client=delivery.client,
            state=delivery.state,
            items=delivery.items,
            created_at=delivery.created_at,
            frozen_at=delivery.frozen_at,
        )


class DeliveryList(Shape):
    """A page of deliveries, newest first."""

    items: list[DeliveryShape]
    next_cursor: str | None


class RefreshShape(Shape):
    """How many assets are worked out anew, by and by."""

    assets: int
