"""New files that carry no word of how they were made, and look like one that does: proposed as made from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from memoryd.catalog.proposals import propose
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.imaging.fingerprints import FINGERPRINT_RECIPE
from memoryd.recognition import queries
from memoryd.recognition.candidates import NEAR, near
from memoryd.recognition.facts import Likeness, LikenessKind

COMPARED_LIMIT = 20
"""Nearest assets that are looked at for one new one."""

SAME_SHAPE = 0.02
"""How far two pictures' proportions may be apart, as a share: an upscale rounds to multiples of 8 or 64."""

UPSCALED_FROM = 1.2
"""Times as long an edge as the other's from which it is an upscale, and not the same size rounded."""

COPY_DISTANCE = 10
"""Bits that re-encoding moves at most. Source: measured, JPEG at quality 20 moves 8, an enlargement 6."""


def propose_resembling(session: Session, assets: Collection[AssetId]) -> int:
    """Ask, for each of these that has no run while a near one has (or the other way about), whether it was made from it.

    Returns how many new questions there are. What is asked twice is one question.
    """
    asked = 0
    codes = {
        row.asset_id: row.code
        for row in queries.list_fingerprints(session, assets, FINGERPRINT_RECIPE)
        if row.frame == 0 and row.bands
    }
    for asset in assets:
        likenesses = _likenesses(session, asset, codes.get(asset))
        if not likenesses:
            continue
        rows = {row.id: row for row in queries.list_compared(session, [asset, *(one.asset_id for one in likenesses)])}
        own = rows.get(asset)
        if own is not None:
            asked += _ask(session, own, [(rows[one.asset_id], one) for one in likenesses if one.asset_id in rows])
    return asked


def _likenesses(session: Session, asset: AssetId, code: bytes | None) -> list[Likeness]:
    found = {
        id_: Likeness(asset_id=AssetId(id_), distance=0, kind=LikenessKind.PIXELS)
        for id_ in queries.list_same_pixels(session, asset, COMPARED_LIMIT)
    }
    if code is not None:
        for one in sorted(near(session, code, within=NEAR), key=lambda one: one.distance):
            found.setdefault(one.asset_id, one)
    found.pop(asset, None)
    return sorted(found.values(), key=lambda one: (one.kind is not LikenessKind.PIXELS, one.distance))[:COMPARED_LIMIT]


def _ask(session: Session, own: Any, others: list[tuple[Any, Likeness]]) -> int:
    """One question for a new file without a run: its nearest with one. Each without a run asks about a new one with."""
    others = [(row, one) for row, one in others if row.root_id != own.root_id and row.has_run != own.has_run]
    if not own.has_run:
        others = others[:1]
    asked = 0
    for row, likeness in others:
        child, parent = (row, own) if own.has_run else (own, row)
        evidence: Mapping[str, Json] = {
            "by": likeness.kind.value,
            "distance": likeness.distance,
            "recipe": FINGERPRINT_RECIPE if likeness.kind is not LikenessKind.PIXELS else str(own.pixel_recipe),
            "child_size": [child.width, child.height],
            "parent_size": [parent.width, parent.height],
        }
        asked += propose(session, child.root_id, parent.root_id, how_made(child, parent, likeness), evidence)
    return asked


def how_made(child: Any, parent: Any, likeness: Likeness) -> str:
    """Return `copied`, `upscaled`, `cropped` or `retouched`: what sizes, pixels and distance say together."""
    if likeness.kind is LikenessKind.PIXELS:
        return "copied"
    if None in (child.width, child.height, parent.width, parent.height):
        return "retouched"
    mirrored = likeness.kind is LikenessKind.MIRRORED
    across, down = child.width / parent.width, child.height / parent.height
    if abs(across / down - 1.0) > SAME_SHAPE:
        return "cropped" if across <= 1.0 and down <= 1.0 and not mirrored else "retouched"
    if mirrored or likeness.distance > COPY_DISTANCE:
        return "retouched"
    return "upscaled" if min(across, down) >= UPSCALED_FROM else "copied"
