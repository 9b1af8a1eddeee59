"""Small pictures of assets: which there are, and where their bytes lie."""

from __future__ import annotations

import dataclasses
import enum

from memoryd.access.facts import Sees
from memoryd.catalog.looking_up import check_seen
from memoryd.catalog.queries import enrichment as queries
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import AssetId

GRID_SIZE = 256
"""Longest edge in pixels of what a grid shows."""


class Shows(enum.StrEnum):
    """What a small picture shows of an asset."""

    STILL = "still"
    """The picture, or the first frame of what moves, or the waveform of sound."""
    MIDDLE = "middle"
    """The frame in the middle of what moves."""
    PREVIEW = "preview"
    """The first seconds, moving."""


_RECIPE_WORDS = {Shows.STILL: "", Shows.MIDDLE: "middle", Shows.PREVIEW: "preview"}


class NoThumbnail(NotFound):
    """There is no small picture of this asset."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture. `sha256` (32 bytes) names its bytes in the blob store; `size` is the longest edge asked for, in
    pixels, width and height are what came of it."""

    asset_id: AssetId
    recipe: str
    size: int
    sha256: bytes
    media_type: str
    width: int
    height: int


def store(session: Session, thumbnail: Thumbnail) -> None:
    """Record a small picture whose bytes are in the blob store already; one of its recipe and size is replaced."""
    queries.upsert_thumbnail(session, **dataclasses.asdict(thumbnail))


def find(
    session: Session, asset_id: AssetId, sees: Sees, size: int = GRID_SIZE, shows: Shows = Shows.STILL
) -> Thumbnail:
    """Return the smallest thumbnail of at least `size` pixels, else the largest.

    Raises: AssetNotFound for what the caller may not see; NoThumbnail.
    """
    check_seen(session, asset_id, sees)
    row = queries.find_thumbnail(session, asset_id, size, _RECIPE_WORDS[shows])
    if row is None:
        raise NoThumbnail(f"asset {asset_id}", hint="it is made soon after a picture was recorded: `memoryd work`")
    found = row.Thumbnail
    return Thumbnail(
        asset_id=asset_id,
        recipe=found.recipe,
        size=found.size,
        sha256=found.sha256,
        media_type=found.media_type,
        width=found.width,
        height=found.height,
    )
