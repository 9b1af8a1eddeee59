"""What a picture shows, in 256 bits that stay nearly the same when it is scaled, re-encoded or recoloured a little.

The ISCC image code (ISO 24138) over the picture as the standard's own tools prepare it: upright, on white where it is
transparent, without a border of one colour, in grey, 32 x 32. The code of the mirrored picture is taken beside it.
"""

from __future__ import annotations

import base64

import iscc_lib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from memoryd.imaging.colour import in_8_bits, upright
from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.recipes import VERSIONS, Part

FINGERPRINT_RECIPE = f"iscc-image-v0-256:v{VERSIONS[Part.FINGERPRINT]}"
CODE_BYTES = 32

EDGE = 32
"""Pixels of the grey square that is looked at. Source: ISO 24138, Image-Code."""

LOOKED_AT_EDGE = 4_096
"""Pixels of the longest edge from twice which a picture is made smaller first."""

LEAST_CONTRAST = 8.0
"""Standard deviation of the grey square below which codes say nothing: white and black differ in 1 bit of 256."""
FEWEST_BITS, MOST_BITS = 64, 192
"""Codes with fewer or more bits set belong to flat pictures and smooth gradients, and match each other by chance."""

_ISCC_HEADER = bytes((0x21, 0x07))
"""Main type content, sub type image, version 0, 256 bits. Source: ISO 24138, ISCC-HEADER."""


def fingerprints(picture: Image.Image, frame: int = 0) -> tuple[TakenFingerprint, ...]:
    """Return the codes of a loaded picture and of its mirror image."""
    grey = grey_square(picture)
    contrast = float(grey.astype(np.float32).std())
    return tuple(
        _taken(samples, frame, mirrored, contrast) for mirrored, samples in ((False, grey), (True, grey[:, ::-1]))
    )


def grey_square(picture: Image.Image) -> NDArray[np.uint8]:
    """Return a loaded picture as the code sees it: 32 x 32 grey samples."""
    shrink = max(picture.size) // LOOKED_AT_EDGE
    # Grey squares of 32 pixels are the same from 4,000 and from 40,000; the memory is not.
    seen = upright(in_8_bits(picture.reduce(shrink) if _reducible(picture, shrink) else picture))
    if seen.mode == "LAB":
        seen = seen.getchannel("L")
    if seen.mode == "RGBA" or "transparency" in seen.info:
        seen = _on_white(seen.convert("RGBA"))
    trimmed = _without_border(seen)
    return np.asarray(trimmed.convert("L").resize((EDGE, EDGE), Image.Resampling.BICUBIC))


def iscc(code: bytes) -> str:
    """Return a code as an ISCC unit (`ISCC:EED…`), for other tools."""
    return "ISCC:" + base64.b32encode(_ISCC_HEADER + code).decode("ascii").rstrip("=")


def _taken(grey: NDArray[np.uint8], frame: int, mirrored: bool, contrast: float) -> TakenFingerprint:
    text = str(iscc_lib.gen_image_code_v0(grey.tobytes(), CODE_BYTES * 8)["iscc"]).removeprefix("ISCC:")
    code = base64.b32decode(text + "=" * (-len(text) % 8))[len(_ISCC_HEADER) :]
    bits = int.from_bytes(code, "big").bit_count()
    return TakenFingerprint(
        recipe=FINGERPRINT_RECIPE,
        frame=frame,
        mirrored=mirrored,
        code=code,
        telling=contrast >= LEAST_CONTRAST and FEWEST_BITS <= bits <= MOST_BITS,
    )


def _reducible(picture: Image.Image, factor: int) -> bool:
    return factor > 1 and picture.mode in ("RGB", "RGBA", "L", "CMYK") and "transparency" not in picture.info


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.getchannel("A").getextrema() == (255, 255):
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    white.alpha_composite(picture)
    return white.convert("RGB")


def _without_border(picture: Image.Image) -> Image.Image:
    """Return the picture without a border that has the colour of its upper left pixel."""
    corner = picture.getpixel((0, 0))
    width, height = picture.size
    edges = ((0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height))
    if not any(_is_all(picture.crop(edge), corner) for edge in edges):
        return picture
    apart = ImageChops.difference(picture, Image.new(picture.mode, picture.size, corner))
    box = ImageChops.add(apart, apart).getbbox()
    return picture if box is None else picture.crop(box)


def _is_all(strip: Image.Image, colour: object) -> bool:
    colours = strip.getcolors(1)
    return colours is not None and colours[0][1] == colour
