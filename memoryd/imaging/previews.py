"""What moves, in short: a preview of three seconds at most, as an animated WebP."""

from __future__ import annotations

import io
from typing import ClassVar

from PIL import Image

from memoryd.imaging.derived import SmallPicture
from memoryd.imaging.recipes import VERSIONS, Part

PREVIEW_RECIPE = f"preview:v{VERSIONS[Part.POSTER]}"
MIDDLE_RECIPE = f"middle:v{VERSIONS[Part.POSTER]}"

PREVIEW_SECONDS = 3.0
PREVIEW_FRAMES_LIMIT = 30
PREVIEW_STEP = PREVIEW_SECONDS / PREVIEW_FRAMES_LIMIT
"""Seconds between two frames of a preview at least: ten a second."""

_QUALITY = 60


class Preview:
    """A preview being made, from frames that come in order."""

    EDGE: ClassVar[int] = 480
    """Pixels of the longest edge."""

    def __init__(self) -> None:
        """No frame is in it."""
        self._frames: list[Image.Image] = []
        self._at: list[float] = []

    @property
    def is_full(self) -> bool:
        """Whether it wants no more frames."""
        return len(self._frames) >= PREVIEW_FRAMES_LIMIT

    def wants(self, seconds: float) -> bool:
        """Tell whether the frame at this time belongs in."""
        late_enough = not self._at or seconds - self._at[-1] >= PREVIEW_STEP - 1e-6
        return not self.is_full and seconds < PREVIEW_SECONDS and (late_enough or not any(self._at))

    def add(self, seconds: float, frame: Image.Image) -> None:
        """Add a frame (RGB or RGBA, no larger than EDGE)."""
        bare = frame.copy()
        bare.info = {}
        self._frames.append(bare)
        self._at.append(seconds)

    def pictures(self) -> tuple[SmallPicture, ...]:
        """Return the preview, if there are frames to move between."""
        if len(self._frames) < 2:
            return ()
        gaps = [max(20, round(1000 * (b - a))) for a, b in zip(self._at, self._at[1:], strict=False)]
        first, *others = self._frames
        out = io.BytesIO()
        first.save(
            out,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=[*gaps, gaps[-1]],
            loop=0,
            quality=_QUALITY,
            method=0,
            exif=b"",
            icc_profile=b"",
            xmp=b"",
        )
        return (
            SmallPicture(
                recipe=PREVIEW_RECIPE,
                size=self.EDGE,
                content=out.getvalue(),
                media_type="image/webp",
                width=first.width,
                height=first.height,
            ),
        )
