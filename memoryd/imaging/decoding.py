"""Pictures decoded exactly, frame by frame, from files that may be hostile.

A frame is what the file says, not what a screen shows: no colour profile, no orientation, no gamma is applied. It has
one of few kinds: `rgba8` and `rgba16` (grey, palette and transparency keys spelled out as red, green, blue, alpha), and
`cmyk8`, `lab8`, `int32`, `float32` as they are. 16 bits stay 16 bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError, features

from memoryd.foundation.errors import NotAcceptable, TooLarge

Source: TypeAlias = "Path | bytes | BinaryIO"
"""A file's path, its bytes, or an open seekable file."""

PIXEL_LIMIT = 178_956_970
"""Pixels of one frame. Source: Pillow's limit against decompression bombs, 2 x 1/4 GiB of 24-bit pixels."""
FRAME_LIMIT = 10_000
ANIMATION_PIXEL_LIMIT = 2**32
"""Pixels of all frames together: a minute and a half of 4K at 6 frames a second."""
TEXT_LIMIT = 32 * 1024**2
ALL_TEXT_LIMIT = 64 * 1024**2
"""Bytes of text chunks that are skipped over. The largest real workflow seen has 1.64 MB; Pillow's own limit is 1 MB."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
"""Decoders that are offered hostile bytes; Pillow has dozens more, and one of them starts Ghostscript."""

_DECODER_MATTERS = {"JPEG": "libjpeg_turbo", "AVIF": "avif"}
"""Formats whose pixels depend on the decoder's version. PNG, GIF, BMP, TIFF and lossy WebP are exact by definition.
Source: ISO/IEC 10918-2 allows any IDCT within an error bound; RFC 6386 defines VP8's reconstruction bit by bit."""

# Whoever decodes here has checked sizes already; these are the process's limits for everybody else.
PngImagePlugin.MAX_TEXT_CHUNK = TEXT_LIMIT
PngImagePlugin.MAX_TEXT_MEMORY = ALL_TEXT_LIMIT

_HOSTILE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise at broken files."""


class ImageUnreadable(NotAcceptable):
    """This is no picture that can be decoded."""


class ImageInexact(NotAcceptable):
    """This picture cannot be decoded without loss."""


class ImageTooLarge(TooLarge):
    """This picture has more pixels than may be decoded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureShape:
    """What a picture's header says."""

    format: str
    """Pillow's name: PNG, JPEG …"""
    media_type: str
    width: int
    height: int
    frames: int
    mode: str
    """How samples are stored: `RGB`, `P`, `RGB;16` …"""

    @property
    def decoder(self) -> str | None:
        """The decoder's name and version where pixels depend on it, None where the format defines them."""
        name = _DECODER_MATTERS.get(self.format)
        return None if name is None else f"{name}-{features.version(name) or 'unknown'}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame: `samples` has the shape (height, width, channels)."""

    kind: str
    samples: NDArray[Any]


def read_shape(source: Source) -> PictureShape:
    """Return what a picture's header says, without decoding pixels. Raises: ImageUnreadable, ImageTooLarge, OSError."""
    with opened_picture(source) as picture:
        return shape_of(picture)


@contextlib.contextmanager
def opened_picture(source: Source) -> Iterator[Image.Image]:
    """A picture, opened and within the limits, not yet decoded; what decoders raise inside the block is translated.

    Raises: ImageUnreadable, ImageTooLarge; OSError where the file itself cannot be opened or read.
    """
    with contextlib.ExitStack() as stack:
        file = _opened(source, stack)
        try:
            picture = stack.enter_context(Image.open(file, formats=FORMATS))
            _check_limits(picture)
            yield picture
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageTooLarge(str(error), hint=f"PIXEL_LIMIT is {PIXEL_LIMIT}") from None
        except _HOSTILE as error:
            if isinstance(error, OSError) and error.errno is not None:
                # The disk or the network failed, not the picture.
                raise
            reason = f"{type(error).__name__}: {str(error)[:200] or 'no reason given'}"
            raise ImageUnreadable(
                # Pillow's own words name an object of this process.
                "no decoder knows its format" if isinstance(error, UnidentifiedImageError) else reason,
                hint="the file is damaged, incomplete or of a format that memoryd does not decode",
            ) from None


def shape_of(picture: Image.Image) -> PictureShape:
    """Return what an opened picture's header says."""
    name = picture.format or ""
    return PictureShape(
        format=name,
        media_type=Image.MIME.get(name, "application/octet-stream"),
        width=picture.width,
        height=picture.height,
        frames=int(getattr(picture, "n_frames", 1)),
        mode=f"{picture.mode};16" if has_16_bits(picture) else picture.mode,
    )


def read_frames(picture: Image.Image) -> Iterator[Frame]:
    """Yield a picture's frames exactly, in their order. Raises: ImageInexact where decoding would lose bits."""
    frames = int(getattr(picture, "n_frames", 1))
    if has_16_bits(picture):
        if picture.format != "PNG" or frames > 1:
            raise ImageInexact(
                f"{picture.format} with 16 bits a sample and {frames} frames would be reduced to 8 bits",
                hint="compare the files by their bytes",
            )
        yield _read_png16(picture)
        return
    for index in range(frames):
        if frames > 1:
            picture.seek(index)
        yield loaded_frame(picture)


def _opened(source: Source, stack: contextlib.ExitStack) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, Path):
        return stack.enter_context(source.open("rb"))
    source.seek(0)
    return source


def _check_limits(picture: Image.Image) -> None:
    frames = int(getattr(picture, "n_frames", 1))
    pixels = picture.width * picture.height
    for value, limit, name in (
        (pixels, PIXEL_LIMIT, "PIXEL_LIMIT"),
        (frames, FRAME_LIMIT, "FRAME_LIMIT"),
        (pixels * frames, ANIMATION_PIXEL_LIMIT, "ANIMATION_PIXEL_LIMIT"),
    ):
        if value > limit:
            raise ImageTooLarge(
                f"{picture.width} x {picture.height} pixels, {frames} frames", hint=f"{name} is {limit}", limit=limit
            )


def _raw_mode(picture: Image.Image) -> str:
    arguments = picture.tile[0][3] if picture.tile else None  # type: ignore[attr-defined]  # of every ImageFile
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def has_16_bits(picture: Image.Image) -> bool:
    """Whether samples have 16 bits, and Pillow would take 8 of them (it keeps all of a single grey channel)."""
    return ";16" in _raw_mode(picture) and not picture.mode.startswith("I")


def _read_png16(picture: Image.Image) -> Frame:
    """Read colour of 16 bits a sample. Pillow keeps one byte of each sample: which one, its raw mode says.

    So the file is decoded twice, for the high bytes and for the low ones. Grey with alpha has four bytes a pixel and is
    read as if it had four samples of 8 bits.
    """
    channels = {"RGB;16B": "RGB", "RGBA;16B": "RGBA", "LA;16B": "LA"}.get(_raw_mode(picture))
    if channels is None:
        raise ImageInexact(f"PNG stored as {_raw_mode(picture)}", hint="compare the files by their bytes")
    transparency = picture.info.get("transparency")
    tiles = picture.tile  # type: ignore[attr-defined]  # of every ImageFile
    file = picture.fp  # type: ignore[attr-defined]  # of every ImageFile
    if channels == "LA":
        pairs = _samples_as(picture, tiles, "RGBA", "RGBA").astype(np.uint16)
        grey, alpha = pairs[..., 0] << 8 | pairs[..., 1], pairs[..., 2] << 8 | pairs[..., 3]
        return Frame(kind="rgba16", samples=np.stack([grey, grey, grey, alpha], axis=-1))
    high = _samples_as(picture, tiles, channels, f"{channels};16B").astype(np.uint16)
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as again:
        low = _samples_as(again, again.tile, channels, f"{channels};16L")
    samples = high << 8 | low
    if channels == "RGB":
        alpha = np.full(samples.shape[:2], 0xFFFF, dtype=np.uint16)
        if isinstance(transparency, tuple):
            alpha[(samples == np.array(transparency, dtype=np.uint16)).all(axis=-1)] = 0
        samples = np.dstack([samples, alpha])
    return Frame(kind="rgba16", samples=samples)


def _samples_as(picture: Image.Image, tiles: list[Any], mode: str, raw_mode: str) -> NDArray[np.uint8]:
    picture._mode = mode
    picture.tile = [(codec, extents, offset, raw_mode) for codec, extents, offset, _ in tiles]  # type: ignore[attr-defined]
    picture.load()
    return np.asarray(picture)


def loaded_frame(picture: Image.Image) -> Frame:
    """Return the present frame of a picture that has no colour of 16 bits."""
    picture.load()
    mode = picture.mode
    if mode.startswith("I;16"):
        return _grey16(picture)
    if mode in ("CMYK", "LAB"):
        return Frame(kind=f"{mode.lower()}8", samples=np.asarray(picture))
    if mode in ("I", "F"):
        samples = np.asarray(picture)[..., np.newaxis]
        return Frame(kind="int32" if mode == "I" else "float32", samples=samples)
    return Frame(kind="rgba8", samples=np.asarray(picture.convert("RGBA")))


def _grey16(picture: Image.Image) -> Frame:
    grey = np.asarray(picture).astype(np.uint16)
    alpha = np.full(grey.shape, 0xFFFF, dtype=np.uint16)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        alpha[grey == transparent] = 0
    return Frame(kind="rgba16", samples=np.stack([grey, grey, grey, alpha], axis=-1))
