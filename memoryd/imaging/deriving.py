"""Everything that is derived from one picture, from one decode of it."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memoryd.foundation.findings import Finding
from memoryd.imaging import png_structure, quick_png
from memoryd.imaging.colour import in_8_bits, in_srgb, profile_of
from memoryd.imaging.decoding import (
    Frame,
    ImageInexact,
    ImageTooLarge,
    ImageUnreadable,
    PictureShape,
    has_16_bits,
    opened_picture,
    read_frames,
    shape_of,
)
from memoryd.imaging.derived import Derived, SmallPicture, TakenFingerprint, Traits
from memoryd.imaging.fingerprints import fingerprints
from memoryd.imaging.pixels import PixelDigest, PixelDigesting
from memoryd.imaging.previews import MIDDLE_RECIPE, Preview
from memoryd.imaging.recipes import Part
from memoryd.imaging.thumbnails import THUMBNAIL_SIZES, fitting, small_pictures

DERIVED_PIXEL_LIMIT = 100_000_000
"""Pixels of a frame that is decoded whole: 400 MB as Pillow holds it. Larger pictures have their header's facts alone."""

_LOOKED_AT = frozenset({Part.THUMBNAIL, Part.FINGERPRINT, Part.POSTER})


def derive_picture(file: BinaryIO, parts: frozenset[Part]) -> Derived:
    """Return what is wanted of a picture; what cannot be derived is a finding. Raises: OSError, MemoryError."""
    opened = False
    try:
        with opened_picture(file) as picture:
            opened = True
            return _derive(file, picture, parts)
    except ImageTooLarge as error:
        return _only(Finding(code="too-many-pixels", detail=f"{error.detail}; {error.hint}"))
    except ImageUnreadable as error:
        code = "pixels-damaged" if opened else "not-decodable"
        return _only(Finding(code=code, detail=f"the picture cannot be decoded: {error.detail}"))


def _only(finding: Finding) -> Derived:
    return Derived(findings=(finding,))


def _derive(file: BinaryIO, picture: Image.Image, parts: frozenset[Part]) -> Derived:
    shape = shape_of(picture)
    if shape.width * shape.height > DERIVED_PIXEL_LIMIT:
        return Derived(
            traits=Traits(width=shape.width, height=shape.height, frames=shape.frames, profile=profile_of(picture)),
            findings=(
                Finding(
                    code="too-many-pixels",
                    detail=f"{shape.width} x {shape.height} pixels; DERIVED_PIXEL_LIMIT is {DERIVED_PIXEL_LIMIT}",
                ),
            ),
        )
    damage = png_structure.damage(file) if shape.format == "PNG" else None
    if shape.frames > 1:
        derived = _derive_moving(picture, shape, parts)
    elif has_16_bits(picture):
        derived = _derive_16_bits(picture, shape, parts)
    else:
        quick = quick_png.decode(file, picture) if damage is None else None
        derived = _derive_still(picture, shape, parts) if quick is None else _derive_quick(*quick, shape, parts)
    if damage is None:
        return derived
    # What was decoded in spite of it is no fact about the picture: two copies damaged differently would both pass.
    return Derived(pictures=derived.pictures, traits=derived.traits, findings=(*derived.findings, damage))


def _derive_still(picture: Image.Image, shape: PictureShape, parts: frozenset[Part]) -> Derived:
    if Part.PIXEL_DIGEST not in parts and Part.FINGERPRINT not in parts:
        # Small pictures alone: a JPEG can be decoded at an eighth of its size.
        picture.draft(None, (2 * max(THUMBNAIL_SIZES), 2 * max(THUMBNAIL_SIZES)))
    picture.load()
    pixels: PixelDigest | None = None
    if Part.PIXEL_DIGEST in parts:
        taking = PixelDigesting(shape)
        taking.add_loaded(picture)
        pixels = taking.digest()
    pictures, codes = _looked_at(picture, parts)
    return Derived(pictures=pictures, pixels=pixels, fingerprints=codes, traits=_traits(picture, shape))


def _derive_quick(
    picture: Image.Image, samples: NDArray[np.uint8], shape: PictureShape, parts: frozenset[Part]
) -> Derived:
    pixels: PixelDigest | None = None
    if Part.PIXEL_DIGEST in parts:
        taking = PixelDigesting(shape)
        taking.add(Frame(kind="rgba8", samples=samples))
        pixels = taking.digest()
    pictures, codes = _looked_at(picture, parts, samples)
    return Derived(pictures=pictures, pixels=pixels, fingerprints=codes, traits=_traits(picture, shape))


def _derive_16_bits(picture: Image.Image, shape: PictureShape, parts: frozenset[Part]) -> Derived:
    traits = _traits(picture, shape)
    try:
        [frame] = read_frames(picture)
    except ImageInexact as error:
        derived = _derive_still(picture, shape, parts - {Part.PIXEL_DIGEST})
        finding = Finding(code="pixels-inexact", detail=f"{error.detail}: no pixel digest")
        return Derived(pictures=derived.pictures, fingerprints=derived.fingerprints, traits=traits, findings=(finding,))
    pixels: PixelDigest | None = None
    if Part.PIXEL_DIGEST in parts:
        taking = PixelDigesting(shape)
        taking.add(frame)
        pixels = taking.digest()
    pictures, codes = _looked_at(_eight_bits_of(frame, picture), parts)
    return Derived(pictures=pictures, pixels=pixels, fingerprints=codes, traits=traits)


def _eight_bits_of(frame: Frame, picture: Image.Image) -> Image.Image:
    eight = Image.fromarray((frame.samples >> 8).astype(np.uint8))
    eight.info = {name: value for name, value in picture.info.items() if name in ("exif", "icc_profile")}
    return eight if eight.getchannel("A").getextrema() != (255, 255) else _without_alpha(eight)


def _without_alpha(picture: Image.Image) -> Image.Image:
    opaque = picture.convert("RGB")
    opaque.info = picture.info
    return opaque


def _derive_moving(picture: Image.Image, shape: PictureShape, parts: frozenset[Part]) -> Derived:
    """Derive from all frames in one pass: the first is the poster, the middle one is kept, and some make the preview."""
    taking = PixelDigesting(shape) if Part.PIXEL_DIGEST in parts else None
    preview = Preview() if Part.POSTER in parts else None
    pictures: tuple[SmallPicture, ...] = ()
    codes: tuple[TakenFingerprint, ...] = ()
    seconds = 0.0
    for index in range(shape.frames):
        if index and taking is None and index > shape.frames // 2 and (preview is None or preview.is_full):
            break
        picture.seek(index)
        picture.load()
        if taking is not None:
            taking.add_loaded(picture)
        if index in (0, shape.frames // 2):
            recipe = {} if index == 0 else {"recipe": MIDDLE_RECIPE}
            if Part.THUMBNAIL in parts if index == 0 else Part.POSTER in parts:
                pictures += small_pictures(picture, **recipe)  # type: ignore[arg-type]  # of one name
            if Part.FINGERPRINT in parts:
                codes += fingerprints(picture, min(index, 1))
        if preview is not None and preview.wants(seconds):
            small = fitting(in_8_bits(picture), preview.EDGE)
            preview.add(seconds, in_srgb(small, picture.info.get("icc_profile")))
        seconds += float(picture.info.get("duration") or 0) / 1000.0
    if preview is not None:
        pictures += preview.pictures()
    whole = _duration(picture, shape.frames, seconds)
    traits = Traits(
        width=shape.width,
        height=shape.height,
        frames=shape.frames,
        duration=whole,
        frame_rate=shape.frames / whole if whole else None,
        profile=profile_of(picture),
    )
    return Derived(
        pictures=pictures, pixels=None if taking is None else taking.digest(), fingerprints=codes, traits=traits
    )


def _duration(picture: Image.Image, frames: int, seconds: float) -> float | None:
    """The duration of all frames; where not all were looked at, they are taken to be as long as those that were."""
    seen = picture.tell() + 1
    return round(seconds / seen * frames, 6) if seconds > 0 and seen else None


def _looked_at(
    picture: Image.Image, parts: frozenset[Part], samples: NDArray[np.uint8] | None = None
) -> tuple[tuple[SmallPicture, ...], tuple[TakenFingerprint, ...]]:
    if not parts & _LOOKED_AT:
        return (), ()
    pictures = small_pictures(picture, samples=samples) if Part.THUMBNAIL in parts else ()
    codes = fingerprints(picture) if Part.FINGERPRINT in parts else ()
    return pictures, codes


def _traits(picture: Image.Image, shape: PictureShape) -> Traits:
    return Traits(width=shape.width, height=shape.height, frames=shape.frames, profile=profile_of(picture))


def derive_bytes(content: bytes, parts: frozenset[Part]) -> Derived:
    """Return what is wanted of a picture that is in memory; as `derive_picture`."""
    return derive_picture(io.BytesIO(content), parts)
