"""Which assets a file may be: by its bytes, its pixels, and by what it shows, compared with every fingerprint there is.

What the caller may not see is in no answer. A likeness is a likeness, never a proof of origin.
"""

from __future__ import annotations

import contextlib

from memoryd.access.facts import Sees
from memoryd.catalog.looking_up import AssetNotFound, find_asset
from memoryd.catalog.pixels import find_same
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.imaging.fingerprints import FINGERPRINT_RECIPE
from memoryd.recognition import queries
from memoryd.recognition.facts import By, Match, Shown

FAR = 100
"""Bits of 256 beyond which two codes say nothing of each other. Source: measured, pictures that have nothing to do with
each other are 100 apart at least in 1,770 pairs; 128 is what chance gives."""

MATCHES_LIMIT = 100
"""Assets of one answer by fingerprint."""


def identify(session: Session, shown: Shown, *, sees: Sees = None, within: int = FAR) -> tuple[Match, ...]:
    """Return the assets that a file may be, each once by its strongest evidence, the strongest first.

    By fingerprint at most `within` bits apart, mirrored or not; a picture that shows too little to tell is found by its
    bytes and pixels alone. Reads every fingerprint: below a second for a million (benchmarks/identify.py).
    """
    found: dict[AssetId, Match] = {}
    with contextlib.suppress(AssetNotFound):
        itself = find_asset(session, shown.sha256.hex(), sees)
        found[itself] = Match(asset_id=itself, by=By.FILE, distance=0, exact=True)
    if shown.pixels is not None:
        for same in find_same(session, recipe=shown.pixels.recipe, digest=shown.pixels.digest, sees=sees):
            found.setdefault(same, Match(asset_id=same, by=By.PIXELS, distance=0))
    for match in _near(session, shown, sees, within):
        found.setdefault(match.asset_id, match)
    order = list(By)
    return tuple(sorted(found.values(), key=lambda one: (order.index(one.by), one.distance, one.asset_id)))


def _near(session: Session, shown: Shown, sees: Sees, within: int) -> list[Match]:
    # The mirror image's code against codes as they are: the same as the other way about, and half as many to look at.
    asked = {one.code: one.mirrored for one in shown.fingerprints if one.telling}
    if not asked:
        return []
    best: dict[AssetId, Match] = {}
    rows = queries.list_near_codes(session, FINGERPRINT_RECIPE, asked, within, sees, MATCHES_LIMIT)
    for row in rows:
        mirrored = min((_apart(code, row.code), turned) for code, turned in asked.items())[1]
        match = Match(asset_id=AssetId(row.asset_id), by=By.FINGERPRINT, distance=row.apart, mirrored=mirrored)
        best.setdefault(match.asset_id, match)
    return list(best.values())


def _apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
