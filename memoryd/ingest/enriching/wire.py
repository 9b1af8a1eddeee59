"""The shapes of asking for recipes over HTTP."""

from __future__ import annotations

import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from memoryd.ingest.enriching.orders import Order

REFS_LIMIT = 10_000


class EnrichmentRequest(BaseModel):
    """What is to be derived. `redo`: recipes (`thumbnail@2`, `fingerprint`) that are done again; nothing: what is lacking."""

    model_config = ConfigDict(extra="forbid")
    redo: list[str] = Field(default=[], max_length=20)
    assets: list[str] = Field(default=[], max_length=REFS_LIMIT)
    query: str | None = Field(default=None, max_length=4_000)


class EnrichmentShape(BaseModel):
    """What was asked, and how far it is, in assets."""

    id: UUID
    recipes: list[str]
    redo: bool
    subjects: int
    done: int
    left: int
    given_up: int
    asked_at: datetime.datetime

    @classmethod
    def of(cls, order: Order) -> EnrichmentShape:
        """The shape of an order."""
        return cls(
            id=order.id,
            recipes=order.recipes.split("+"),
            redo=order.again,
            subjects=order.subjects,
            done=order.done,
            left=order.left,
            given_up=order.given_up,
            asked_at=order.asked_at,
        )
