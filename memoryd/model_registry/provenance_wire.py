"""The shapes of where models lie, which version they are, and what they were made from."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from memoryd.model_registry.facts import (
    Ancestor,
    Descendant,
    FamilySource,
    OriginView,
    PlaceKind,
    PlaceView,
    StatedBy,
    VersionView,
    Via,
)
from memoryd.model_registry.looking_outside import LookUp
from memoryd.model_registry.versions import NAME_LIMIT, FamilyView
from memoryd.weights.sidecars import Sidecar

DESCENDANTS_SHOWN = 500

_Words = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT)]


class Shape(BaseModel):
    """What all shapes share: members that we do not know are refused, so that a misspelt one is no silent default."""

    model_config = ConfigDict(extra="forbid")


class VersionShape(Shape):
    """Which version of which family a file is, as somebody says."""

    family: str
    version: str
    source: FamilySource
    source_id: str | None
    version_source_id: str | None
    url: str | None
    base_name: str | None
    stated_by: StatedBy
    at: datetime.datetime

    @classmethod
    def of(cls, view: VersionView) -> VersionShape:
        """Return the shape of a statement."""
        return cls(
            family=view.family,
            version=view.version,
            source=view.source,
            source_id=view.source_id,
            version_source_id=view.version_source_id,
            url=view.url,
            base_name=view.base_name,
            stated_by=view.stated_by,
            at=view.at,
        )


class OriginShape(Shape):
    """That `child` was made from `parent` (null: known by what was `stated` only), as somebody says."""

    child: str
    parent: str | None
    stated: str
    via: Via
    stated_by: StatedBy
    at: datetime.datetime

    @classmethod
    def of(cls, view: OriginView) -> OriginShape:
        """Return the shape of a statement."""
        return cls(
            child=view.child.hex(),
            parent=None if view.parent is None else view.parent.hex(),
            stated=view.stated,
            via=view.via,
            stated_by=view.stated_by,
            at=view.at,
        )


class VersionRequest(Shape):
    """Which version of which model a file is."""

    family: _Words
    version: _Words
    url: str | None = None


class DeriveRequest(Shape):
    """What a model was made from: `parent` is named as models are."""

    parent: Annotated[str, StringConstraints(min_length=1, max_length=4_096)]
    via: Via


class FamilyVersionShape(Shape):
    """A version, and the contents that are said to be of it."""

    id: UUID
    name: str
    source_id: str | None
    url: str | None
    sha256s: list[str]


class FamilyShape(Shape):
    """A model as people speak of it, with its versions."""

    id: UUID
    name: str
    source: FamilySource
    source_id: str | None
    url: str | None
    versions: list[FamilyVersionShape]

    @classmethod
    def of(cls, family: FamilyView) -> FamilyShape:
        """Return the shape of a family."""
        return cls(
            id=family.id,
            name=family.name,
            source=family.source,
            source_id=family.source_id,
            url=family.url,
            versions=[
                FamilyVersionShape(
                    id=one.id,
                    name=one.name,
                    source_id=one.source_id,
                    url=one.url,
                    sha256s=[sha256.hex() for sha256 in one.sha256s],
                )
                for one in family.versions
            ],
        )


class FamilyList(Shape):
    """A page of families."""

    items: list[FamilyShape]
    next_cursor: str | None


class PlaceShape(Shape):
    """A folder with models; `workers` see it now."""

    id: UUID
    kind: PlaceKind
    worker: str
    root: str
    workers: list[str]
    names: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime

    @classmethod
    def of(cls, place: PlaceView) -> PlaceShape:
        """Return the shape of a place."""
        return cls(
            id=place.id,
            kind=place.kind,
            worker=place.worker,
            root=place.root,
            workers=list(place.workers),
            names=place.names,
            first_seen=place.first_seen,
            last_seen=place.last_seen,
        )


class PlaceList(Shape):
    """All folders with models."""

    items: list[PlaceShape]


class AncestorShape(Shape):
    """A model that another was made from, `depth` steps away; `sha256` null where only its name is known."""

    sha256: str | None
    stated: str
    via: Via
    child: str
    depth: int
    stated_by: StatedBy


class DescendantShape(Shape):
    """A model that was made from another, `depth` steps away."""

    sha256: str
    via: Via
    parent: str
    depth: int
    stated_by: StatedBy


class OriginsShape(Shape):
    """What a model was made from, and what was made from it (DESCENDANTS_SHOWN at most)."""

    ancestors: list[AncestorShape]
    descendants: list[DescendantShape]
    descendants_total: int

    @classmethod
    def of(cls, ancestors: Sequence[Ancestor], descendants: Sequence[Descendant]) -> OriginsShape:
        """Return the shape of both."""
        return cls(
            ancestors=[
                AncestorShape(
                    sha256=None if one.sha256 is None else one.sha256.hex(),
                    stated=one.stated,
                    via=one.via,
                    child=one.child.hex(),
                    depth=one.depth,
                    stated_by=one.stated_by,
                )
                for one in ancestors
            ],
            descendants=[
                DescendantShape(
                    sha256=one.sha256.hex(),
                    via=one.via,
                    parent=one.parent.hex(),
                    depth=one.depth,
                    stated_by=one.stated_by,
                )
                for one in descendants[:DESCENDANTS_SHOWN]
            ],
            descendants_total=len(descendants),
        )


class LookUpShape(Shape):
    """What a public service answered about a model: `found` false, it does not know it."""

    service: str
    found: bool
    family: str | None
    version: str | None
    base_name: str | None
    triggers: list[str]
    url: str | None

    @classmethod
    def of(cls, asked: LookUp) -> LookUpShape:
        """Return the shape of an answer."""
        told = asked.told or Sidecar()
        return cls(
            service=asked.service,
            found=asked.told is not None,
            family=told.model_name,
            version=told.version_name,
            base_name=told.base_model,
            triggers=list(told.triggers),
            url=told.url,
        )
