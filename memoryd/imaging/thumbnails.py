"""Small pictures for pages: upright, in sRGB, and without any of the metadata of the large one."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memoryd.foundation.errors import NotAcceptable
from memoryd.imaging import quick_webp
from memoryd.imaging.colour import in_8_bits, in_srgb, upright
from memoryd.imaging.decoding import Source, opened_picture
from memoryd.imaging.derived import SmallPicture
from memoryd.imaging.recipes import VERSIONS, Part

THUMBNAIL_RECIPE = f"v{VERSIONS[Part.THUMBNAIL]}"
"""First frame, upright, sRGB, scaled down by Lanczos so that it fits a square, the smaller from the larger, WebP."""
THUMBNAIL_MEDIA_TYPE = "image/webp"
THUMBNAIL_SIZES = (256, 1024)
"""Longest edges in pixels: for a grid, and for looking at one."""
THUMBNAIL_SIZE_LIMIT = 2_048
"""Pixels of the longer edge that may be asked for."""

_QUALITY = 80
_EFFORT = 0
"""WebP's method. 4 makes a file 8 % smaller in four times the time: 80 instead of 20 ms at 1024 x 1024."""
_GAP = 1.0
"""Reduced by a box first, by the whole factor, then by Lanczos: a fifth of the time, no difference to be seen in a grid."""


class BadThumbnailSize(NotAcceptable):
    """A thumbnail cannot have this size."""


def thumbnail(source: Source, size: int) -> bytes:
    """Return a WebP that fits a square of `size` pixels and is never larger than the picture.

    Raises: ImageUnreadable, ImageTooLarge, BadThumbnailSize, OSError.
    """
    if not 1 <= size <= THUMBNAIL_SIZE_LIMIT:
        raise BadThumbnailSize(f"{size} pixels", hint=f"ask for 1 to {THUMBNAIL_SIZE_LIMIT} (THUMBNAIL_SIZE_LIMIT)")
    with opened_picture(source) as picture:
        # A JPEG can be decoded at an eighth of its size; twice what is needed keeps the scaling good.
        picture.draft(None, (2 * size, 2 * size))
        picture.load()
        [small] = small_pictures(picture, (size,))
    return small.content


def small_pictures(
    picture: Image.Image,
    sizes: Sequence[int] = THUMBNAIL_SIZES,
    recipe: str = THUMBNAIL_RECIPE,
    samples: NDArray[np.uint8] | None = None,
) -> tuple[SmallPicture, ...]:
    """Return a loaded picture in these sizes, smallest first. The picture itself is left as it is.

    `samples` are the picture's own (height, width, channels), where the caller has them: they save a copy.
    """
    profile = picture.info.get("icc_profile")
    small = fitting(in_8_bits(picture), max(sizes))
    # Colours are converted when few pixels are left.
    small = in_srgb(upright(small), profile)
    made: list[SmallPicture] = []
    for size in sorted(sizes, reverse=True):
        small = fitting(small, size)
        made.append(
            SmallPicture(
                recipe=recipe,
                size=size,
                content=as_webp(small, samples if small is picture else None),
                media_type=THUMBNAIL_MEDIA_TYPE,
                width=small.width,
                height=small.height,
            )
        )
    return tuple(reversed(made))


def fitting(picture: Image.Image, size: int) -> Image.Image:
    """Return a picture that fits a square of `size` pixels: itself where it does already."""
    longest = max(picture.size)
    if longest <= size:
        return picture
    wanted = (max(1, round(picture.width * size / longest)), max(1, round(picture.height * size / longest)))
    return picture.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=_GAP)


def as_webp(picture: Image.Image, samples: NDArray[np.uint8] | None = None) -> bytes:
    """Return an RGB, RGBX or RGBA picture as WebP, with nothing but its pixels."""
    quick = quick_webp.encode(picture, _QUALITY, _EFFORT, samples)
    if quick is not None:
        return quick
    out = io.BytesIO()
    # What Pillow would carry over (EXIF, XMP, the profile) may hold a prompt.
    picture.save(out, "WEBP", quality=_QUALITY, method=_EFFORT, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()
