"""How alike two pictures look when they are small: finer than a fingerprint, and blind to compression, size and light.

Compares small pictures that were made within limits already (thumbnails), never a file that somebody sent.
"""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.fingerprints import fingerprints

Sight: TypeAlias = "NDArray[np.float64]"
"""A picture as it is compared: EDGE x EDGE x 3 samples of 0 to 255."""

EDGE = 32
"""Pixels of the square that is compared: coarse enough for JPEG of quality 20 at a quarter of the size."""

SMALL_LIMIT = 2_048
"""Pixels of the longer edge of a small picture; a larger one is none."""

SOFT_BORDER = 24
"""Levels of 255 by which a border that was of one colour may waver. Source: measured, JPEG of quality 20 beside lines."""

_FLAT = 1e-6


def sight(small: bytes) -> Sight | None:
    """Return a small picture (WebP, as thumbnails are) fit to be compared; None where it is none."""
    seen = _opened(small)
    if seen is None:
        return None
    return np.asarray(seen.resize((EDGE, EDGE), Image.Resampling.BOX), dtype=np.float64)


def codes_without_soft_border(small: bytes) -> tuple[TakenFingerprint, ...]:
    """Return the codes of a small picture without a border that is nearly of one colour; none where it has no such border.

    A fingerprint leaves out a border of one colour; compression makes such a border waver, and the code another.
    """
    seen = _opened(small)
    if seen is None:
        return ()
    apart = ImageChops.difference(seen, Image.new("RGB", seen.size, seen.getpixel((0, 0))))
    box = apart.convert("L").point([255 if level > SOFT_BORDER else 0 for level in range(256)]).getbbox()
    if box is None or box == (0, 0, *seen.size):
        return ()
    return fingerprints(seen.crop(box))


def _opened(small: bytes) -> Image.Image | None:
    """Return a small picture on white; None where it is none."""
    try:
        with Image.open(io.BytesIO(small), formats=("WEBP",)) as picture:
            if max(picture.size) > SMALL_LIMIT:
                return None
            seen = picture.convert("RGBA")
    except (OSError, ValueError):
        return None
    white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
    white.alpha_composite(seen)
    return white.convert("RGB")


def alike(one: Sight, other: Sight, *, mirrored: bool = False) -> float:
    """Return how alike two sights are: 1.0 is the same but for brightness and contrast, 0.0 has nothing in common.

    With `mirrored` the first is turned round before.
    """
    left, right = (seen - seen.mean(axis=(0, 1)) for seen in (one[:, ::-1] if mirrored else one, other))
    spread = float(np.sqrt(np.square(left).sum() * np.square(right).sum()))
    if spread < _FLAT:
        # Of two flat pictures the shades alone can be compared.
        return 1.0 if np.abs(one - other).max() < 1.0 else 0.0
    return max(0.0, float((left * right).sum()) / spread)
