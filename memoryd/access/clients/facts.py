"""The values of clients and deliveries."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from uuid import UUID

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, ProjectId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartyFacts:
    """What licences ask about a business, the studio's or a client's. None and empty are *not told*."""

    revenue_usd: int | None = None
    """A year, in US dollars; the upper end where only a band is known."""
    users: int | None = None
    """A month, of the product that it goes into; 0 where there is none."""
    seats: tuple[str, ...] = ()
    """Countries where it works (ISO 3166-1), or `EU`."""
    registered: tuple[str, ...] = ()
    """Licences (ids of their terms) under which it registered; asked of the studio."""

    def as_json(self) -> dict[str, Json]:
        """Return the facts as they are stored."""
        return {
            "revenue_usd": self.revenue_usd,
            "users": self.users,
            "seats": list(self.seats),
            "registered": list(self.registered),
        }

    @classmethod
    def read(cls, stored: Mapping[str, object]) -> PartyFacts:
        """Return what was stored; what is missing was not told."""
        revenue, users = stored.get("revenue_usd"), stored.get("users")
        return cls(
            revenue_usd=revenue if isinstance(revenue, int) else None,
            users=users if isinstance(users, int) else None,
            seats=_texts(stored.get("seats")),
            registered=_texts(stored.get("registered")),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientView:
    """A client; `projects` are those of its projects that the caller sees."""

    id: UUID
    name: str
    facts: PartyFacts
    projects: tuple[str, ...]
    created_at: datetime.datetime


class DeliveryState(enum.StrEnum):
    """How far a delivery is."""

    OPEN = "open"
    """Things are still added."""
    FROZEN = "frozen"
    """Handed over: nothing is added or taken away."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """What is handed to a client at one time."""

    id: UUID
    name: str
    project_id: ProjectId
    project: str
    client_id: UUID | None
    client: str | None
    state: DeliveryState
    items: int
    created_at: datetime.datetime
    frozen_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryItemView:
    """An asset of a delivery, exactly as it was added."""

    asset_id: AssetId
    root_id: AssetId


def _texts(stored: object) -> tuple[str, ...]:
    return tuple(str(one) for one in stored) if isinstance(stored, list) else ()
