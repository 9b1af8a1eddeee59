"""Video: two still frames, a short preview, and its size, duration and frame rate.

Decoded by OpenCV's own build of FFmpeg. Only containers whose content is what it says are handed to it: FFmpeg would
follow the addresses that a playlist disguised as a film holds.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image

from memoryd.foundation.findings import Finding
from memoryd.imaging.derived import Derived, SmallPicture, TakenFingerprint, Traits
from memoryd.imaging.fingerprints import fingerprints
from memoryd.imaging.open_files import path_of
from memoryd.imaging.previews import MIDDLE_RECIPE, PREVIEW_SECONDS, Preview
from memoryd.imaging.recipes import Part
from memoryd.imaging.thumbnails import fitting, small_pictures

FRAME_PIXEL_LIMIT = 8_192 * 8_192
"""Pixels of one frame: 8K twice over."""
FRAMES_READ_LIMIT = 1_000
"""Frames decoded one after the other for the preview: three seconds at 300 frames a second."""
DURATION_LIMIT = 366 * 24 * 3600.0
"""Seconds; a header that says more is not believed."""

_MAGICS = ((4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free"), (4, b"skip"), (0, b"\x1a\x45\xdf\xa3"))


class NoVideoReader(Exception):
    """The library that decodes video is not installed."""


def looks_like_video(head: bytes) -> bool:
    """Tell from a file's first 16 bytes whether it is a container of video: MP4, MOV, WebM, MKV, AVI."""
    return any(head[at : at + len(magic)] == magic for at, magic in _MAGICS) or (
        head[:4] == b"RIFF" and head[8:12] == b"AVI "
    )


def derive_video(file: BinaryIO, parts: frozenset[Part]) -> Derived:
    """Return what is wanted of a video; what cannot be derived is a finding. Raises: NoVideoReader, OSError, MemoryError."""
    with _opened(file) as video:
        if video is None:
            return _nothing("not-decodable", "no stream of video in it can be decoded")
        traits = _traits(video)
        if not traits.width or not traits.height:
            return _nothing("not-decodable", "its stream of video has no size")
        if traits.width * traits.height > FRAME_PIXEL_LIMIT:
            detail = f"{traits.width} x {traits.height} pixels a frame; FRAME_PIXEL_LIMIT is {FRAME_PIXEL_LIMIT}"
            return Derived(traits=traits, findings=(Finding(code="too-many-pixels", detail=detail),))
        return _derive(video, traits, parts)


def _nothing(code: str, detail: str) -> Derived:
    return Derived(findings=(Finding(code=code, detail=detail),))


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[Any]:
    # Read when a file is opened: no network, no other file, whatever the container asks for.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError:
        raise NoVideoReader from None
    cv2.setNumThreads(1)
    video = cv2.VideoCapture(path_of(file), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        yield _Video(video, cv2) if video.isOpened() else None
    finally:
        video.release()


class _Video:
    """An opened video, as this file needs it."""

    def __init__(self, video: Any, cv2: Any) -> None:
        self._video, self._cv2 = video, cv2

    def says(self, what: str) -> float | None:
        value = float(self._video.get(getattr(self._cv2, f"CAP_PROP_{what}")))
        return value if math.isfinite(value) and value > 0 else None

    def go_to(self, frame: int) -> bool:
        return bool(self._video.set(self._cv2.CAP_PROP_POS_FRAMES, frame))

    def read(self) -> Image.Image | None:
        try:
            read, samples = self._video.read()
            if not read or samples is None:
                return None
            # Blue comes first.
            return Image.fromarray(samples if samples.ndim == 2 else samples[..., ::-1].copy()).convert("RGB")
        except self._cv2.error:
            return None


def _traits(video: _Video) -> Traits:
    rate, frames = video.says("FPS"), video.says("FRAME_COUNT")
    duration = frames / rate if rate and frames else None
    believed = duration is not None and duration <= DURATION_LIMIT
    width, height = video.says("FRAME_WIDTH"), video.says("FRAME_HEIGHT")
    return Traits(
        width=int(width) if width else None,
        height=int(height) if height else None,
        frames=int(frames) if frames and believed else None,
        duration=duration if believed else None,
        frame_rate=rate,
    )


def _derive(video: _Video, traits: Traits, parts: frozenset[Part]) -> Derived:
    pictures: tuple[SmallPicture, ...] = ()
    codes: tuple[TakenFingerprint, ...] = ()
    if not parts & {Part.THUMBNAIL, Part.FINGERPRINT, Part.POSTER}:
        return Derived(traits=traits)
    first = video.read()
    if first is None:
        finding = Finding(code="pixels-damaged", detail="the first frame of its video cannot be decoded")
        return Derived(traits=traits, findings=(finding,))
    if Part.THUMBNAIL in parts:
        pictures += small_pictures(first)
    if Part.FINGERPRINT in parts:
        codes += fingerprints(first, 0)
    if Part.POSTER in parts:
        pictures += _preview(video, first, traits.frame_rate or 25.0)
    if parts & {Part.POSTER, Part.FINGERPRINT} and (traits.frames or 0) > 1:
        middle = video.read() if video.go_to((traits.frames or 0) // 2) else None
        if middle is not None and Part.POSTER in parts:
            pictures += small_pictures(middle, recipe=MIDDLE_RECIPE)
        if middle is not None and Part.FINGERPRINT in parts:
            codes += fingerprints(middle, 1)
    return Derived(pictures=pictures, fingerprints=codes, traits=traits)


def _preview(video: _Video, first: Image.Image, rate: float) -> tuple[SmallPicture, ...]:
    preview = Preview()
    preview.add(0.0, fitting(first, preview.EDGE))
    for index in range(1, min(FRAMES_READ_LIMIT, math.ceil(PREVIEW_SECONDS * rate))):
        if preview.is_full:
            break
        frame = video.read()
        if frame is None:
            break
        if preview.wants(index / rate):
            preview.add(index / rate, fitting(frame, preview.EDGE))
    return preview.pictures()
