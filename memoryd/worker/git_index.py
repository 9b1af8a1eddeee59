"""Which files a git checkout tracks, and whether they are as they were checked out: read from its index; git is not run.

Source: gitformat-index(5), versions 2 to 4.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

INDEX_LIMIT = 64 * 1024 * 1024
"""Bytes of an index that are read; 100,000 files take about 10 MB."""
ENTRIES_LIMIT = 200_000
_HEADER = 12
_FIXED = 62
"""Bytes of an entry before its name, where object names are SHA-1."""
_EXTENDED = 0x4000
_STAGE = 0x3000
_SKIPPED = 0x4000
"""In the extended flags: a sparse checkout leaves this file out."""
_LINK = 0o120000
_SUBMODULE = 0o160000
_FILE_LIMIT = 64 * 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A tracked file: its path with `/`, git's mode, object name, and the size and time of its check-out."""

    path: str
    mode: int
    oid: bytes
    size: int
    mtime_s: int
    mtime_ns: int


def read_index(git_folder: Path) -> list[Tracked] | None:
    """Return the tracked files of a check-out, by path; None where there is no index that can be read."""
    try:
        with (git_folder / "index").open("rb") as file:
            content = file.read(INDEX_LIMIT + 1)
    except OSError:
        return None
    if content[:4] != b"DIRC" or len(content) > INDEX_LIMIT:
        return None
    version, count = int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big")
    if version not in (2, 3, 4) or count > ENTRIES_LIMIT:
        return None
    try:
        return list(_entries(content, version, count))
    except (IndexError, ValueError):
        return None


def _entries(content: bytes, version: int, count: int) -> Iterator[Tracked]:
    place, before = _HEADER, b""
    for _ in range(count):
        start = place
        flags = int.from_bytes(content[start + 60 : start + 62], "big")
        place = start + _FIXED
        extended = 0
        if flags & _EXTENDED:
            extended = int.from_bytes(content[place : place + 2], "big")
            place += 2
        if version == 4:
            cut, place = _varint(content, place)
            end = content.index(b"\0", place)
            name = before[: len(before) - cut] + content[place:end]
            place = end + 1
        else:
            end = content.index(b"\0", place)
            name = content[place:end]
            place = start + ((end - start) // 8 + 1) * 8  # filled up with 1 to 8 NUL bytes
        before = name
        mode = int.from_bytes(content[start + 24 : start + 28], "big")
        if flags & _STAGE or extended & _SKIPPED or mode == _SUBMODULE:
            continue
        yield Tracked(
            path=os.fsdecode(name),
            mode=mode,
            oid=content[start + 40 : start + 60],
            size=int.from_bytes(content[start + 36 : start + 40], "big"),
            mtime_s=int.from_bytes(content[start + 8 : start + 12], "big"),
            mtime_ns=int.from_bytes(content[start + 12 : start + 16], "big"),
        )


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Source: git's varint.c, decode_varint."""
    byte = content[place]
    place += 1
    value = byte & 0x7F
    while byte & 0x80:
        byte = content[place]
        place += 1
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, place


def is_changed(root: Path, tracked: Tracked) -> bool:
    """Tell whether a tracked file is no longer as it was checked out; what only the line ends differ in is not changed."""
    path = root / tracked.path
    try:
        found = path.lstat()
        if found.st_size == tracked.size and (found.st_mtime_ns == tracked.mtime_s * 1_000_000_000 + tracked.mtime_ns):
            return False
        if stat.S_ISLNK(found.st_mode):
            return tracked.mode != _LINK or _blob(os.fsencode(path.readlink())) != tracked.oid
        if not stat.S_ISREG(found.st_mode) or found.st_size > _FILE_LIMIT:
            return True
        content = path.read_bytes()
    except OSError:
        return True
    return tracked.oid not in (_blob(content), _blob(content.replace(b"\r\n", b"\n")))


def _blob(content: bytes) -> bytes:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).digest()
