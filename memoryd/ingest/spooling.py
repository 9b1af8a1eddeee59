"""Names of files in order of their time, however many: sorted in parts that lie in a temporary file, and merged from there."""

from __future__ import annotations

import heapq
import marshal
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

from memoryd.ingest.facts import Seen

PIECE = 256
"""Names that are read back at once: of a thousand parts (20 million files) they take 40 MB."""


class Named(NamedTuple):
    """A file: its time of change, its path below the folder, its size in bytes."""

    mtime_ns: int
    path: bytes
    size: int


def in_order(read: Mapping[bytes, Seen], *, newest_first: bool) -> list[Named]:
    """Return files by their time, and those of one time by their path."""
    return sorted((Named(face.mtime_ns, path, face.size) for path, face in read.items()), reverse=newest_first)


class Spool:
    """Takes files in parts and gives all of them in order, once."""

    def __init__(self, *, newest_first: bool) -> None:
        """It is empty."""
        self._newest_first = newest_first
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `all` closes it, as does its end
        self._parts: list[list[int]] = []

    def add(self, read: Mapping[bytes, Seen]) -> None:
        """Take some files. Raises: OSError where there is no room for their names."""
        ordered = in_order(read, newest_first=self._newest_first)
        places = []
        for at in range(0, len(ordered), PIECE):
            places.append(self._file.tell())
            marshal.dump([tuple(named) for named in ordered[at : at + PIECE]], self._file)
        self._parts.append(places)

    def all(self) -> Iterator[Named]:
        """Yield every file that was taken."""
        with self._file:
            yield from heapq.merge(*(self._part(places) for places in self._parts), reverse=self._newest_first)

    def _part(self, places: list[int]) -> Iterator[Named]:
        for place in places:
            self._file.seek(place)
            # A file that only this process has, without a name.
            yield from [Named(*told) for told in marshal.load(self._file)]  # noqa: S302
