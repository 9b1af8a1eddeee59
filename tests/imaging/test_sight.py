"""How alike small pictures look: compression and light do not count, another picture does."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from memoryd.imaging.fingerprints import fingerprints
from memoryd.imaging.sight import alike, codes_without_soft_border, sight
from tests.reproduction.painting import painted


def small(picture: Image.Image, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", **more)
    return out.getvalue()


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


def near(one: Image.Image, other: Image.Image, *, mirrored: bool = False) -> float:
    left, right = sight(small(one)), sight(small(other))
    assert left is not None
    assert right is not None
    return alike(left, right, mirrored=mirrored)


def test_what_was_encoded_anew_scaled_or_made_brighter_looks_the_same() -> None:
    picture = painted(1)
    assert near(picture, picture) > 0.999
    assert near(picture, jpeg(picture, 20)) > 0.95
    assert near(picture, picture.resize((100, 100))) > 0.95
    assert near(picture, ImageEnhance.Brightness(picture).enhance(1.2)) > 0.95
    assert near(picture, ImageOps.mirror(picture), mirrored=True) > 0.99


def test_another_picture_does_not() -> None:
    assert all(near(painted(1), painted(seed)) < 0.6 for seed in range(2, 8))
    assert near(painted(1), ImageOps.mirror(painted(1))) < 0.6


def test_flat_pictures_are_compared_by_their_shade() -> None:
    white, black = Image.new("RGB", (64, 64), "white"), Image.new("RGB", (64, 64), "black")
    assert near(white, white) == 1.0
    assert near(white, black) == 0.0


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x89PNG\r\n\x1a\n", small(Image.new("RGB", (3000, 8)))])
def test_what_is_no_small_picture_is_none(content: bytes) -> None:
    assert sight(content) is None
    assert codes_without_soft_border(content) == ()


def test_a_border_that_compression_made_waver_is_left_out_all_the_same() -> None:
    framed = Image.new("RGB", (400, 360), "white")
    framed.paste(painted(1), (40, 60))
    ImageDraw.Draw(framed).rectangle((40, 60, 295, 315), outline="black")
    known = fingerprints(framed)[0].code
    rough = jpeg(framed, 20)

    def apart(code: bytes) -> int:
        return (int.from_bytes(code, "big") ^ int.from_bytes(known, "big")).bit_count()

    soft = codes_without_soft_border(small(rough, quality=90))
    assert min(apart(one.code) for one in soft) <= 24 < apart(fingerprints(rough)[0].code)
    assert codes_without_soft_border(small(painted(1))) == ()
