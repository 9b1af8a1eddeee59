"""PNG files written by hand, since Pillow writes no colour of 16 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

MakePng = Callable[..., bytes]

_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _predicted(method: int, left: int, up: int, corner: int) -> int:
    if method != 4:
        return (0, left, up, (left + up) // 2)[method]
    estimate = left + up - corner
    return min((abs(estimate - value), order, value) for order, value in enumerate((left, up, corner)))[2]


def write_png(samples: NDArray[Any], *, transparency: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG of (height, width, channels) samples, 8 or 16 bits by their type, with all five filters in turn."""
    height, width, channels = samples.shape
    size = samples.dtype.itemsize
    raw, stride, step = (
        samples.astype(samples.dtype.newbyteorder(">")).tobytes(),
        width * channels * size,
        channels * size,
    )
    out, above = bytearray(), bytes(stride)
    for y in range(height):
        row = raw[y * stride : (y + 1) * stride]
        out.append(y % 5)
        for i, value in enumerate(row):
            left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
            out.append((value - _predicted(y % 5, left, above[i], corner)) & 0xFF)
        above = row
    header = struct.pack(">IIBBBBB", width, height, 8 * size, _COLOUR_TYPE[channels], 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + extra
        + (_chunk(b"tRNS", transparency) if transparency else b"")
        + _chunk(b"IDAT", zlib.compress(bytes(out)))
        + _chunk(b"IEND", b"")
    )


def write_header_only(width: int, height: int) -> bytes:
    """A PNG that promises more pixels than it has."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")


@pytest.fixture
def png() -> MakePng:
    return write_png


@pytest.fixture
def png_bomb() -> MakePng:
    return write_header_only


@pytest.fixture
def noise() -> Callable[..., NDArray[Any]]:
    generator = np.random.default_rng(7)

    def make(channels: int, bits: int = 8, height: int = 11, width: int = 7) -> NDArray[Any]:
        kind = np.uint8 if bits == 8 else np.uint16
        return generator.integers(0, 2**bits, (height, width, channels)).astype(kind)

    return make
