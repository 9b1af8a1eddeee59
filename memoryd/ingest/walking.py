"""What lies in a folder: names and faces, by scandir and lstat, without opening a file or following a link."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from memoryd.ingest.facts import Folder, Seen
from memoryd.ingest.media import is_taken, is_walked
from memoryd.ingest.opening import relative_path
from memoryd.ingest.unchanged import Unchanged

DEPTH_LIMIT = 128
"""Folders within folders. Source: 4,096 bytes of a path hold 2,048 at most; people make fewer than 20."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A look at (a part of) a folder: `there` by path below the folder; `unseen` are folders that could not be read.

    Of what lies in an unseen folder nothing is known: it is neither there nor gone. `passed` counts files that are as they
    were known, and are not in `there`.
    """

    there: dict[bytes, Seen]
    unseen: tuple[bytes, ...] = ()
    passed: int = 0

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
    there: dict[bytes, Seen] = {}
    passed = 0
    unseen: list[bytes] = []
    left = [(below, below.count(b"/"))]
    top = os.fsencode(folder)
    while left:
        place, depth = left.pop()
        if stop() or depth > DEPTH_LIMIT:
            unseen.append(place)
            continue
        found: list[tuple[bytes, os.stat_result]] = []
        try:
            with os.scandir(os.path.join(top, place) if place else top) as entries:  # noqa: PTH118 - names are bytes
                for entry in entries:
                    path = place + b"/" + entry.name if place else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if is_walked(entry.name):
                            left.append((path, depth + 1))
                    elif (is_taken(entry.name) or _leads_to_folder(entry)) and (face := _stat(entry)) is not None:
                        found.append((path, face))
        except FileNotFoundError:
            # Removed between the two looks: what was in it is gone indeed, unless it was the folder itself.
            if place == below:
                unseen.append(place)
        except OSError:
            unseen.append(place)
        if unchanged is not None and found:
            faces = [(at + path, face.st_size, face.st_mtime_ns, face.st_ino) for path, face in found]
            passed += len(found)
            found = [found[index] for index in unchanged.differing(faces)]
            passed -= len(found)
        for path, face in found:
            there[path] = face_of(face)
    return Sight(there=there, unseen=tuple(unseen), passed=passed)


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
