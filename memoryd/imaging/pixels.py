"""What a picture shows, as a digest. Metadata and compression do not count."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memoryd.imaging.decoding import Frame, PictureShape, Source, loaded_frame, opened_picture, read_frames, shape_of

PIXEL_RECIPE = "v1"
"""SHA-256 over one line `memoryd pixels v1`, one line `<width>x<height> <frames>`, and each frame: a line with its kind
and its samples by row, big-endian. Where pixels depend on the decoder, its name and version follow the recipe's."""

_ROWS_AT_ONCE = 256
_NOT_RGBA8 = ("CMYK", "LAB", "I", "F")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PixelDigest:
    """A picture's pixels in 32 bytes. Two digests are comparable where their recipes are equal."""

    recipe: str
    digest: bytes
    width: int
    height: int
    mode: str
    frames: int


def pixel_digest(source: Source) -> PixelDigest:
    """Return the digest of all frames, at 16 bits where the file has them.

    Raises: ImageUnreadable, ImageInexact, ImageTooLarge, OSError.
    """
    with opened_picture(source) as picture:
        taking = PixelDigesting(shape_of(picture))
        for frame in read_frames(picture):
            taking.add(frame)
    return taking.digest()


class PixelDigesting:
    """A digest being taken, frame by frame, for whoever needs the decoded frames for more than this."""

    def __init__(self, shape: PictureShape) -> None:
        """Nothing is added yet."""
        self._shape = shape
        self._hash = hashlib.sha256(f"memoryd pixels v1\n{shape.width}x{shape.height} {shape.frames}\n".encode("ascii"))

    def add(self, frame: Frame) -> None:
        """Add the next frame as `read_frames` gives it."""
        self._hash.update(f"{frame.kind}\n".encode("ascii"))
        for rows in _blocks(frame.samples):
            self._hash.update(_big_endian(rows).data)

    def copy(self, shape: PictureShape) -> PixelDigesting:
        """Return a digest of what was added so far that goes on by itself, for a picture of this shape.

        The shape must have the same size and number of frames.
        """
        other = PixelDigesting(shape)
        other._hash = self._hash.copy()
        return other

    def add_loaded(self, picture: Image.Image) -> None:
        """Add a loaded frame as `loaded_frame` gives it; one of 8 bits is not held a second time as a whole."""
        if picture.mode in _NOT_RGBA8 or picture.mode.startswith("I;16"):
            self.add(loaded_frame(picture))
            return
        self._hash.update(b"rgba8\n")
        for top in range(0, picture.height, _ROWS_AT_ONCE):
            rows = picture.crop((0, top, picture.width, min(top + _ROWS_AT_ONCE, picture.height)))
            self._hash.update(rows.convert("RGBA").tobytes())

    def digest(self) -> PixelDigest:
        """Return the digest of what was added."""
        shape = self._shape
        return PixelDigest(
            recipe=PIXEL_RECIPE if shape.decoder is None else f"{PIXEL_RECIPE}+{shape.decoder}",
            digest=self._hash.digest(),
            width=shape.width,
            height=shape.height,
            mode=shape.mode,
            frames=shape.frames,
        )


def _blocks(samples: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for first in range(0, samples.shape[0], _ROWS_AT_ONCE):
        yield samples[first : first + _ROWS_AT_ONCE]


def _big_endian(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder(">"), copy=False))
