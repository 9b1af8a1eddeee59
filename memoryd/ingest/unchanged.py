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
    """The faces of the known places of a folder, which of them were seen, and where else a file was. For one thread."""

    def __init__(self, faces: Iterable[Face]) -> None:
        """`faces` are those of the places that are recorded as being there."""
        self._known: NDArray[np.int64] = np.unique(np.array(array("q", map(hash, faces)), dtype=np.int64))
        self._seen = np.zeros(len(self._known), dtype=np.bool_)
        self._elsewhere = array("q")
        self._sorted: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def differing(self, faces: Sequence[Face]) -> list[int]:
        """Note that files were seen; return the indexes of those that are not as a known place was."""
        differing = list(range(len(faces)))
        if len(self._known):
            at, same = self._looked_up(faces)
            self._seen[at[same]] = True
            differing = np.flatnonzero(~same).tolist()
        self._elsewhere.extend([hash(faces[index][0]) for index in differing])
        return differing

    @property
    def known(self) -> int:
        """How many places were known."""
        return len(self._known)

    @property
    def all_seen(self) -> bool:
        """Whether every known place was seen as it was."""
        return bool(self._seen.all())

    def was_seen(self, faces: Sequence[Face]) -> list[bool]:
        """Return for each known place whether it was seen as it was."""
        if not len(self._known):
            return [False] * len(faces)
        at, same = self._looked_up(faces)
        seen: list[bool] = (same & self._seen[at]).tolist()
        return seen

    def was_there(self, paths: Sequence[bytes]) -> list[bool]:
        """Return for each path whether a file was seen there that was not as a known place was."""
        if not paths or not self._elsewhere:
            return [False] * len(paths)
        if len(self._sorted) != len(self._elsewhere):
            self._sorted = np.sort(np.array(self._elsewhere, dtype=np.int64))
        asked = np.array(array("q", map(hash, paths)), dtype=np.int64)
        at = np.minimum(np.searchsorted(self._sorted, asked), len(self._sorted) - 1)
        there: list[bool] = (self._sorted[at] == asked).tolist()
        return there

    def _looked_up(self, faces: Sequence[Face]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        asked = np.array(array("q", map(hash, faces)), dtype=np.int64)
        at = np.minimum(np.searchsorted(self._known, asked), len(self._known) - 1)
        return at, self._known[at] == asked
