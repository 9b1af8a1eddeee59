"""The shapes of plans over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from memoryd.catalog.wire import FaceShape
from memoryd.reproduction.facts import Cause, Plan
from memoryd.reproduction.plans.facts import Outlook, Prospect


class PlanShape(BaseModel):
    """What making an asset again needs, which workers could do it, and what is missing, each with the next step.

    `of_asset`: whose run it is, where the asset asked about is a copy. `possible`: nothing stands in the way now.
    `hindrances` says what does: what is `missing` here, and of the `notices` those that name what no worker has.
    `workers` are nearest first.
    """

    asset_id: UUID
    of_asset: UUID
    project_id: UUID | None
    possible: bool
    hindrances: list[dict[str, Any]]
    generation_id: UUID | None
    prompt_bytes: int
    extras: list[str]
    inputs: list[dict[str, Any]]
    models: list[dict[str, Any]]
    node: str | None
    batch_index: int | None
    batch_size: int | None
    certain: bool
    environment: str | None
    missing: list[dict[str, Any]]
    notices: list[dict[str, Any]]
    workers: list[dict[str, Any]]

    @classmethod
    def of(cls, asset_id: UUID, plan: Plan) -> PlanShape:
        """The plan as it goes over the wire."""
        told: dict[str, Any] = dict(plan.as_json())
        return cls(
            asset_id=asset_id,
            of_asset=plan.asset_id,
            project_id=plan.project_id,
            hindrances=[_told(cause) for cause in plan.hindrances],
            **{name: value for name, value in told.items() if name in cls.model_fields},
        )


class ProspectShape(BaseModel):
    """One asset, and what stands in the way of making it again (`hindrances`) or may change it (`notices`)."""

    face: FaceShape
    possible: bool
    hindrances: list[dict[str, Any]]
    notices: list[dict[str, Any]]

    @classmethod
    def of(cls, prospect: Prospect) -> ProspectShape:
        """The same as a shape."""
        stopping = prospect.hindrances
        return cls(
            face=FaceShape.model_validate(prospect.face),
            possible=not stopping,
            hindrances=[_told(cause) for cause in stopping],
            notices=[_told(cause) for cause in prospect.notices if cause not in stopping],
        )


class CountedShape(BaseModel):
    """Of how many pictures what is said. `truncated`: there are more, which were not looked at."""

    lines: int
    possible: int
    by_cause: dict[str, int]
    truncated: bool


class OutlookShape(BaseModel):
    """A page of what was looked at, by id; `counted` is of all of it, and comes with the first page."""

    items: list[ProspectShape]
    counted: CountedShape | None
    next_cursor: str | None

    @classmethod
    def of(cls, outlook: Outlook) -> OutlookShape:
        """The same as a shape."""
        counted = outlook.counted
        return cls(
            items=[ProspectShape.of(row) for row in outlook.rows],
            counted=CountedShape(
                lines=counted.lines,
                possible=counted.possible,
                by_cause=dict(counted.by_cause),
                truncated=counted.truncated,
            )
            if counted is not None
            else None,
            next_cursor=outlook.next_cursor,
        )


def _told(cause: Cause) -> dict[str, Any]:
    return dict(cause.as_json())
