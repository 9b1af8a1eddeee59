"""What a picture shows, as a digest, and how far two pictures are apart. Metadata and compression do not count."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memoryd.foundation.canonical_json import Json
from memoryd.imaging.decoding import Frame, PictureShape, Source, loaded_frame, opened_picture, read_frames, shape_of

PIXEL_RECIPE = "v1"
"""SHA-256 over one line `memoryd pixels v1`, one line `<width>x<height> <frames>`, and each frame: a line with its kind
and its samples by row, big-endian. Where pixels depend on the decoder, its name and version follow the recipe's."""

_ROWS_AT_ONCE = 256
_FULL_SCALE = {"rgba8": 255.0, "cmyk8": 255.0, "lab8": 255.0, "rgba16": 65535.0, "int32": 65535.0, "float32": 1.0}
_ALPHA = 3
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PixelDifference:
    """How far two pictures are apart; samples are shares of full scale, 0 to 1."""

    identical: bool
    comparable: bool
    """Same size, channels and number of frames. Where they are not, the measures say as far as can be."""
    max_abs: float
    mean_abs: float
    share_different: float
    """Pixels in which any channel differs."""
    psnr: float | None
    """Decibels; None where nothing differs or the pictures are not comparable."""
    reason: str = ""
    """Why they are not comparable."""

    def as_json(self) -> dict[str, Json]:
        """The measures as stored and shown; without numbers where there are none."""
        if not self.comparable:
            return {"identical": False, "comparable": False, "reason": self.reason}
        return {
            "identical": self.identical,
            "comparable": True,
            "max_abs": self.max_abs,
            "mean_abs": self.mean_abs,
            "share_different": self.share_different,
            "psnr": self.psnr,
        }


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


def compare_pixels(a: Source, b: Source) -> PixelDifference:
    """Return how far two pictures are apart, over all frames; alpha counts where either picture uses it.

    Raises: ImageUnreadable, ImageInexact, ImageTooLarge, OSError.
    """
    with opened_picture(a) as first, opened_picture(b) as second:
        if first.size != second.size:
            return _not_comparable(f"{first.width} x {first.height} pixels against {second.width} x {second.height}")
        measure = _Measure()
        for one, other in itertools.zip_longest(read_frames(first), read_frames(second)):
            if one is None or other is None:
                return _not_comparable("they have different numbers of frames")
            if _channels(one) != _channels(other):
                return _not_comparable(f"{one.kind} against {other.kind}")
            measure.add(one, other)
    return measure.result()


class _Measure:
    """Sums over blocks of rows, so that two large pictures never stand in memory as floating point numbers."""

    def __init__(self) -> None:
        self.same_kind = True
        self.pixels = self.samples = self.different = 0
        self.largest = self.total = self.squares = 0.0

    def add(self, one: Frame, other: Frame) -> None:
        self.same_kind = self.same_kind and one.kind == other.kind
        self.pixels += one.samples.shape[0] * one.samples.shape[1]
        channels = one.samples.shape[2]
        if one.kind.startswith("rgba") and _opaque(one) and _opaque(other):
            # An alpha channel that says nothing would dilute the mean.
            channels = _ALPHA
        self.samples += one.samples.shape[0] * one.samples.shape[1] * channels
        for left, right in zip(_blocks(one.samples), _blocks(other.samples), strict=True):
            # A NaN in both is no difference.
            apart = np.nan_to_num(np.abs(_shares(left, one.kind) - _shares(right, other.kind)), posinf=1.0)
            apart = apart[..., :channels]
            self.different += int((apart != 0).any(axis=-1).sum())
            self.largest = max(self.largest, float(apart.max(initial=0.0)))
            self.total += float(apart.sum())
            self.squares += float(np.square(apart).sum())

    def result(self) -> PixelDifference:
        mean_square = self.squares / self.samples if self.samples else 0.0
        return PixelDifference(
            identical=self.different == 0 and self.same_kind,
            comparable=True,
            max_abs=self.largest,
            mean_abs=self.total / self.samples if self.samples else 0.0,
            share_different=self.different / self.pixels if self.pixels else 0.0,
            psnr=-10.0 * math.log10(mean_square) if mean_square > 0 else None,
        )


def _blocks(samples: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for first in range(0, samples.shape[0], _ROWS_AT_ONCE):
        yield samples[first : first + _ROWS_AT_ONCE]


def _big_endian(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder(">"), copy=False))


def _shares(rows: NDArray[Any], kind: str) -> NDArray[np.float64]:
    return rows.astype(np.float64) / _FULL_SCALE[kind]


def _opaque(frame: Frame) -> bool:
    return bool((frame.samples[..., _ALPHA] == _FULL_SCALE[frame.kind]).all())


def _channels(frame: Frame) -> str:
    """What the channels mean: 8 and 16 bits of the same can be compared, colour and ink cannot."""
    return frame.kind.rstrip("0123456789")


def _not_comparable(reason: str) -> PixelDifference:
    return PixelDifference(
        identical=False,
        comparable=False,
        max_abs=1.0,
        mean_abs=1.0,
        share_different=1.0,
        psnr=None,
        reason=reason,
    )
