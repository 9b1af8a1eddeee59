"""What lies in a folder: names and faces, by scandir and lstat, without opening a file or following a link."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from memoryd.ingest.facts import Folder, Seen
from memoryd.ingest.media import is_taken, is_walked
from memoryd.ingest.opening import relative_path
from memoryd.ingest.unchanged import Unchanged

DEPTH_LIMIT = 128
"""Folders within folders. Source: 4,096 bytes of a path hold 2,048 at most; people make fewer than 20."""

COMPARED_AT_ONCE = 4_096
"""Files that are compared with what is known in one go: a thousand cost as much as ten by themselves."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A look at (a part of) a folder: `there` by path below the folder; `unseen` are folders that could not be read.

    Of what lies in an unseen folder nothing is known: it is neither there nor gone. `passed` counts files that are as they
    were known, and are not in `there`. `last` is False where more of the same look follows.
    """

    there: dict[bytes, Seen]
    unseen: tuple[bytes, ...] = ()
    passed: int = 0
    last: bool = True

    def can_tell(self, path: bytes) -> bool:
        """Tell whether this look could have seen a file at `path`."""
        return not any(path.startswith(folder + b"/") or not folder for folder in self.unseen)


def face_of(found: os.stat_result) -> Seen:
    """Return the face that a stat result shows."""
    return Seen(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino, device=found.st_dev)


def look(folder: Path, path: bytes) -> Seen | None:
    """Return the face of what lies at `path` below the folder, or None where there is no file or link."""
    try:
        found = os.lstat(os.path.join(os.fsencode(folder), path))  # noqa: PTH118 - names are bytes
    except OSError:
        return None
    return None if stat.S_ISDIR(found.st_mode) else face_of(found)


def walk(
    folder: Path,
    *,
    below: bytes = b"",
    stop: Callable[[], bool] = lambda: False,
    unchanged: Unchanged | None = None,
    at: bytes = b"",
) -> Sight:
    """Return every file of the folder (of its part `below`) that a memory takes in, links included.

    `stop` is asked once per folder, and ends the walk early: what was not walked is then unseen. What `unchanged` knows as it
    is, is passed by; there a path has `at` before it.
    """
    return next(walk_in_portions(folder, limit=None, below=below, stop=stop, unchanged=unchanged, at=at))


def walk_in_portions(
    folder: Path,
    *,
    limit: int | None,
    below: bytes = b"",
    stop: Callable[[], bool] = lambda: False,
    unchanged: Unchanged | None = None,
    at: bytes = b"",
) -> Iterator[Sight]:
    """Yield what `walk` returns in portions of about `limit` files, so that a folder of any size is walked in little memory.

    `passed` and `unseen` are those of a portion; the last one, which may be empty, says so, and has all `unseen`.
    """
    unseen: list[bytes] = []
    sight = _Sighted(unchanged, at, COMPARED_AT_ONCE if limit is None else min(limit, COMPARED_AT_ONCE))
    left = [(below, below.count(b"/"))]
    top = os.fsencode(folder)
    while left:
        place, depth = left.pop()
        if stop() or depth > DEPTH_LIMIT:
            unseen.append(place)
            continue
        try:
            with os.scandir(os.path.join(top, place) if place else top) as entries:  # noqa: PTH118 - names are bytes
                for entry in entries:
                    path = place + b"/" + entry.name if place else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if is_walked(entry.name):
                            left.append((path, depth + 1))
                    elif (is_taken(entry.name) or _leads_to_folder(entry)) and (face := _stat(entry)) is not None:
                        sight.add(path, face)
                        if limit is not None and len(sight.there) >= limit:
                            yield sight.taken(last=False)
        except FileNotFoundError:
            # Removed between the two looks: what was in it is gone indeed, unless it was the folder itself.
            if place == below:
                unseen.append(place)
        except OSError:
            unseen.append(place)
    yield sight.taken(last=True, unseen=tuple(unseen))


class _Sighted:
    """Collects what a walk meets."""

    def __init__(self, unchanged: Unchanged | None, at: bytes, at_once: int) -> None:
        self.there: dict[bytes, Seen] = {}
        self._passed = 0
        self._unchanged = unchanged
        self._at = at
        self._at_once = at_once
        self._found: list[tuple[bytes, os.stat_result]] = []

    def add(self, path: bytes, face: os.stat_result) -> None:
        self._found.append((path, face))
        if len(self._found) >= self._at_once:
            self._compare()

    def taken(self, *, last: bool, unseen: tuple[bytes, ...] = ()) -> Sight:
        """Return what was collected since the last time."""
        self._compare()
        there, self.there = self.there, {}
        passed, self._passed = self._passed, 0
        return Sight(there=there, unseen=unseen, passed=passed, last=last)

    def _compare(self) -> None:
        found, self._found = self._found, []
        if self._unchanged is not None and found:
            faces = [(self._at + path, face.st_size, face.st_mtime_ns, face.st_ino) for path, face in found]
            differing = self._unchanged.differing(faces)
            self._passed += len(found) - len(differing)
            found = [found[index] for index in differing]
        for path, face in found:
            self.there[path] = face_of(face)


def _stat(entry: os.DirEntry[bytes]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None  # removed since its folder was read


def _leads_to_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_symlink() and is_walked(entry.name) and entry.is_dir()
    except OSError:
        return is_walked(entry.name)  # a loop: opening it will say so


def look_at(folder: Folder, paths: Iterable[Path]) -> dict[bytes, Seen]:
    """Return the faces of named paths, by their path below the folder; what is not there, or outside, is left out."""
    there: dict[bytes, Seen] = {}
    for path in paths:
        place = relative_path(folder.path, path)
        face = look(folder.path, place) if place is not None else None
        if place is not None and face is not None:
            there[place] = face
    return there
