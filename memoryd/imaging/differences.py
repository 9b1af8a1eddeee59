"""How far two pictures are apart, over all frames, and where.

*Identical* is said of equal samples of the same kind that are to be shown alike, and of nothing else. What counts:
every sample as it is decoded, also the colours of pixels that are fully transparent, all 16 bits where the file has them,
and every bit of floating point numbers. What does not: how samples are packed (palette or not, and its order; lossless
codecs; an alpha channel that is full throughout), and the texts around them.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memoryd.foundation.canonical_json import Json
from memoryd.imaging import png_structure, quick_png
from memoryd.imaging.appearance import Appearance, apart
from memoryd.imaging.decoding import (
    Frame,
    ImageUnreadable,
    Source,
    has_16_bits,
    opened_picture,
    read_frames,
    shape_of,
)
from memoryd.imaging.pixels import PixelDigest, PixelDigesting
from memoryd.imaging.structural_similarity import STRIP_ROWS, StructuralSimilarity

MAPPED_PIXEL_LIMIT = 64_000_000
"""Pixels of a frame up to which it is kept where two pictures differ."""

_FULL_SCALE = {"rgba8": 255.0, "cmyk8": 255.0, "lab8": 255.0, "rgba16": 65535.0, "int32": 65535.0, "float32": 1.0}
_ALPHA = 3
_EXACT_AS = {"int32": np.uint32, "float32": np.uint32}
"""Kinds whose samples are told apart bit by bit: a zero with a sign, and what is no number, are what they are."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PixelDifference:
    """How far two pictures are apart; samples are shares of full scale, 0 to 1."""

    identical: bool
    """Equal samples of the same kind, and nothing is `shown_otherwise`."""
    comparable: bool
    """Same size, channels and number of frames. Where they are not, the measures say as far as can be."""
    max_abs: float
    mean_abs: float
    share_different: float
    """Pixels in which any channel differs."""
    psnr: float | None
    """Decibels; None where no sample differs or the pictures are not comparable."""
    ssim: float | None = None
    """Structural similarity, 1 where no sample differs; None where the pictures are not comparable."""
    frames: int = 1
    frames_different: int = 0
    shown_otherwise: tuple[str, ...] = ()
    """What the two files say unlike about showing the samples: `colour profile`, `orientation`, `frame durations` ..."""
    hidden_only: bool = False
    """All that differs are colours of pixels that are fully transparent in both."""
    pixels: tuple[PixelDigest, PixelDigest] | None = None
    """Both pictures' digests, where every frame of both was read."""
    reason: str = ""
    """Why they are not comparable."""

    @property
    def same_samples(self) -> bool:
        """Every sample is equal, however it is to be shown."""
        return self.identical or (self.comparable and bool(self.shown_otherwise) and self.frames_different == 0)

    def as_json(self) -> dict[str, Json]:
        """The measures as stored and shown; without numbers where there are none."""
        if not self.comparable:
            return {"identical": False, "comparable": False, "reason": self.reason}
        told: dict[str, Json] = {
            "identical": self.identical,
            "comparable": True,
            "max_abs": self.max_abs,
            "mean_abs": self.mean_abs,
            "share_different": self.share_different,
            "psnr": self.psnr,
            "ssim": self.ssim,
        }
        if self.frames > 1:
            told |= {"frames": self.frames, "frames_different": self.frames_different}
        if self.shown_otherwise:
            told["shown_otherwise"] = list(self.shown_otherwise)
        if self.hidden_only:
            told["hidden_only"] = True
        return told


def compare_pixels(a: Source, b: Source) -> PixelDifference:
    """Return how far two pictures are apart, over all frames; alpha counts where either picture uses it.

    Raises: ImageUnreadable, ImageInexact, ImageTooLarge, OSError.
    """
    return compare_and_map(a, b)[0]


def compare_and_map(a: Source, b: Source) -> tuple[PixelDifference, NDArray[np.float32] | None]:
    """Return how far two pictures are apart, and for each pixel by how much at most in any channel and frame.

    The map has the shape (height, width), shares of full scale; None where nothing differs, where the pictures are not
    comparable, or beyond MAPPED_PIXEL_LIMIT. Raises: ImageUnreadable, ImageInexact, ImageTooLarge, OSError.
    """
    first_bytes, second_bytes = _content(a), _content(b)
    with opened_picture(io.BytesIO(first_bytes)) as first, opened_picture(io.BytesIO(second_bytes)) as second:
        _check_whole(first, first_bytes)
        _check_whole(second, second_bytes)
        if first.size != second.size:
            return _not_comparable(
                f"{first.width} x {first.height} pixels against {second.width} x {second.height}"
            ), None
        measure = _Measure(first, second)
        for one, other in itertools.zip_longest(_frames(first, first_bytes), _frames(second, second_bytes)):
            if one is None or other is None:
                return _not_comparable("they have different numbers of frames"), None
            if _channels(one) != _channels(other):
                return _not_comparable(f"{one.kind} against {other.kind}"), None
            if one.samples.shape != other.samples.shape:
                return _not_comparable("their frames have different sizes"), None
            measure.add(one, other)
        return measure.result(first_bytes, second_bytes), measure.where


def _content(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, Path):
        return source.read_bytes()
    source.seek(0)
    return source.read()


def _check_whole(picture: Image.Image, content: bytes) -> None:
    damage = png_structure.damage(io.BytesIO(content)) if picture.format == "PNG" else None
    if damage is not None:
        # Many a damaged stream still unpacks, to whatever pixels: nothing may be said of them.
        raise ImageUnreadable(damage.detail, hint="take in an undamaged copy")


def _frames(picture: Image.Image, content: bytes) -> Iterator[Frame]:
    if int(getattr(picture, "n_frames", 1)) == 1 and not has_16_bits(picture):
        quick = quick_png.decode(io.BytesIO(content), picture)
        if quick is not None:
            yield Frame(kind="rgba8", samples=quick[1])
            return
    yield from read_frames(picture)


class _Measure:
    """Sums over strips of rows, so that two large pictures never stand in memory as floating point numbers."""

    def __init__(self, first: Image.Image, second: Image.Image) -> None:
        self.where: NDArray[np.float32] | None = None
        self._pictures = (first, second)
        self._said = (Appearance(first), Appearance(second))
        self._digests = [PixelDigesting(shape_of(first))]
        self._same_kind = self._hidden_only = True
        self._frames = self._frames_different = 0
        self._pixels = self._samples = self._different = 0
        self._largest = self._total = self._squares = 0.0
        self._similarity = 0.0

    def add(self, one: Frame, other: Frame) -> None:
        self._frames += 1
        for said in self._said:
            said.frame_was_decoded()
        height, width, _ = one.samples.shape
        self._pixels += height * width
        same = one.kind == other.kind and _equal(one, other)
        self._digest(one, other, same)
        # An alpha channel that says nothing would dilute the mean.
        opaque = one.kind.startswith("rgba") and _opaque(one) and _opaque(other)
        channels = _ALPHA if opaque else one.samples.shape[2]
        self._samples += height * width * channels
        if same:
            self._similarity += 1.0
            return
        self._same_kind = self._same_kind and one.kind == other.kind
        self._frames_different += 1
        similarity = StructuralSimilarity()
        # Equal kinds are compared in their own steps: a difference of one step is exactly that.
        scale = _FULL_SCALE[one.kind] if one.kind == other.kind else 1.0
        for top in range(0, height, STRIP_ROWS):
            rows = slice(top, top + STRIP_ROWS)
            left, right = (_planes(frame, rows, scale, channels) for frame in (one, other))
            similarity.add(*(_in_255(each, scale) for each in (left, right)))
            self._add_strip(_distance(left, right, scale), scale, top, (height, width))
        self._similarity += similarity.result()
        self._hidden_only = (
            self._hidden_only and one.kind.startswith("rgba") and not opaque and _hidden_only(one, other)
        )

    def _digest(self, one: Frame, other: Frame, same: bool) -> None:
        if not same and len(self._digests) == 1:
            self._digests.append(self._digests[0].copy(shape_of(self._pictures[1])))
        for digest, frame in zip(self._digests, (one, other), strict=False):
            digest.add(frame)

    def _add_strip(self, by: NDArray[Any], scale: float, top: int, size: tuple[int, int]) -> None:
        most = by.max(axis=0)
        self._different += int(np.count_nonzero(most))
        self._largest = max(self._largest, float(most.max(initial=0.0)) / scale)
        self._total += float(by.sum(dtype=np.float64)) / scale
        squares = np.square(by, dtype=np.uint16 if by.dtype == np.uint8 else np.float64)
        self._squares += float(squares.sum(dtype=np.float64)) / scale**2
        if self.where is None and size[0] * size[1] <= MAPPED_PIXEL_LIMIT:
            self.where = np.zeros(size, dtype=np.float32)
        if self.where is not None and self.where.shape == size:
            rows = self.where[top : top + STRIP_ROWS]
            np.maximum(rows, most.astype(np.float32) / np.float32(scale), out=rows)

    def result(self, first: bytes, second: bytes) -> PixelDifference:
        words = [said.words(content) for said, content in zip(self._said, (first, second), strict=True)]
        otherwise = apart(words[0], words[1])
        one = self._digests[0].digest()
        if len(self._digests) > 1:
            other = self._digests[1].digest()
        else:
            other = self._digests[0].copy(shape_of(self._pictures[1])).digest()
        mean_square = self._squares / self._samples if self._samples else 0.0
        return PixelDifference(
            identical=self._frames_different == 0 and not otherwise,
            comparable=True,
            max_abs=self._largest,
            mean_abs=self._total / self._samples if self._samples else 0.0,
            share_different=self._different / self._pixels if self._pixels else 0.0,
            psnr=-10.0 * math.log10(mean_square) if mean_square > 0 else None,
            ssim=self._similarity / self._frames if self._frames else 1.0,
            frames=self._frames,
            frames_different=self._frames_different,
            shown_otherwise=otherwise,
            hidden_only=self._frames_different > 0 and self._hidden_only,
            pixels=(one, other),
        )


def _equal(one: Frame, other: Frame) -> bool:
    exact = _EXACT_AS.get(one.kind)
    left, right = (
        np.ascontiguousarray(frame.samples) if exact is None else np.ascontiguousarray(frame.samples).view(exact)
        for frame in (one, other)
    )
    return bool(np.array_equal(left, right))


def _hidden_only(one: Frame, other: Frame) -> bool:
    left, right = (_planes(frame, slice(None), 1.0, _ALPHA + 1) for frame in (one, other))
    seen = (left[_ALPHA] != 0) | (right[_ALPHA] != 0)
    return not bool(((left != right).any(axis=0) & seen).any())


def _planes(frame: Frame, rows: slice, scale: float, channels: int) -> NDArray[Any]:
    """Return the first channels' samples on a scale from 0 to `scale`: (channel, row, column), doubles or 8 bits."""
    planes = np.ascontiguousarray(np.moveaxis(frame.samples[rows, :, :channels], -1, 0))
    full = _FULL_SCALE[frame.kind]
    if scale == full == 255.0:
        return planes
    doubles: NDArray[np.float64] = planes.astype(np.float64)
    return doubles if scale == full else doubles * (scale / full)


def _distance(left: NDArray[Any], right: NDArray[Any], scale: float) -> NDArray[Any]:
    # The lesser from the greater, since steps of 8 bits have no sign.
    if left.dtype.kind != "f" or (np.isfinite(left).all() and np.isfinite(right).all()):
        exact: NDArray[Any] = np.maximum(left, right) - np.minimum(left, right)
        return exact
    with np.errstate(invalid="ignore"):
        by: NDArray[Any] = np.nan_to_num(np.abs(left - right), nan=0.0, posinf=scale)
    # What is no number in both is no distance; in one, it is as far as can be.
    by[np.isnan(left) ^ np.isnan(right)] = scale
    return by


def _in_255(planes: NDArray[Any], scale: float) -> NDArray[np.float32]:
    single: NDArray[np.float32] = planes.astype(np.float32)
    if planes.dtype.kind == "f":
        single = np.nan_to_num(single, posinf=scale, neginf=0.0)
    return single if scale == 255.0 else single * np.float32(255.0 / scale)


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
