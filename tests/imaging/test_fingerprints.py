"""Fingerprints: the standard's codes, steady under re-encoding, silent about flat pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.fingerprints import fingerprints, grey_square, iscc


def painted(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """A picture of a few soft shapes, another for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Image.blend(coarse, fine, 0.35)


def apart(a: TakenFingerprint, b: TakenFingerprint) -> int:
    return (int.from_bytes(a.code, "big") ^ int.from_bytes(b.code, "big")).bit_count()


def reencoded(picture: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue()))


def test_codes_are_those_that_the_reference_implementation_publishes() -> None:
    """Source: iscc-core 1.5.0, conformance vectors of gen_image_code_v0 (256 bits), and its code for the ramp below."""
    black, white = (Image.new("L", (32, 32), value) for value in (0, 255))
    assert iscc(fingerprints(black)[0].code) == "ISCC:EEDQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    assert iscc(fingerprints(white)[0].code) == "ISCC:EEDYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    ramp = Image.fromarray((np.arange(1024, dtype=np.uint32) * 7919 % 251).astype(np.uint8).reshape(32, 32))
    assert iscc(fingerprints(ramp)[0].code) == "ISCC:EED6VVPXQGVYDMUBVTL5KZSQM7AJMAQB74A2X7SVT2WZLQPPKVTUIBQ"


def test_scaling_and_encoding_move_few_bits_and_another_picture_many() -> None:
    [original, mirrored] = fingerprints(painted(1))
    assert original.telling
    for changed in (
        reencoded(painted(1), 40),
        painted(1).resize((200, 150), Image.Resampling.LANCZOS),
        painted(1).resize((1200, 900), Image.Resampling.LANCZOS),
        ImageOps.expand(painted(1), 40, (255, 255, 255)),
        painted(1).convert("RGBA"),
    ):
        assert apart(original, fingerprints(changed)[0]) <= 16
    assert apart(mirrored, fingerprints(ImageOps.mirror(painted(1)))[0]) <= 16
    assert min(apart(original, fingerprints(painted(seed))[0]) for seed in range(2, 30)) > 64


@pytest.mark.parametrize("colour", ["white", "black", "red", (120, 130, 140)])
def test_flat_pictures_tell_nothing(colour: str | tuple[int, int, int]) -> None:
    assert not any(one.telling for one in fingerprints(Image.new("RGB", (300, 300), colour)))


def test_what_is_clear_is_seen_on_white_and_a_turned_picture_upright() -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert int(grey_square(clear).min()) == 255
    turned = painted(3).transpose(Image.Transpose.ROTATE_90)
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(out, "PNG", exif=exif)
    loaded = Image.open(io.BytesIO(out.getvalue()))
    loaded.load()
    assert apart(fingerprints(painted(3))[0], fingerprints(loaded)[0]) <= 4
