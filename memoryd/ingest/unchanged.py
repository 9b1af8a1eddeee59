"""Which files of a folder are as they were: told by eight bytes for each known place, so that a rescan holds no lists.

A look over a million files that nobody touched keeps only what differs. Faces and paths are compared by a hash of 64 bits
that nobody outside the process knows: that two of a million differ and have the same is one chance in ten million.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Face: TypeAlias = tuple[bytes, int, int, int]
"""Path, size in bytes, mtime in nanoseconds, inode."""


class Unchanged:
    """The faces of the known places of a folder, and which of them were seen. Not for several threads."""

    def __init__(self, faces: Iterable[Face]) -> None:
        """`faces` are those of the places that are recorded as being there."""
        self._known: NDArray[np.int64] = np.unique(np.array(array("q", map(hash, faces)), dtype=np.int64))
        self._seen = np.zeros(len(self._known), dtype=np.bool_)

    def differing(self, faces: Sequence[Face]) -> list[int]:
        """Note that files were seen; return the indexes of those that are not as a known place was."""
        if not len(self._known):
            return list(range(len(faces)))
        asked = np.array(array("q", map(hash, faces)), dtype=np.int64)
        at = np.minimum(np.searchsorted(self._known, asked), len(self._known) - 1)
        same = self._known[at] == asked
        self._seen[at[same]] = True
        differing: list[int] = np.flatnonzero(~same).tolist()
        return differing

    @property
    def all_seen(self) -> bool:
        """Whether every known place was seen as it was."""
        return bool(self._seen.all())

    def was_seen(self, faces: Sequence[Face]) -> list[bool]:
        """Return for each known place whether it was seen as it was."""
        if not len(self._known):
            return [False] * len(faces)
        asked = np.array(array("q", map(hash, faces)), dtype=np.int64)
        at = np.minimum(np.searchsorted(self._known, asked), len(self._known) - 1)
        seen: list[bool] = ((self._known[at] == asked) & self._seen[at]).tolist()
        return seen
