"""Opaque pictures encoded as WebP in three quarters of the time, where the package `webp` (libwebp) is installed.

Pillow copies a picture into libwebp's own four channels, which libwebp then makes luma and chroma of; here libwebp makes
them of the samples themselves. It is the same encoder with the same settings, and the bytes are the same: the tests
compare the two.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

webp: Any = None
with contextlib.suppress(ImportError):
    webp = importlib.import_module("webp")

_OPAQUE = 0xFF000000
"""The fourth channel of a pixel that is read as one little-endian number."""


def encode(picture: Image.Image, quality: int, method: int, samples: NDArray[np.uint8] | None = None) -> bytes | None:
    """Return an opaque RGB, RGBX or RGBA picture as WebP with nothing but its pixels, None where that is not for here.

    `samples` are the picture's own, where the caller has them; of RGBX the fourth is then 255.
    """
    if webp is None or sys.byteorder != "little" or picture.mode not in ("RGB", "RGBX", "RGBA"):
        return None
    known = samples is not None and picture.mode == "RGBX"
    samples = np.ascontiguousarray(picture if samples is None else samples)
    if not known and samples.shape[2] == 4 and not _is_opaque(samples):
        return None
    try:
        return _encoded(samples, quality, method)
    except (webp.WebPError, MemoryError):
        # Pillow says what is wrong with it.
        return None


def _is_opaque(samples: NDArray[np.uint8]) -> bool:
    return int(np.bitwise_and.reduce(samples.view("<u4"), axis=None)) & _OPAQUE == _OPAQUE


def _encoded(samples: NDArray[np.uint8], quality: int, method: int) -> bytes:
    ffi, lib = webp.ffi, webp.lib
    height, width, channels = samples.shape
    plan = webp.WebPPicture(ffi.new("WebPPicture*"))
    if not lib.WebPPictureInit(plan.ptr):
        raise webp.WebPError("another version of libwebp")
    plan.ptr.width, plan.ptr.height, plan.ptr.use_argb = width, height, 0
    taking = lib.WebPPictureImportRGB if channels == 3 else lib.WebPPictureImportRGBA
    if not taking(plan.ptr, ffi.from_buffer("uint8_t[]", samples), width * channels):
        raise webp.WebPError("no memory")
    out = plan.encode(webp.WebPConfig.new(quality=quality, method=method))
    return bytes(out.buffer())
