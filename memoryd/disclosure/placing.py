"""A signed copy put into a watched folder: beside its original, or in its place. Either whole, or not at all.

What is written was recorded before: the watcher finds it known.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import new_id

NAMES_LIMIT = 9
"""Names that are tried where others are taken by something else."""

_PIECE = 1 << 20


class CannotPlace(Conflict):
    """A signed copy cannot be put into a folder."""


def put_beside(content: BinaryIO, sha256: bytes, original: Path, root: Path) -> Path:
    """Return where the copy lies now: beside its original, as `NAME.disclosed.png`; nothing is ever written over.

    Raises: CannotPlace; OSError.
    """
    _check(original, root)
    with _unfinished(content, original) as unfinished:
        for number in range(1, NAMES_LIMIT + 1):
            more = "" if number == 1 else f"-{number}"
            target = original.with_name(f"{original.stem}.disclosed{more}{original.suffix}")
            if _took(unfinished, target) or _is(target, sha256):
                return target
    raise CannotPlace(str(original), hint=f"{NAMES_LIMIT} names beside it are taken: move some of those files away")


def put_over(content: BinaryIO, original: Path, root: Path, *, size: int, mtime_ns: int) -> None:
    """Put the copy in its original's place, if that is still the file that was recorded. Its bytes are kept elsewhere.

    Raises: CannotPlace; OSError.
    """
    _check(original, root)
    with _unfinished(content, original) as unfinished:
        # As late as can be: whoever wrote to the file meanwhile keeps what he wrote.
        found = original.lstat()
        if not stat.S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != (size, mtime_ns):
            raise CannotPlace(f"{original} was changed since it was recorded", hint="it is disclosed as it comes again")
        unfinished.replace(original)


def _check(original: Path, root: Path) -> None:
    if not original.parent.resolve().is_relative_to(root.resolve()):
        raise CannotPlace(f"{original} leads out of its folder", hint="watch the folder that it leads to")
    if not original.exists():
        raise CannotPlace(f"{original} is gone", hint="it is disclosed where it comes again")


@contextlib.contextmanager
def _unfinished(content: BinaryIO, original: Path) -> Iterator[Path]:
    # Hidden names are passed by while a folder is looked through.
    unfinished = original.with_name(f".{new_id().hex}.unfinished")
    try:
        with unfinished.open("xb") as file:
            shutil.copyfileobj(content, file, _PIECE)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(original, unfinished)
        yield unfinished
    finally:
        unfinished.unlink(missing_ok=True)


def _took(unfinished: Path, target: Path) -> bool:
    """Give a file its name; False where something else has it."""
    try:
        target.hardlink_to(unfinished)
    except FileExistsError:
        return False
    except OSError:
        # File systems without hard links (exFAT, some shares).
        if os.path.lexists(target):
            return False
        unfinished.rename(target)
    return True


def _is(path: Path, sha256: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest() == sha256
    except OSError:
        return False
