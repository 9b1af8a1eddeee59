"""The terms of a licence as values, and who granted them to a model. What they mean for a use is judged elsewhere."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID, uuid5

_LICENCES = UUID("6b1c8c0e-5d0a-5f6e-9f0b-2d7c51f3a4e1")
"""The name space of licences' ids: the same licence has the same id on every server."""


class Answer(enum.StrEnum):
    """What terms say about a commercial use."""

    YES = "yes"
    NO = "no"
    CONDITIONAL = "conditional"
    """Under the conditions that the other terms state: a cap, a registration, a territory."""
    UNCLEAR = "unclear"
    """The text is silent, contradicts itself, or was not read."""


class Confidence(enum.StrEnum):
    """How sure the table is of a row."""

    HIGH = "H"
    """The text was read, or several sources agree."""
    MEDIUM = "M"
    """Sources at second hand agree."""
    LOW = "L"
    """Somebody says so."""


class AboveCap(enum.StrEnum):
    """What a business above a revenue cap needs."""

    PAID_LICENCE = "paid-licence"
    REGISTER = "register"


class AttributionWhen(enum.StrEnum):
    """On what an attribution is due."""

    OUTPUTS = "outputs"
    """On what was made."""
    DISTRIBUTION = "distribution"
    """Where the weights, or a product or service that contains them, are passed on."""
    ENCOURAGED = "encouraged"
    """Asked for, not demanded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RevenueCap:
    """The yearly revenue from which on the terms do not hold by themselves; below it they do."""

    amount: int
    """Whole units of the currency, a year."""
    currency: str
    """ISO 4217."""
    above: AboveCap


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Words that have to be shown, and where."""

    text: str
    when: AttributionWhen


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """Where a licence says something, and what, in our own words."""

    section: str
    """Of the licence's text; empty where it is not known."""
    says: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A licence's terms. Facts to review with, never advice; `docs/licences.md` says what each one means."""

    id: str
    """A slug: `apache-2.0`, `flux-1-dev-non-commercial`."""
    version: str
    """Of these facts; `+local.N` where a person of the tenant changed them."""
    title: str
    spdx: str
    """An SPDX id, else a LicenseRef."""
    url: str | None
    text_sha256: bytes | None
    """Of the text that was read; None where no text was at hand."""
    outputs_commercial: Answer
    model_commercial: Answer
    revenue_cap: RevenueCap | None = None
    users_cap: int | None = None
    """Users a month up to which the terms hold by themselves."""
    registration: bool = False
    """Commercial use has to be registered."""
    territory_excluded: tuple[str, ...] = ()
    """ISO 3166-1 alpha-2, or `EU` for its members; never `UK` (that is `GB`)."""
    outputs_bound_to_territory: bool = False
    """What was made may not be used in the excluded territories either."""
    attribution: Attribution | None = None
    derivative_naming: str | None = None
    """How derived models have to be named."""
    derivatives_allowed: bool = True
    """Other models may be made from it and passed on."""
    share_alike: bool = False
    training_ban: bool = False
    """What was made may not train other models (which: see the clause)."""
    use_restrictions: bool = False
    aup_url: str | None = None
    hosting_restricted: bool = False
    disclosure_duty: str | None = None
    """What has to be told or checked about generated content, in words."""
    disputed: str | None = None
    """Why readings conflict: a person has to decide."""
    confidence: Confidence = Confidence.LOW
    verified_at: datetime.date | None = None
    verified_by: str = ""
    clauses: Mapping[str, Clause] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    """By the term's name."""
    notes: str = ""

    @property
    def key(self) -> UUID:
        """The licence's id where one is stored or compared; the same for every version."""
        return licence_key(self.id)


class GrantSource(enum.StrEnum):
    """What grants a licence to a model."""

    HEADER = "header"
    """The file's own metadata: stated by whoever wrote it, verified by nobody."""
    SIDECAR = "sidecar"
    """A file that lies beside it: a downloader's note, a model card."""
    KNOWN_FILE = "known-file"
    """Its bytes are those of a file whose licence was published with its hash."""
    KNOWN_BASE = "known-base"
    """The family that it was made of; restricts only."""
    DERIVED = "derived"
    """A model that it was made from; restricts only."""
    PERSON = "person"
    """A person of this tenant, who is in the audit trail."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One licence that something grants to a model."""

    model: bytes
    """The model it counts for; of an inherited one the model that inherits."""
    terms: Terms | None
    """None: a name that nobody knows terms for."""
    name: str
    """As it was stated; the title where nobody stated one."""
    source: GrantSource
    inherited: bool = False
    """It can only restrict, and no statement about the model itself ends it."""
    licence_id: UUID | None = None
    """`Terms.key`, or that of the unknown name."""
    text_sha256: bytes | None = None
    statement: UUID | None = None
    """The stored statement, where it is one: a person's can be withdrawn."""
    by: UUID | None = None
    """The person who stated it."""
    reason: str | None = None
    """The person's; else the base, the parent or the source of the hash that it rests on."""
    at: datetime.datetime | None = None


def licence_key(licence: str) -> UUID:
    """Return the id under which a licence (a slug) is stored and compared."""
    return uuid5(_LICENCES, licence)


def unknown_key(name: str) -> UUID:
    """Return the id of a licence that nobody knows but by this name."""
    return uuid5(_LICENCES, f"name:{' '.join(name.lower().split())}")
