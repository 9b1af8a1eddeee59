"""Small pictures for pages: upright, in sRGB, and without any of the metadata of the large one."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from PIL import Image, ImageCms, ImageOps

from memoryd.foundation.errors import NotAcceptable
from memoryd.imaging.decoding import Source, opened_picture

THUMBNAIL_RECIPE = "v1"
"""First frame, upright, sRGB, scaled down by Lanczos so that it fits a square, WebP at quality 80."""
THUMBNAIL_MEDIA_TYPE = "image/webp"
THUMBNAIL_SIZE_LIMIT = 2_048
"""Pixels of the longer edge that may be asked for."""

_QUALITY = 80
_PROFILE_LIMIT = 4 * 1024**2
"""Bytes of a colour profile that is applied; real ones are below 3 MB."""
_RENDERING_INTENT = ImageCms.Intent.PERCEPTUAL


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
        small = _to_8_bits(picture)
        profile = picture.info.get("icc_profile")
        upright = ImageOps.exif_transpose(small)
        upright.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
        shown = _in_srgb(upright, profile)
    if shown.mode not in ("RGB", "RGBA"):
        shown = shown.convert("RGBA" if "A" in shown.getbands() or "transparency" in shown.info else "RGB")
    out = io.BytesIO()
    # A fresh picture: what Pillow would carry over (EXIF, XMP, the profile) may hold a prompt.
    Image.fromarray(np.asarray(shown)).save(out, "WEBP", quality=_QUALITY, method=4)
    return out.getvalue()


def _to_8_bits(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        samples = np.nan_to_num(np.asarray(picture).astype(np.float64))
        top = 1.0 if picture.mode == "F" else 65535.0
        eight = Image.fromarray((np.clip(samples / top, 0.0, 1.0) * 255.0).round().astype(np.uint8))
        eight.info = {name: value for name, value in picture.info.items() if name == "exif"}
        return eight
    if picture.mode in ("P", "PA", "1", "LA", "La", "RGBa"):
        transparent = "transparency" in picture.info or picture.mode in ("PA", "LA", "La", "RGBa")
        return picture.convert("RGBA" if transparent else "RGB")
    return picture


def _in_srgb(picture: Image.Image, profile: object) -> Image.Image:
    """Return the picture in sRGB where its profile can be read; a broken profile is none."""
    if isinstance(profile, bytes) and len(profile) <= _PROFILE_LIMIT and picture.mode in ("RGB", "RGBA", "CMYK", "L"):
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=_RENDERING_INTENT,
                outputMode="RGBA" if picture.mode == "RGBA" else "RGB",
            )
            if converted is not None:
                return converted
    return picture
