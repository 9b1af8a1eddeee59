"""Opens a file for reading so that it is certainly one inside its folder: no symbolic link is followed below the folder.

Every component of the path is opened on its own, relative to the one before, with O_NOFOLLOW: a link that somebody puts
there in the very moment of opening is refused too.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from pathlib import Path

from memoryd.ingest.facts import FileState, Reason

# What other systems lack is left out there: nothing is opened by these flags but on a server, which is a Linux.
_CAREFUL: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _CAREFUL
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | _CAREFUL
"""O_NONBLOCK: opening a pipe that nobody writes to would wait for ever."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NotOpened:
    """Why a file was not opened: VANISHED, IGNORED, or REFUSED with a reason."""

    state: FileState
    reason: Reason | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open regular file: the caller closes `descriptor`."""

    descriptor: int
    stat: os.stat_result


def relative_path(folder: Path, path: Path) -> bytes | None:
    """Return the path below the folder in bytes, or None where it is not below it (`..` included)."""
    top, whole = os.fsencode(folder), os.fsencode(path)
    below = top if top.endswith(b"/") else top + b"/"
    if not whole.startswith(below):
        return None
    relative = whole[len(below) :]
    return None if not relative or b".." in relative.split(b"/") else relative


def shown_path(path: Path | bytes) -> str:
    """Return a path as people read it; bytes that are no UTF-8 become U+FFFD, NUL cannot occur in a path."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def open_inside(folder: Path, path: Path) -> Opened | NotOpened:
    """Open a regular file that lies in `folder` (absolute, itself without links)."""
    relative = relative_path(folder, path)
    if relative is None:
        return NotOpened(state=FileState.REFUSED, reason=Reason.OUTSIDE_FOLDER, detail=f"not below {folder}")
    if os.open not in os.supports_dir_fd:
        return _open_by_name(folder, path, relative)
    *parents, name = relative.split(b"/")
    held: list[int] = []
    try:
        held.append(os.open(folder, _DIRECTORY))
        for parent in parents:
            held.append(os.open(parent, _DIRECTORY, dir_fd=held[-1]))
        descriptor = os.open(name, _FILE, dir_fd=held[-1])
    except OSError as error:
        return _why_not(folder, path, error)
    finally:
        for directory in held:
            os.close(directory)
    return _regular(descriptor)


def _open_by_name(folder: Path, path: Path, relative: bytes) -> Opened | NotOpened:
    """Open where folders cannot be held open (Windows): links are looked for first, which is the most that can be done."""
    step = folder
    try:
        for part in relative.split(b"/"):
            step = step / os.fsdecode(part)
            if step.is_symlink():
                return _where_the_link_leads(folder, path)
        return _regular(os.open(path, _FILE))
    except OSError as error:
        return _why_not(folder, path, error)


def _regular(descriptor: int) -> Opened | NotOpened:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(found.st_mode):
            return NotOpened(state=FileState.IGNORED, detail="a folder")
        return NotOpened(state=FileState.REFUSED, reason=Reason.NOT_A_FILE, detail="a pipe, socket or device")
    return Opened(descriptor=descriptor, stat=found)


def _why_not(folder: Path, path: Path, error: OSError) -> NotOpened:
    if error.errno == errno.ENXIO:
        return NotOpened(state=FileState.REFUSED, reason=Reason.NOT_A_FILE, detail="a socket")
    # ENOTDIR is what Linux answers for a link opened with both O_DIRECTORY and O_NOFOLLOW.
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return _where_the_link_leads(folder, path)
    if error.errno == errno.ENOENT:
        return NotOpened(state=FileState.VANISHED, detail="was gone when it was opened")
    return NotOpened(state=FileState.REFUSED, reason=Reason.UNREADABLE, detail=error.strerror or "cannot be opened")


def _where_the_link_leads(folder: Path, path: Path) -> NotOpened:
    try:
        target = path.resolve(strict=True)
    except FileNotFoundError:
        return NotOpened(state=FileState.VANISHED, detail="a link to nothing")
    except (RuntimeError, OSError) as error:
        if isinstance(error, RuntimeError) or error.errno == errno.ELOOP:
            return NotOpened(state=FileState.REFUSED, reason=Reason.SYMLINK_LOOP, detail="a link that leads to itself")
        return NotOpened(state=FileState.REFUSED, reason=Reason.UNREADABLE, detail=error.strerror or "cannot be read")
    if target.is_relative_to(folder):
        return NotOpened(state=FileState.IGNORED, detail="a link to a file of the same folder, which is found itself")
    return NotOpened(
        state=FileState.REFUSED,
        reason=Reason.OUTSIDE_FOLDER,
        detail="a link that leads out of the folder: add its target as a root of its own",
    )
