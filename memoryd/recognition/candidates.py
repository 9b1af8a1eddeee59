"""Which known assets may show what this one shows: the same pixels first, then near fingerprints.

A likeness is a likeness, never a proof of origin.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog.pixels import find_same
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.fingerprints import FINGERPRINT_RECIPE
from memoryd.imaging.pixels import PixelDigest
from memoryd.recognition import queries
from memoryd.recognition.facts import Likeness, LikenessKind
from memoryd.recognition.keeping import bands

NEAR = 24
"""Bits of 256 up to which two codes are taken for the same picture. Source: measured, re-encoding, scaling and grading
move up to 10 bits; pictures of one prompt and composition are 38 apart at least, others 90."""

POSSIBLE = 64
"""Bits up to which it may be the same with a change: a crop of 5 % moves 40 to 60, a text laid over it 38 to 66."""

SHARING_LIMIT = 20_000
"""Fingerprints compared for one question; chance alone brings 250 of a million."""


def candidates(
    session: Session,
    fingerprints: Sequence[TakenFingerprint],
    *,
    pixels: PixelDigest | None = None,
    within: int = NEAR,
    leave_out: Collection[UUID] = (),
    limit: int = 20,
) -> list[Likeness]:
    """Return known assets that may show the same, nearest first: those of the same pixels, then by distance.

    `fingerprints` are a picture's own, as derived; its mirrored one is not needed. `within` at most POSSIBLE bits; beyond
    15 some are missed, since only codes that share a band are compared. What the answer may be shown to is the caller's
    to check.
    """
    found: dict[AssetId, Likeness] = {}
    if pixels is not None:
        everything: Sees = None
        for asset in find_same(session, recipe=pixels.recipe, digest=pixels.digest, sees=everything):
            found[asset] = Likeness(asset_id=asset, distance=0, kind=LikenessKind.PIXELS)
    for code in {one.code for one in fingerprints if one.telling and not one.mirrored}:
        for likeness in near(session, code, within=within):
            known = found.get(likeness.asset_id)
            if known is None or (known.kind is not LikenessKind.PIXELS and likeness.distance < known.distance):
                found[likeness.asset_id] = likeness
    kept = [one for one in found.values() if one.asset_id not in leave_out]
    return sorted(kept, key=lambda one: (one.kind is not LikenessKind.PIXELS, one.distance, one.asset_id))[:limit]


def near(session: Session, code: bytes, *, within: int = NEAR) -> list[Likeness]:
    """Return the assets whose code, or whose mirror image's, differs from `code` in at most `within` bits."""
    asked = int.from_bytes(code, "big")
    best: dict[UUID, tuple[int, bool]] = {}
    for row in queries.list_sharing_bands(session, FINGERPRINT_RECIPE, bands(code), SHARING_LIMIT):
        apart = (asked ^ int.from_bytes(row.code, "big")).bit_count()
        if apart <= within:
            best[row.asset_id] = min(best.get(row.asset_id, (apart, row.mirrored)), (apart, row.mirrored))
    return [
        Likeness(
            asset_id=AssetId(asset),
            distance=apart,
            kind=LikenessKind.MIRRORED if mirrored else LikenessKind.FINGERPRINT,
        )
        for asset, (apart, mirrored) in best.items()
    ]
