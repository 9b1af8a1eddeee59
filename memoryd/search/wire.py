"""The shapes of this room's HTTP."""

from __future__ import annotations

from memoryd.catalog.wire import BigInteger, FaceShape, Shape
from memoryd.search.facts import Hit


class HitShape(Shape):
    """One asset that was found."""

    face: FaceShape
    prompt: str | None
    models: list[str]
    seed: BigInteger | None
    projects: list[str]
    tags: list[str]
    rating: int | None
    approval: str | None
    flags: list[str]
    head: bool
    disclosed: bool

    @classmethod
    def of(cls, hit: Hit) -> HitShape:
        """Return the shape of a hit."""
        return cls.model_validate(hit)


class HitList(Shape):
    """A page of what was found, newest first."""

    items: list[HitShape]
    next_cursor: str | None


class FieldShape(Shape):
    """A field of the query language."""

    field: str
    takes: str
    ordered: bool


class FieldList(Shape):
    """The fields of the query language."""

    items: list[FieldShape]
    next_cursor: str | None = None
