"""Unpacking by another inflater: the same samples, and nothing of what is not whole."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from memoryd.imaging.unpacked_png import unpacked


def noise(mode: str, width: int, height: int) -> Image.Image:
    samples = np.random.default_rng(width * height).integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
    return Image.fromarray(samples, mode)


def png(picture: Image.Image, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", **more)
    return out.getvalue()


def decoded(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (200, 151), (256, 256)])
def test_the_samples_stay_the_same(mode: str, size: tuple[int, int]) -> None:
    picture = noise(mode, *size)
    plain = unpacked(png(picture))
    assert plain is not None
    assert (decoded(plain) == np.asarray(picture)).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "LA"])
def test_other_kinds_are_left_to_others(mode: str) -> None:
    picture = Image.new("I;16", (9, 9), 700) if mode == "I;16" else noise("RGBA", 9, 9).convert("RGB").convert(mode)
    assert unpacked(png(picture)) is None


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def made(rows: bytes, width: int = 4, height: int = 4, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_what_is_not_exactly_the_picture_is_not_unpacked() -> None:
    whole = bytes(4 * 13)
    assert unpacked(made(whole)) is not None
    assert unpacked(made(whole[:-1])) is None
    assert unpacked(made(whole + b"\0")) is None
    assert unpacked(made(whole, interlaced=1)) is None
    content = made(whole)
    for cut in range(len(content)):
        assert unpacked(content[:cut]) is None
    damaged = bytearray(png(noise("RGB", 64, 64)))
    damaged[damaged.index(b"IDAT") + 400] ^= 0x55
    assert unpacked(bytes(damaged)) is None


def test_a_bomb_is_not_unpacked() -> None:
    assert unpacked(made(bytes(50_000_000))) is None
