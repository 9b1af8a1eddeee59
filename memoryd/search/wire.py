"""The shapes of this room's HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from memoryd.catalog.media_wire import SequenceShape
from memoryd.catalog.reattributing import ASSETS_LIMIT, Wish
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
    sequence: SequenceShape | None

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


class AttributionRequest(Shape):
    """Whose pictures are to be: those that `query` finds, or those that `refs` name."""

    query: str | None = Field(default=None, max_length=4_000, description="As in a search; an empty one finds all.")
    refs: list[Annotated[str, Field(max_length=5_000)]] | None = Field(default=None, max_length=ASSETS_LIMIT)
    project: str | None = Field(default=None, max_length=80)
    person: str | None = Field(default=None, max_length=200, description="A login.")
    out_of: str | None = Field(default=None, max_length=80, description="The project that they are taken from.")
    with_annotations: bool = Field(default=False, description="Copy tags, rating, remarks and collections.")
    dry_run: bool = False

    def wish(self) -> Wish:
        """The same as a value."""
        return Wish(
            project=self.project, person=self.person, out_of=self.out_of, with_annotations=self.with_annotations
        )


class AttributionShape(Shape):
    """What became, or would become, of it; DELETE /attributions/{id} takes it back."""

    id: UUID | None
    pictures: int
    assets: int
    places: int
    runs: int
    unchanged: int
    copied: int
    out_of: dict[str, int]


class Undone(Shape):
    """Of how many assets it was taken back."""

    assets: int
