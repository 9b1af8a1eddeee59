"""Structural similarity (SSIM) of two pictures: 1 where they are equal, less where edges and textures differ.

Windows of 8 x 8 pixels, 4 apart, each weighing the same, the mean over windows and channels: as x264 and FFmpeg take it.
Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", 2004.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CELL = 4
_WINDOW = (2 * _CELL) ** 2
_FULL_SCALE = 255.0
_C1, _C2 = (0.01 * _FULL_SCALE) ** 2, (0.03 * _FULL_SCALE) ** 2
STRIP_ROWS = 256
"""Rows that are added at once; a multiple of a cell."""


class StructuralSimilarity:
    """The measure of one pair of frames, strip by strip from the top: nothing of a strip is kept but its last cells."""

    def __init__(self) -> None:
        """Nothing is added yet."""
        self._above: NDArray[Any] | None = None
        self._total = 0.0
        self._windows = 0

    def add(self, one: NDArray[np.float32], other: NDArray[np.float32]) -> None:
        """Add the next rows of both, (channel, row, column), samples from 0 to 255.

        All strips but the last are of STRIP_ROWS rows.
        """
        cells = np.stack([_cells(each) for each in (one, other, one * one + other * other, one * other)])
        whole = cells if self._above is None else np.concatenate([self._above, cells], axis=2)
        self._above = cells[:, :, -1:]
        if whole.shape[2] > 1:
            self._count(whole[:, :, :-1] + whole[:, :, 1:])

    def result(self) -> float:
        """Return the mean over all windows."""
        if self._windows == 0 and self._above is not None:
            # Lower than a window: its one row of cells, as if it went on below.
            self._count(2.0 * self._above)
        return self._total / self._windows if self._windows else 1.0

    def _count(self, rows: NDArray[Any]) -> None:
        sums = rows[..., :-1] + rows[..., 1:]
        mean_1, mean_2 = sums[0] / _WINDOW, sums[1] / _WINDOW
        product = mean_1 * mean_2
        squares = mean_1 * mean_1 + mean_2 * mean_2
        spread = np.maximum(sums[2] / _WINDOW - squares, 0.0)
        together = sums[3] / _WINDOW - product
        found = ((2 * product + _C1) * (2 * together + _C2)) / ((squares + _C1) * (spread + _C2))
        self._total += float(found.sum(dtype=np.float64))
        self._windows += found.size


def _cells(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sums over cells of 4 x 4 pixels; at the right and lower edge the last pixels are taken again."""
    _, height, width = samples.shape
    # Two cells at least in a row: a window needs them.
    missing = (-height % _CELL, max(-width % _CELL, 2 * _CELL - width))
    if any(missing):
        samples = np.pad(samples, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
    rows = samples[:, 0::_CELL] + samples[:, 1::_CELL] + samples[:, 2::_CELL] + samples[:, 3::_CELL]
    cells: NDArray[np.float32] = rows[..., 0::_CELL] + rows[..., 1::_CELL] + rows[..., 2::_CELL] + rows[..., 3::_CELL]
    return cells
