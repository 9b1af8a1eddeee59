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
    `tests`: where the verdict falls short of identical pixels, two second runs look for the reason.
    """

    pool: str = DEFAULT_POOL
    require: Literal["identical-environment"] | None = None
    worker: UUID | None = None
    tests: bool = True


class ReproductionShape(BaseModel):
    """An attempt. `verdict` is null while its job waits or runs, and never changes when it is there.

    `testing`: whether second runs look for the reason of what differs (`off`, `wanted`, `running`, `over`); `second_runs`
    are they, and `causes` are ranked by what they showed when it is `over`. `difference`: whether there is a picture of
    it, `receipt` whether one is signed already.
    """

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
    purpose: str
    parent_id: UUID | None
    worker_id: UUID | None
    tries: int
    environment: str | None
    testing: str
    tested_at: datetime.datetime | None
    second_runs: list[ReproductionShape]
    difference: bool
    receipt: bool

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
            purpose=attempt.purpose.value,
            parent_id=attempt.parent_id,
            worker_id=attempt.worker_id,
            tries=attempt.tries,
            environment=attempt.environment.hex() if attempt.environment else None,
            testing=attempt.testing.value,
            tested_at=attempt.tested_at,
            second_runs=[cls.of(each) for each in attempt.second_runs],
            difference=attempt.difference is not None,
            receipt=attempt.has_receipt,
        )


class ReproductionList(BaseModel):
    """Attempts, newest first."""

    items: list[ReproductionShape]
    next_cursor: str | None = None
