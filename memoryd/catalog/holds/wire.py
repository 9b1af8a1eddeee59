"""The shapes of these endpoints. Digests are lower-case hex."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from memoryd.catalog.holding import HeldPicture, Holders
from memoryd.catalog.wire import Shape
from memoryd.foundation.reasons import REASON_LIMIT


class HeldShape(Shape):
    """A content that an approved picture holds. `kind`: approved, source, input or model.

    `copies`: how many are known in the store, folders and trashes; null for models, which lie on workers. `released`: why
    its last copy may go.
    """

    kind: str
    sha256: str
    name: str | None
    asset_id: UUID | None
    copies: int | None
    released: str | None


class HeldPictureShape(Shape):
    """An approved picture, and what it holds."""

    asset_id: UUID
    projects: list[str]
    contents: list[HeldShape]

    @classmethod
    def of(cls, picture: HeldPicture) -> HeldPictureShape:
        """The same as a shape."""
        return cls(
            asset_id=picture.asset_id,
            projects=list(picture.projects),
            contents=[
                HeldShape(
                    kind=each.kind,
                    sha256=each.sha256.hex(),
                    name=each.name,
                    asset_id=each.asset_id,
                    copies=each.copies,
                    released=each.released,
                )
                for each in picture.contents
            ],
        )


class HeldList(Shape):
    """Approved pictures, by id."""

    items: list[HeldPictureShape]
    next_cursor: str | None


class HoldersShape(Shape):
    """Which approved pictures hold a content; `others`: how many of projects that you do not see."""

    sha256: str
    held: bool
    needed_by: list[UUID]
    others: int

    @classmethod
    def of(cls, holders: Holders) -> HoldersShape:
        """The same as a shape."""
        return cls(
            sha256=holders.sha256.hex(),
            held=bool(holders.assets or holders.others),
            needed_by=list(holders.assets),
            others=holders.others,
        )


class ReleaseRequest(Shape):
    """Why the last copy of a content may go."""

    reason: str = Field(min_length=1, max_length=REASON_LIMIT)


class Released(Shape):
    """Whether something held it; with an approval that comes later it is held again."""

    sha256: str
    released: bool


class HeldAgain(Shape):
    """Whether it had been let go."""

    sha256: str
    changed: bool
