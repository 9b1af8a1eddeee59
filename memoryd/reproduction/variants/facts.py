"""The values of this part: what is wished for, what it comes to, and how it looks to people."""

from __future__ import annotations

import dataclasses
import datetime
from typing import NewType
from uuid import UUID

from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, GroupId, JobId
from memoryd.submission.grouping.facts import Foreseen
from memoryd.submission.grouping.items import Items

VariationId = NewType("VariationId", UUID)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What shall differ from an asset's own run.

    `sets` give a parameter one value, `grid` several: every combination of them. `seeds`: so many fresh seeds for each.
    `key` as of a submission: sent again, it is the same wish.
    """

    sets: tuple[tuple[str, Json], ...] = ()
    grid: tuple[tuple[str, tuple[Json, ...]], ...] = ()
    seeds: int = 0
    pool: str = DEFAULT_POOL
    urgency: Urgency = Urgency.STANDARD
    name: str | None = None
    key: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One parameter, where it stands in the graph (`3.cfg`), what it was, and the values that it takes."""

    name: str
    places: tuple[str, ...]
    was: Json
    values: tuple[Json, ...]

    def as_json(self) -> dict[str, Json]:
        """The change as stored and shown: integers beyond 2^53 as text, as in a group's items."""
        return {
            "name": self.name,
            "places": list(self.places),
            "was": shown_number(self.was),
            "values": [shown_number(value) for value in self.values],
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Varied:
    """A wish and what came of it: a job, a group, or (`job_id` and `group_id` None) only what it would come to."""

    items: Items
    changes: tuple[Change, ...]
    foreseen: Foreseen
    notes: tuple[str, ...]
    variation_id: VariationId | None = None
    job_id: JobId | None = None
    group_id: GroupId | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """A wish as recorded. `made`: new pictures that lead back to the asset by now."""

    id: VariationId
    asset_id: AssetId
    job_id: JobId | None
    group_id: GroupId | None
    changes: list[dict[str, Json]]
    items: int
    asked_at: datetime.datetime


def shown_number(value: Json) -> Json:
    """Return a value that programs keep exactly which hold numbers as doubles."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53 else value
