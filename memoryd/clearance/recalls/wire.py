"""The shapes of recalls over HTTP."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.clearance.recalls.facts import MarkingState, RecallKind, RecallView
from memoryd.clearance.recalls.radius import BlastRadius
from memoryd.clearance.recalls.touched import Relation, TouchedAsset
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.reasons import REASON_LIMIT


class RecallRequest(BaseModel):
    """Why a model is recalled."""

    kind: RecallKind = RecallKind.WITHDRAWN
    reason: str = Field(max_length=REASON_LIMIT)


class LiftRequest(BaseModel):
    """Why a recall is lifted."""

    reason: str = Field(max_length=REASON_LIMIT)


class RecallShape(BaseModel):
    """A recall. Null counts: you do not see the whole studio."""

    id: UUID
    model: str
    kind: RecallKind
    reason: str
    by: str | None
    at: datetime.datetime
    lifted_at: datetime.datetime | None
    lifted_by: str | None
    lifted_reason: str | None
    made_of_it: int
    marking: MarkingState
    lines_marked: int | None
    lines: int | None
    jobs_ended: int | None

    @classmethod
    def of(cls, view: RecallView) -> RecallShape:
        """Return the shape of a recall."""
        facts = {name: getattr(view, name) for name in cls.model_fields if name != "model"}
        return cls(model=view.model.hex(), **facts)


class RecallList(BaseModel):
    """Recalls, newest first."""

    items: list[RecallShape]
    next_cursor: str | None


class ShareShape(BaseModel):
    """A project or a person, and how many touched assets they have."""

    name: str
    assets: int
    client: str | None = None


class DeliveryTouchedShape(BaseModel):
    """A delivery that holds touched lines."""

    id: UUID
    name: str
    project: str
    client: str | None
    frozen_at: datetime.datetime | None
    items: int


class DerivedModelShape(BaseModel):
    """Weights that were made of the model, and what they touched."""

    sha256: str
    via: str
    depth: int
    generations: int
    assets: int
    lines: int


class PossiblyTouchedShape(BaseModel):
    """Runs that name weights as the model was called, without a hash."""

    name: str
    seen_from: datetime.datetime
    seen_to: datetime.datetime | None
    generations: int


class BlastRadiusShape(BaseModel):
    """What a model touched. `partial`: you see some projects only, there may be more. `behind` 0: the counts are exact."""

    model: str
    name: str | None
    partial: bool
    behind: int
    generations: int
    assets: int
    lines: int
    derived_lines: int
    disclosed_copies: int
    deliveries: int
    deliveries_frozen: int
    named_deliveries: list[DeliveryTouchedShape]
    projects: list[ShareShape]
    clients: list[str]
    people: list[ShareShape]
    models: int
    named_models: list[DerivedModelShape]
    possibly: list[PossiblyTouchedShape]

    @classmethod
    def of(cls, radius: BlastRadius) -> BlastRadiusShape:
        """Return the shape of a blast radius."""
        return cls.model_validate(told(radius))


class RecalledShape(BaseModel):
    """A recall that was made, and what its model touched then."""

    recall: RecallShape
    blast_radius: BlastRadiusShape


class TouchedAssetShape(BaseModel):
    """An asset that a model touched."""

    id: UUID
    root_id: UUID
    sha256: str
    media_type: str
    made_at: datetime.datetime
    relation: Relation
    projects: list[str]
    deliveries_frozen: list[str]
    deliveries: list[str]

    @classmethod
    def of(cls, asset: TouchedAsset) -> TouchedAssetShape:
        """Return the shape of a touched asset."""
        return cls.model_validate(told_asset(asset))


class TouchedAssetList(BaseModel):
    """Touched assets, the newest lines first; a page may be empty and yet have a next one."""

    items: list[TouchedAssetShape]
    next_cursor: str | None


COLUMNS = tuple(TouchedAssetShape.model_fields)
"""Of the list as CSV."""


def told(radius: BlastRadius) -> dict[str, Any]:
    """Return a blast radius as plain values, as signed reports tell it."""
    facts = {name: getattr(radius, name) for name in BlastRadiusShape.model_fields}
    return {
        **{name: _plain(value) for name, value in facts.items()},
        "model": radius.model.hex(),
        "clients": list(radius.clients),
        "named_deliveries": [_members(one, DeliveryTouchedShape) for one in radius.named_deliveries],
        "projects": [_members(one, ShareShape) for one in radius.projects],
        "people": [_members(one, ShareShape) for one in radius.people],
        "named_models": [_members(one, DerivedModelShape) for one in radius.named_models],
        "possibly": [_members(one, PossiblyTouchedShape) for one in radius.possibly],
    }


def told_asset(asset: TouchedAsset) -> dict[str, Json]:
    """Return a touched asset as plain values."""
    return _members(asset, TouchedAssetShape)


def _members(value: object, shape: type[BaseModel]) -> dict[str, Json]:
    return {name: _plain(getattr(value, name)) for name in shape.model_fields}


def _plain(value: object) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat()
    return list(value) if isinstance(value, tuple) else value
