"""The shapes of licences and grants over HTTP. Hashes are lower-case hex."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from memoryd.foundation.reasons import REASON_LIMIT
from memoryd.model_registry.licensing.effective import LicenceVersion
from memoryd.model_registry.licensing.terms import (
    AboveCap,
    Answer,
    AttributionWhen,
    Confidence,
    Grant,
    GrantSource,
    Terms,
)
from memoryd.model_registry.wire import Shape
from memoryd.weights.describing import LICENCE_LIMIT

CHANGES_LIMIT = 40
"""Terms that one request replaces: more than a licence has."""

_Reason = Annotated[str, StringConstraints(min_length=1, max_length=REASON_LIMIT)]
_TermName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,60}$")]


class RevenueCapShape(Shape):
    """Below this yearly revenue the terms hold by themselves."""

    amount: int
    currency: str
    above: AboveCap


class AttributionShape(Shape):
    """Words that are owed, and on what."""

    text: str
    when: AttributionWhen


class ClauseShape(Shape):
    """Where the text says it, and what, in own words."""

    section: str
    says: str


class TermsShape(Shape):
    """The terms of a licence as they count in this tenant; `docs/licences.md` says what each means."""

    id: str
    version: str
    title: str
    spdx: str
    url: str | None
    text_sha256: str | None
    outputs_commercial: Answer
    model_commercial: Answer
    revenue_cap: RevenueCapShape | None
    users_cap: int | None
    registration: bool
    territory_excluded: list[str]
    outputs_bound_to_territory: bool
    attribution: AttributionShape | None
    derivative_naming: str | None
    derivatives_allowed: bool
    share_alike: bool
    training_ban: bool
    use_restrictions: bool
    aup_url: str | None
    hosting_restricted: bool
    disclosure_duty: str | None
    disputed: str | None
    confidence: Confidence
    verified_at: datetime.date | None
    verified_by: str
    clauses: dict[str, ClauseShape]
    notes: str

    @classmethod
    def of(cls, terms: Terms) -> TermsShape:
        """Return the shape of terms."""
        cap, owed = terms.revenue_cap, terms.attribution
        plain = {name: getattr(terms, name) for name in cls.model_fields if name not in _MADE}
        return cls(
            **plain,
            text_sha256=None if terms.text_sha256 is None else terms.text_sha256.hex(),
            revenue_cap=None
            if cap is None
            else RevenueCapShape(amount=cap.amount, currency=cap.currency, above=cap.above),
            territory_excluded=list(terms.territory_excluded),
            attribution=None if owed is None else AttributionShape(text=owed.text, when=owed.when),
            clauses={name: ClauseShape(section=one.section, says=one.says) for name, one in terms.clauses.items()},
        )


_MADE = frozenset({"text_sha256", "revenue_cap", "territory_excluded", "attribution", "clauses"})


class LicenceRow(Shape):
    """A licence as the list shows it. `local`: a person of the tenant added or changed it."""

    id: str
    title: str
    version: str
    spdx: str
    outputs_commercial: Answer
    model_commercial: Answer
    confidence: Confidence
    disputed: bool
    local: bool

    @classmethod
    def of(cls, terms: Terms, *, local: bool) -> LicenceRow:
        """Return the shape of a licence's row."""
        return cls(
            id=terms.id,
            title=terms.title,
            version=terms.version,
            spdx=terms.spdx,
            outputs_commercial=terms.outputs_commercial,
            model_commercial=terms.model_commercial,
            confidence=terms.confidence,
            disputed=terms.disputed is not None,
            local=local,
        )


class LicenceRows(Shape):
    """A page of licences."""

    items: list[LicenceRow]
    next_cursor: str | None


class LicenceVersionShape(Shape):
    """What a person made of a licence, and why; the one without an end counts."""

    version: int
    added: bool
    changes: dict[str, Any]
    reasons: dict[str, str]
    reason: str
    person_id: UUID | None
    at: datetime.datetime
    ended_at: datetime.datetime | None

    @classmethod
    def of(cls, version: LicenceVersion) -> LicenceVersionShape:
        """Return the shape of a person's version."""
        return cls(
            version=version.version,
            added=version.added,
            changes=dict(version.changes),
            reasons=dict(version.reasons),
            reason=version.reason,
            person_id=version.by,
            at=version.at,
            ended_at=version.ended_at,
        )


class LicenceDetailShape(Shape):
    """A licence with everything: `document` is what `POST /v1/licences` takes, null for the permissions of a page."""

    terms: TermsShape
    local: bool
    document: dict[str, Any] | None
    versions: list[LicenceVersionShape]

    @classmethod
    def of_licence(
        cls, terms: Terms, document: Mapping[str, Any] | None, versions: list[LicenceVersion], *, local: bool
    ) -> LicenceDetailShape:
        """Return the shape of a licence with everything."""
        return cls(
            terms=TermsShape.of(terms),
            local=local,
            document=None if document is None else dict(document),
            versions=[LicenceVersionShape.of(version) for version in versions],
        )


class AddLicenceRequest(Shape):
    """A licence (`schemas/licence.v1.schema.json`) that a person brings, and why."""

    document: dict[str, Any]
    reason: _Reason


class OverrideRequest(Shape):
    """Terms to replace, and why."""

    terms: Annotated[dict[_TermName, Any], Field(min_length=1, max_length=CHANGES_LIMIT)]
    reason: _Reason


class RestoreRequest(Shape):
    """Terms to take back; none: all that was changed."""

    terms: Annotated[tuple[_TermName, ...], Field(max_length=CHANGES_LIMIT)] = ()
    reason: _Reason


class RestoredShape(Shape):
    """What counts after something was taken back; null where that was the only thing known of the licence."""

    terms: TermsShape | None


class GrantRequest(Shape):
    """A licence to state for a model, and why: it counts instead of what the file says of itself."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=LICENCE_LIMIT)]
    version: str = ""
    url: str | None = None
    reason: _Reason


class GrantShape(Shape):
    """What grants a licence to a model. `licence` null: a name that nobody knows terms for. `inherited`: only restricts."""

    licence: str | None
    title: str
    licence_id: UUID | None
    source: GrantSource
    inherited: bool
    text_sha256: str | None
    statement_id: UUID | None
    """Of a person's statement: what withdraws it."""
    person_id: UUID | None
    reason: str | None
    at: datetime.datetime | None
    outputs_commercial: Answer | None
    model_commercial: Answer | None
    confidence: Confidence | None
    disputed: str | None

    @classmethod
    def of(cls, grant: Grant) -> GrantShape:
        """Return the shape of a grant."""
        terms = grant.terms
        return cls(
            licence=None if terms is None else terms.id,
            title=grant.name if terms is None else terms.title,
            licence_id=grant.licence_id,
            source=grant.source,
            inherited=grant.inherited,
            text_sha256=None if grant.text_sha256 is None else grant.text_sha256.hex(),
            statement_id=grant.statement,
            person_id=grant.by,
            reason=grant.reason,
            at=grant.at,
            outputs_commercial=None if terms is None else terms.outputs_commercial,
            model_commercial=None if terms is None else terms.model_commercial,
            confidence=None if terms is None else terms.confidence,
            disputed=None if terms is None else terms.disputed,
        )


class GrantList(Shape):
    """Everything that grants a licence to a model: its own first. Nothing is *unknown*, never *free*."""

    sha256: str
    items: list[GrantShape]
