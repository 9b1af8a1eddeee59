"""Digests of decoded pixels: pictures that look the same to the bit, whatever their files are."""

from __future__ import annotations

from memoryd.access.facts import Sees
from memoryd.catalog.queries import enrichment as queries
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId

SAME_PIXELS_LIMIT = 100
"""Assets of one answer."""


def store_digest(
    session: Session,
    asset_id: AssetId,
    *,
    recipe: str,
    digest: bytes,
    width: int,
    height: int,
    frames: int | None = None,
) -> None:
    """Record the digest (32 bytes) of an asset's decoded pixels, and their size where its reader could not tell it."""
    queries.update_pixel_digest(session, asset_id, recipe, digest)
    queries.update_missing_size(session, asset_id, width, height, frames)


def find_same(session: Session, *, recipe: str, digest: bytes, sees: Sees) -> list[AssetId]:
    """Return the assets with these pixels that the caller may see, oldest first, at most SAME_PIXELS_LIMIT."""
    found = queries.list_ids_with_pixels(session, recipe, digest, sees, SAME_PIXELS_LIMIT)
    return [AssetId(id_) for id_ in found]
