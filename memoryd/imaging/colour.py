"""Colour: which profile a picture carries, and its samples in sRGB."""

from __future__ import annotations

import contextlib
import hashlib
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from memoryd.foundation.texts import storable
from memoryd.imaging.derived import ColourProfile

PROFILE_LIMIT = 4 * 1024**2
"""Bytes of a colour profile that is applied; real ones are below 3 MB."""
_NAME_LIMIT = 200
_RENDERING_INTENT = ImageCms.Intent.PERCEPTUAL
_WITH_PROFILE = ("RGB", "RGBA", "CMYK", "L")


def profile_of(picture: Image.Image) -> ColourProfile | None:
    """Return the colour profile that an opened picture carries, under its own name, or None."""
    profile = picture.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return None
    name = "unreadable"
    if len(profile) <= PROFILE_LIMIT:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    return ColourProfile(name=storable(name)[0][:_NAME_LIMIT], sha256=hashlib.sha256(profile).digest())


def in_8_bits(picture: Image.Image) -> Image.Image:
    """Return a loaded picture with 8 bits a sample, in RGB, RGBA, L, CMYK or LAB."""
    if picture.mode.startswith("I") or picture.mode == "F":
        samples = np.nan_to_num(np.asarray(picture).astype(np.float32))
        top = 1.0 if picture.mode == "F" else 65535.0
        eight = Image.fromarray((np.clip(samples / top, 0.0, 1.0) * 255.0).round().astype(np.uint8))
        eight.info = {name: value for name, value in picture.info.items() if name in ("exif", "icc_profile")}
        return eight
    if picture.mode in ("P", "PA", "1", "LA", "La", "RGBa"):
        transparent = "transparency" in picture.info or picture.mode in ("PA", "LA", "La", "RGBa")
        return picture.convert("RGBA" if transparent else "RGB")
    return picture


def upright(picture: Image.Image) -> Image.Image:
    """Return a loaded picture as its orientation says it is to be seen: itself where it says nothing."""
    # Pillow's own would return a copy of it.
    return ImageOps.exif_transpose(picture) if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1 else picture


def in_srgb(picture: Image.Image, profile: object) -> Image.Image:
    """Return a picture of 8 bits as RGB, RGBX or RGBA, in sRGB where its profile can be read; a broken profile is none."""
    if picture.mode == "RGBX" and profile:
        picture = picture.convert("RGB")
    if isinstance(profile, bytes) and 0 < len(profile) <= PROFILE_LIMIT and picture.mode in _WITH_PROFILE:
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
    if picture.mode in ("RGB", "RGBX", "RGBA"):
        return picture
    return picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB")
