"""A root's trash: a hidden folder in it, into which files are moved and from which they come back. No database here.

A file is moved by renaming, never copied and never overwritten: what cannot be renamed stays where it is, and why is told.
"""

from __future__ import annotations

import contextlib
import os
import stat
from uuid import UUID

TRASH_NAME = b".memoryd-trash"
"""Hidden, so that no pass over the root walks into it."""

_FOLDER_MODE = 0o700


class CannotMove(Exception):
    """Why a file stays where it is; a sentence for people."""


def place_in_trash(trashed: UUID, path: bytes) -> bytes:
    """Return where in its root a trashed file lies: its own folder of the trash, its name kept."""
    return b"/".join((TRASH_NAME, str(trashed).encode(), path.rpartition(b"/")[2]))


def is_in_trash(path: bytes) -> bool:
    """Tell whether a path below a root lies in its trash."""
    return path == TRASH_NAME or path.startswith(TRASH_NAME + b"/")


def put(root: bytes, path: bytes, trash_path: bytes, *, size: int, mtime_ns: int) -> None:
    """Move a file into the trash, if it is the one that is meant. Raises: CannotMove."""
    source = _inside(root, path)
    try:
        found = os.lstat(source)
    except OSError as error:
        raise CannotMove(_why(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise CannotMove("it is no plain file")
    if (found.st_size, found.st_mtime_ns) != (size, mtime_ns):
        raise CannotMove("it was changed since it was recorded")
    target = os.path.join(root, trash_path)  # noqa: PTH118 - names are bytes
    try:
        _make_folder(os.path.join(root, TRASH_NAME))  # noqa: PTH118
        _make_folder(os.path.dirname(target))  # noqa: PTH120
    except OSError as error:
        raise CannotMove(f"the trash cannot be made: {_why(error)}") from error
    _move(source, target)


def bring_back(root: bytes, path: bytes, trash_path: bytes) -> None:
    """Move a file out of the trash to where it was. Raises: CannotMove, also where something else lies there now."""
    source = os.path.join(root, trash_path)  # noqa: PTH118
    if os.path.islink(os.path.join(root, TRASH_NAME)):  # noqa: PTH114, PTH118
        raise CannotMove("the trash is a link")
    if not os.path.lexists(source):
        raise CannotMove("it is not in the trash any more")
    parent = os.path.dirname(os.path.join(root, path))  # noqa: PTH118, PTH120
    try:
        os.makedirs(parent, exist_ok=True)  # noqa: PTH103
    except OSError as error:
        raise CannotMove(f"its folder cannot be made: {_why(error)}") from error
    _move(source, _inside(root, path))
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(source))  # noqa: PTH106, PTH120


def empty(root: bytes, trash_path: bytes) -> bool:
    """Delete a file in the trash for ever; return whether it was there. Raises: CannotMove."""
    if not is_in_trash(trash_path) or os.path.islink(os.path.join(root, TRASH_NAME)):  # noqa: PTH114, PTH118
        raise CannotMove("it is not in the trash")
    place = os.path.join(root, trash_path)  # noqa: PTH118
    try:
        os.unlink(place)  # noqa: PTH108
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CannotMove(_why(error)) from error
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(place))  # noqa: PTH106, PTH120
    return True


def lies_in_trash(root: bytes, trash_path: bytes) -> bool:
    """Tell whether a file is in the trash."""
    return os.path.lexists(os.path.join(root, trash_path))  # noqa: PTH118


def is_there(root: bytes) -> bool:
    """Tell whether a root's folder can be reached."""
    return os.path.isdir(root)  # noqa: PTH112


def _inside(root: bytes, path: bytes) -> bytes:
    """Return the whole path, whose folder really lies in the root. Raises: CannotMove."""
    whole = os.path.join(root, path)  # noqa: PTH118
    folder, top = os.path.realpath(os.path.dirname(whole)), os.path.realpath(root)  # noqa: PTH120
    if folder != top and not folder.startswith(top.rstrip(b"/") + b"/"):
        raise CannotMove("its path leads out of the folder")
    return whole


def _make_folder(folder: bytes) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, _FOLDER_MODE)  # noqa: PTH102
    if not stat.S_ISDIR(os.lstat(folder).st_mode):
        raise NotADirectoryError(20, "something else has the trash's name")


def _move(source: bytes, target: bytes) -> None:
    try:
        try:
            # A hard link fails where something has the name; renaming would overwrite it.
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise CannotMove("something else lies there now") from None
        except OSError:
            # File systems without hard links (exFAT, some shares).
            if os.path.lexists(target):
                raise CannotMove("something else lies there now") from None
            os.rename(source, target)  # noqa: PTH104
        else:
            os.unlink(source)  # noqa: PTH108
    except OSError as error:
        raise CannotMove(_why(error)) from error


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
