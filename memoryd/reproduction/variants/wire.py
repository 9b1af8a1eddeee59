"""Variations over HTTP, as they are asked for and read."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.jobs import KEY_LIMIT
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.reproduction.variants.facts import Variation, Varied, Wish, shown_number
from memoryd.submission.grouping.wire import Scalar
from memoryd.submission.wire import Moments, moments
from memoryd.workflows.parameter_places import ParameterPlace

ITEMS_SHOWN = 1_000
"""Items that one answer lists; the group itself lists all."""
LARGE_ITEMS = 50
LARGE_COST_S = 3_600.0
"""From either on, what a wish comes to is worth a look before it is queued: `large` says so."""


class ParameterValues(BaseModel):
    """A parameter, and the values that it takes."""

    name: str
    values: list[Scalar]


class VariationRequest(BaseModel):
    """What shall differ from the asset's own run.

    A name is a parameter as `GET /assets/{ref}/parameters` lists it, or an input by its node (`3.cfg`). `set`: one value
    each. `grid`: several, every combination of them; the last changes fastest. `seeds`: so many fresh seeds for each
    combination. `dry_run`: only what it would come to. A seed beyond 2^53 as text, where the sender's numbers are not exact.
    """

    set: dict[str, Scalar] = Field(default_factory=dict)
    grid: list[ParameterValues] = Field(default_factory=list)
    seeds: int = 0
    pool: str = DEFAULT_POOL
    urgency: Urgency = Urgency.STANDARD
    name: str | None = None
    key: str | None = Field(default=None, max_length=KEY_LIMIT)
    """Idempotency key, where the header Idempotency-Key is not at hand."""
    dry_run: bool = False

    def as_wish(self, key: str | None) -> Wish:
        """Return what is wished for."""
        return Wish(
            sets=tuple(self.set.items()),
            grid=tuple((axis.name, tuple(axis.values)) for axis in self.grid),
            seeds=self.seeds,
            pool=self.pool,
            urgency=self.urgency,
            name=self.name,
            key=key if key is not None else self.key,
        )


class VariationAnswer(BaseModel):
    """What a wish came to. `job_id` for one item, `group_id` for more, neither of a dry run.

    `items`: values by place in the graph, ITEMS_SHOWN of `total` at most. `ends`: when the last would have ended.
    """

    id: UUID | None
    job_id: UUID | None
    group_id: UUID | None
    total: int
    items: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    cost_s: float
    ends: Moments | None
    large: bool
    checked: str | None
    notes: list[str]

    @classmethod
    def of(cls, made: Varied) -> VariationAnswer:
        """What came of a wish, as it goes over the wire."""
        seen = made.foreseen
        cost_s = seen.cost_ms / 1000
        return cls(
            id=made.variation_id,
            job_id=made.job_id,
            group_id=made.group_id,
            total=seen.total,
            items=[made.items.shown(number) for number in range(min(seen.total, ITEMS_SHOWN))],
            changes=[change.as_json() for change in made.changes],
            cost_s=cost_s,
            ends=moments(seen.ends_p50_s, seen.ends_p90_s),
            large=seen.total >= LARGE_ITEMS or cost_s >= LARGE_COST_S,
            checked=seen.checked,
            notes=[*made.notes, *seen.notes],
        )


class VariationShape(BaseModel):
    """A wish as recorded."""

    id: UUID
    asset_id: UUID
    job_id: UUID | None
    group_id: UUID | None
    changes: list[dict[str, Any]]
    items: int
    asked_at: datetime.datetime

    @classmethod
    def of(cls, variation: Variation) -> VariationShape:
        """The wish as it goes over the wire."""
        return cls(
            id=variation.id,
            asset_id=variation.asset_id,
            job_id=variation.job_id,
            group_id=variation.group_id,
            changes=variation.changes,
            items=variation.items,
            asked_at=variation.asked_at,
        )


class Variations(BaseModel):
    """The newest wishes, newest first."""

    items: list[VariationShape]


class ParameterShape(BaseModel):
    """A parameter and one place where it stands: `place` is the input (`3.cfg`). Integers beyond 2^53 as text."""

    name: str
    place: str
    class_type: str
    value: Any

    @classmethod
    def of(cls, place: ParameterPlace) -> ParameterShape:
        """The parameter as it goes over the wire."""
        return cls(name=place.name, place=place.address, class_type=place.class_type, value=shown_number(place.value))


class Parameters(BaseModel):
    """The parameters of an asset's run that can be varied by name. One name may stand in several places."""

    items: list[ParameterShape]
