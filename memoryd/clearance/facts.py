"""The values this room hands out: what is asked, what was decided, and what decided it."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Iterable, Mapping
from uuid import UUID

from memoryd.foundation.ids import AssetId, ProjectId
from memoryd.model_registry.licensing.terms import Grant

UNKNOWN_MAKING = "making"
"""The role of what is not known of a making; no model has it, and the name says what it is."""


class Use(enum.StrEnum):
    """What is done with what was made."""

    INTERNAL = "internal"
    """It stays in the studio: tests, references, previews."""
    CLIENT_DELIVERY = "client-delivery"
    """Handed to a client as work that was ordered."""
    ADVERTISING = "advertising"
    """Published to sell something."""
    RESALE = "resale"
    """Sold as it is, as often as somebody buys it."""
    TRAINING = "training"
    """Used to train another model."""


class Verdict(enum.StrEnum):
    """May it be used so? In this order; the strictest counts."""

    ALLOW = "allow"
    """Everything that took part is known, and its terms permit this."""
    REVIEW = "review"
    """A person has to decide: terms that can be read two ways, or depend on what was not told."""
    UNKNOWN = "unknown"
    """Something took part of which nobody knows the terms. Never shown as allowed (INV-7)."""
    BLOCK = "block"
    """Terms of something that took part forbid this."""


STRICTNESS = {verdict: place for place, verdict in enumerate(Verdict)}


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the strictest verdict; allow where there is none."""
    return max(verdicts, key=STRICTNESS.__getitem__, default=Verdict.ALLOW)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What for, where, and for whom. Facts are the strictest of the studio's and the client's; None is not known."""

    use: Use
    territories: tuple[str, ...]
    """Where it is used: ISO 3166-1 codes, `EU`, `world`; at least one."""
    revenue_usd: int | None = None
    """A year, in US dollars: the greatest that is known."""
    users: int | None = None
    """Of a product, a month: the greatest that is known."""
    client: str | None = None
    seats: tuple[str, ...] = ()
    """Where studio and client sit: terms may exclude who works there, wherever it is shown."""
    registered: tuple[str, ...] = ()
    """Licences (ids of terms) under which the studio registered."""
    untold: frozenset[str] = frozenset()
    """Facts that one of the two did not tell: `revenue`, `users`, `seat`. What the other told may still forbid."""

    def __post_init__(self) -> None:
        if not self.territories:
            raise ValueError("an occasion has at least one territory; `world` where nobody said which")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelInUse:
    """A model that took part. Without a hash it is known by a name alone, and no name grants anything."""

    sha256: bytes | None
    role: str
    name: str
    grants: tuple[Grant, ...] = ()
    elsewhere: bool = False
    """Pictures of another project alone tell of it: it counts, and who does not see that project is not told which."""
    recalled: str | None = None
    """Why it is out of use here, in words; None: no recall concerns it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CitedClause:
    """One reason: which clause of which licence of which model says what, and the verdict it leads to alone."""

    model: bytes | None
    model_name: str
    licence_id: UUID | None
    licence: str | None
    """Its title, or the name that somebody stated; None where there is none."""
    term: str
    """The term that decided (`revenue_cap`), or why there is none (`no-grant`, `no-hash`, `no-terms`)."""
    section: str
    says: str
    verdict: Verdict
    text_sha256: bytes | None
    """Of the licence's text as it was when this was decided."""
    confidence: str | None
    source: str | None = None
    """Who granted it: a GrantSource."""
    inherited: bool = False
    """It comes with the base or a parent of the model."""
    version: str = ""
    url: str | None = None
    elsewhere: bool = False
    """See ModelInUse."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Something to do though it is allowed: credit, disclose, pass on."""

    kind: str
    """attribution, naming, share-alike, disclosure, use-restrictions, no-training, no-derivatives, hosting, registration."""
    text: str
    model_name: str
    licence: str
    url: str | None = None
    elsewhere: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The strictest of all that took part, every clause with its own verdict (the strictest first), and the duties."""

    verdict: Verdict
    clauses: tuple[CitedClause, ...] = ()
    duties: tuple[Duty, ...] = ()

    @property
    def deciding(self) -> tuple[CitedClause, ...]:
        """The clauses that decided: without them it would be milder."""
        return tuple(clause for clause in self.clauses if clause.verdict is self.verdict)


class Kind(enum.StrEnum):
    """What a verdict is about."""

    ASSET = "asset"
    WORKFLOW = "workflow"
    PROJECT = "project"
    DELIVERY = "delivery"
    SET = "set"
    """Models that took part together: the verdict of every picture that they made, kept once."""


class VerdictState(enum.StrEnum):
    """Whether a kept verdict still holds."""

    STANDING = "standing"
    REOPENED = "reopened"
    """A licence, a grant or a fact changed under it: ask again."""
    SUPERSEDED = "superseded"
    """The same was asked later, and answered otherwise."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ItemVerdict:
    """The verdict on one asset of a delivery."""

    asset_id: AssetId
    root_id: AssetId
    verdict: Verdict


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """A verdict that is kept: on what, for what, what decided, and on which texts it rests."""

    id: UUID
    kind: Kind
    subject: bytes
    """The id of an asset, project or delivery (16 bytes), the exact digest of a workflow, the digest of a set."""
    name: str
    project_id: ProjectId | None
    occasion: Occasion
    judgement: Judgement
    at: datetime.datetime
    state: VerdictState = VerdictState.STANDING
    notes: tuple[str, ...] = ()
    """How far it reaches, in words."""
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Of a project or a delivery: how many assets have which verdict."""
    items: tuple[ItemVerdict, ...] = ()
    """Of a delivery, the strictest first; not kept."""
    person_id: UUID | None = None
    reopened_at: datetime.datetime | None = None
    reopened_why: str | None = None
    reopened_to: Verdict | None = None
