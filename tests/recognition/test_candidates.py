"""Likenesses: near codes are found, mirrored ones too, flat ones never; how one was made from another."""

from __future__ import annotations

import datetime
import hashlib
import random
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, new_id
from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.fingerprints import FINGERPRINT_RECIPE, fingerprints
from memoryd.imaging.pixels import PixelDigest
from memoryd.recognition import keeping
from memoryd.recognition.candidates import NEAR, candidates, near
from memoryd.recognition.facts import Likeness, LikenessKind
from memoryd.recognition.resembling import how_made


def asset(session: Session, pixels: bytes | None = None) -> AssetId:
    id_ = new_id()
    session.execute(
        text(
            "insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id, pixel_recipe, pixel_digest)"
            " values (:id, :sha256, 1, 'image', 'image/png', :now, 'file_time', :id, :recipe, :pixels)"
        ),
        {
            "id": id_,
            "sha256": hashlib.sha256(id_.bytes).digest(),
            "now": datetime.datetime.now(datetime.UTC),
            "recipe": "v1" if pixels else None,
            "pixels": pixels,
        },
    )
    return AssetId(id_)


def taken(code: bytes, *, mirrored: bool = False, telling: bool = True) -> TakenFingerprint:
    return TakenFingerprint(recipe=FINGERPRINT_RECIPE, frame=0, mirrored=mirrored, code=code, telling=telling)


def flipped(code: bytes, bits: int, seed: int = 1) -> bytes:
    value = int.from_bytes(code, "big")
    for place in random.Random(seed).sample(range(256), bits):
        value ^= 1 << place
    return value.to_bytes(32, "big")


CODE = random.Random(7).randbytes(32)
OTHER = random.Random(8).randbytes(32)


def test_near_codes_are_found_nearest_first_and_mirrored_ones_are_named(session: Session) -> None:
    same, close, mirror, far = (asset(session) for _ in range(4))
    keeping.store(
        session,
        {
            same: [taken(CODE), taken(OTHER, mirrored=True)],
            close: [taken(flipped(CODE, 9))],
            mirror: [taken(OTHER), taken(flipped(CODE, 3), mirrored=True)],
            far: [taken(flipped(CODE, 60))],
        },
    )
    found = candidates(session, [taken(CODE)])
    assert [(one.asset_id, one.distance, one.kind) for one in found] == [
        (same, 0, LikenessKind.FINGERPRINT),
        (mirror, 3, LikenessKind.MIRRORED),
        (close, 9, LikenessKind.FINGERPRINT),
    ]
    assert [one.asset_id for one in candidates(session, [taken(CODE)], leave_out={same, mirror})] == [close]


def test_up_to_fifteen_bits_nothing_is_missed(session: Session) -> None:
    known = asset(session)
    keeping.store(session, {known: [taken(CODE)]})
    for seed in range(60):
        assert [one.distance for one in near(session, flipped(CODE, 15, seed))] == [15]
    found = sum(bool(near(session, flipped(CODE, NEAR, seed))) for seed in range(60))
    assert found >= 50


def test_the_same_pixels_come_first_and_flat_pictures_match_nothing_else(session: Session) -> None:
    twin, flat = asset(session, b"\x05" * 32), asset(session)
    white = fingerprints(Image.new("RGB", (64, 64), "white"))
    keeping.store(session, {twin: [taken(OTHER)], flat: white})
    digest = PixelDigest(recipe="v1", digest=b"\x05" * 32, width=1, height=1, mode="RGB", frames=1)
    found = candidates(session, [*white, taken(OTHER)], pixels=digest)
    assert [(one.asset_id, one.kind) for one in found] == [(twin, LikenessKind.PIXELS)]
    assert candidates(session, white) == []


def test_older_recipes_go_when_the_new_is_there(session: Session) -> None:
    known = asset(session)
    session.execute(
        text(
            "insert into fingerprint (asset_id, recipe, mirrored, frame, code, bands)"
            " values (:id, 'old', false, 0, :code, '{1}')"
        ),
        {"id": known, "code": CODE},
    )
    keeping.store(session, {known: [taken(CODE)]})
    assert session.execute(text("select recipe from fingerprint")).scalars().all() == [FINGERPRINT_RECIPE]


@pytest.mark.parametrize(
    ("child", "parent", "distance", "kind", "how"),
    [
        ((64, 64), (64, 64), 0, LikenessKind.PIXELS, "copied"),
        ((640, 480), (640, 480), 4, LikenessKind.FINGERPRINT, "copied"),
        ((320, 240), (640, 480), 4, LikenessKind.FINGERPRINT, "copied"),
        ((1280, 960), (640, 480), 4, LikenessKind.FINGERPRINT, "upscaled"),
        ((1280, 960), (640, 480), 20, LikenessKind.FINGERPRINT, "retouched"),
        ((640, 480), (640, 480), 20, LikenessKind.FINGERPRINT, "retouched"),
        ((600, 480), (640, 480), 18, LikenessKind.FINGERPRINT, "cropped"),
        ((640, 480), (640, 480), 2, LikenessKind.MIRRORED, "retouched"),
        ((None, None), (640, 480), 2, LikenessKind.FINGERPRINT, "retouched"),
    ],
)
def test_how_it_was_made_is_told_by_sizes_pixels_and_distance(
    child: tuple[int | None, int | None],
    parent: tuple[int, int],
    distance: int,
    kind: LikenessKind,
    how: str,
) -> None:
    likeness = Likeness(asset_id=AssetId(new_id()), distance=distance, kind=kind)
    small, large = (SimpleNamespace(width=size[0], height=size[1]) for size in (child, parent))
    assert how_made(small, large, likeness) == how


def test_bands_are_the_code_s_parts_with_their_places() -> None:
    places = keeping.bands(bytes(range(32)))
    assert len(places) == 16
    assert [place >> 16 for place in places] == list(range(16))
    assert places[1] & 0xFFFF == 0x0203
    assert np.unique(places).size == 16
