"""The shapes of this room over HTTP."""

from __future__ import annotations

import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.reproduction.facts import Reproduction


class ReproductionRequest(BaseModel):
    """Where to make it again.

    `require`: refuse rather than try on a worker whose environment is not that of then. `worker`: this one and no other.
    """

    pool: str = DEFAULT_POOL
    require: Literal["identical-environment"] | None = None
    worker: UUID | None = None


class ReproductionShape(BaseModel):
    """An attempt. `verdict` is null while its job waits or runs."""

    id: UUID
    asset_id: UUID
    state: str
    verdict: str | None
    measures: dict[str, Any]
    causes: list[dict[str, Any]]
    plan: dict[str, Any]
    job_id: UUID | None
    made_asset_id: UUID | None
    asked_at: datetime.datetime
    decided_at: datetime.datetime | None

    @classmethod
    def of(cls, attempt: Reproduction) -> ReproductionShape:
        """The attempt as it goes over the wire."""
        return cls(
            id=attempt.id,
            asset_id=attempt.asset_id,
            state=attempt.state.value,
            verdict=attempt.verdict.value if attempt.verdict else None,
            measures=attempt.measures,
            causes=attempt.causes,
            plan=attempt.plan,
            job_id=attempt.job_id,
            made_asset_id=attempt.made_asset_id,
            asked_at=attempt.asked_at,
            decided_at=attempt.decided_at,
        )


class ReproductionList(BaseModel):
    """Attempts, newest first."""

    items: list[ReproductionShape]
    next_cursor: str | None = None
