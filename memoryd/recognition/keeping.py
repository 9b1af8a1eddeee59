"""Fingerprints kept so that near ones are found again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from memoryd.foundation.database import Session
from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.fingerprints import FINGERPRINT_RECIPE
from memoryd.recognition import queries

BAND_BITS = 16
"""A code of 256 bits has 16 bands: two codes that differ in up to 15 bits surely share one, and those that differ in 24
do in all but 8 of 1,000 cases."""


def store(session: Session, taken: Mapping[UUID, Sequence[TakenFingerprint]]) -> None:
    """Record the fingerprints of assets; what older recipes made of them goes."""
    rows: list[Mapping[str, object]] = [
        {
            "asset_id": asset,
            "recipe": one.recipe,
            "mirrored": one.mirrored,
            "frame": one.frame,
            "code": one.code,
            # What says nothing is kept, but found by nothing.
            "bands": bands(one.code) if one.telling else [],
        }
        for asset, codes in sorted(taken.items())
        for one in codes
    ]
    queries.upsert_fingerprints(session, rows)
    queries.delete_old_fingerprints(session, [asset for asset, codes in taken.items() if codes], FINGERPRINT_RECIPE)


def codes(session: Session, assets: Collection[UUID]) -> dict[UUID, bytes | None]:
    """Return the code of each asset's first frame: None where it shows too little to tell; those without are left out."""
    return {
        row.asset_id: row.code if row.bands else None
        for row in queries.list_fingerprints(session, assets, FINGERPRINT_RECIPE)
        if row.frame == 0
    }


def bands(code: bytes) -> list[int]:
    """Return a code's parts of BAND_BITS, each with its place (place x 65,536 + part)."""
    step = BAND_BITS // 8
    return [
        (place << BAND_BITS) + int.from_bytes(code[at : at + step], "big")
        for place, at in enumerate(range(0, len(code), step))
    ]
