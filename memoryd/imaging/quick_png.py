"""Plain PNG files decoded in half the time, where the package `pyspng-seunglab` (libspng) is installed.

PNG is exact by definition, so whoever decodes it finds the same samples; the tests compare the two. Everything out of the
ordinary (palettes, grey, 16 bits, transparency keys, orientation behind the pixels, damage) is left to Pillow.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memoryd.imaging.appearance import may_turn
from memoryd.imaging.unpacked_png import chunks, unpacked

try:
    import pyspng  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError:
    pyspng = None

WORTH_PIXELS = (128 * 128, 16_000_000)
"""Pixels from which it makes a difference, and from which the second copy of the samples takes too much memory."""
CONTENT_LIMIT = 512 * 1024**2
"""Bytes of a file that is held in memory for it."""


def decode(file: BinaryIO, picture: Image.Image) -> tuple[Image.Image, NDArray[np.uint8]] | None:
    """Return an opened PNG, decoded, and its samples (height, width, RGBA); None where it is not a plain one."""
    plain = (
        pyspng is not None
        and picture.format == "PNG"
        and picture.mode in ("RGB", "RGBA")
        and "transparency" not in picture.info
        and WORTH_PIXELS[0] <= picture.width * picture.height <= WORTH_PIXELS[1]
    )
    content = _content(file) if plain else None
    if content is None or _turned_late(content):
        return None
    samples = _samples(content)
    if samples is None or samples.shape != (picture.height, picture.width, 4):
        return None
    # Three channels are held as four in any case.
    raw = "RGBA" if picture.mode == "RGBA" else "RGBX"
    loaded = Image.frombuffer(picture.mode, picture.size, samples, "raw", raw, 0, 1)
    loaded.info = picture.info
    return loaded, samples


def _turned_late(content: bytes) -> bool:
    pixels = False
    for kind, start, _ in chunks(content):
        pixels = pixels or kind == b"IDAT"
        if pixels and may_turn(content, kind, start):
            # Pillow finds it when it decodes.
            return True
    return False


def _content(file: BinaryIO) -> bytes | None:
    kept = file.tell()
    try:
        if file.seek(0, os.SEEK_END) > CONTENT_LIMIT:
            return None
        file.seek(0)
        return file.read()
    finally:
        file.seek(kept)


def _samples(content: bytes) -> NDArray[Any] | None:
    try:
        # Where it is not of the plainest kind, libspng takes it as it is.
        return np.ascontiguousarray(pyspng.load(unpacked(content) or content, format="RGBA"))
    except (ValueError, RuntimeError, TypeError, OSError):
        # Pillow says what is wrong with it.
        return None
