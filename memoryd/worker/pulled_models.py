"""Models that were pulled from the server's store, in a folder of memoryd's own beside ComfyUI's, one for each tenant.

    <a models folder of ComfyUI>/.memoryd-models/<tenant>/<sha256>        verified; no name that ComfyUI lists
                                                         /<sha256>.part   arriving; goes on where it ended
                                                         /<sha256>.use    locked by whoever uses or fetches it; its time
                                                                          is that of the last use

They are linked under a graph's name for the run of that tenant's job alone. Workers that see the same folder share what
lies there. Files without `.use` beside them are somebody else's, and nothing outside of this folder is ever removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

FOLDER = ".memoryd-models"
"""The folder in a models folder in which pulled models lie."""

WAIT_LOOK_S = 0.5
"""How often a worker looks whether another one has fetched what both need."""

_NAME = re.compile(r"^[0-9a-f]{64}$")
_MODE = 0o644


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A pulled model, or the place for one."""

    directory: Path
    tenant: UUID
    sha256: str

    @property
    def path(self) -> Path:
        """Where it lies once it is verified."""
        return self.directory / FOLDER / str(self.tenant) / self.sha256

    @property
    def part(self) -> Path:
        """Where it grows."""
        return self.path.with_name(f"{self.sha256}.part")

    @property
    def use(self) -> Path:
        """What is locked while it is used."""
        return self.path.with_name(f"{self.sha256}.use")

    def is_there(self) -> bool:
        """Tell whether it lies there as it was when it was verified."""
        try:
            status = self.path.stat()
            noted = json.loads(self.use.read_text())
        except (OSError, ValueError):
            return False
        return bool(noted == _stamp(status))

    def note_verified(self) -> None:
        """Give what has arrived and was verified its name; from here on it is there."""
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        self.part.replace(self.path)
        with self.use.open("r+") as file:
            file.truncate()
            file.write(json.dumps(_stamp(self.path.stat())))
            file.flush()
            os.fsync(file.fileno())
        _flush_folder(self.path.parent)

    def remove(self) -> int:
        """Remove it and what has arrived of it; return its bytes. For who holds its lock alone."""
        size = 0
        for path in (self.path, self.part):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
                path.unlink()
        self.use.unlink(missing_ok=True)
        return size

    @contextlib.contextmanager
    def locked(self, wait: Callable[[], None]) -> Iterator[BinaryIO]:
        """A block in which no other worker fetches or removes it; `wait` is called between looks while one does.

        What `wait` raises ends the waiting. The lock can be turned into that of a user (`share`).
        """
        self.use.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = os.fdopen(os.open(self.use, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE), "r+b")
            if _lock(file, fcntl.LOCK_EX) and self._is_present(file):
                break
            file.close()
            wait()
        with file:
            yield file

    def _is_present(self, file: BinaryIO) -> bool:
        # Whoever removed it meanwhile removed this file too: a lock on what is gone locks nothing.
        try:
            return os.path.samestat(self.use.stat(), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False


def hold(pulled: Pulled) -> BinaryIO | None:
    """Return a lock that keeps a model that is there for as long as it is open, and note its use; None where it is not."""
    try:
        file = pulled.use.open("r+b")
    except FileNotFoundError:
        return None
    if _lock(file, fcntl.LOCK_SH) and pulled.is_there():
        with contextlib.suppress(OSError):
            os.utime(pulled.use)
        return file
    file.close()
    return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A pulled model on the disk. `used_at`: seconds since the epoch."""

    pulled: Pulled
    size: int
    used_at: float


def list_kept(directories: Iterable[Path]) -> list[Kept]:
    """Return what was pulled into these folders, with what is arriving, used longest ago first."""
    found: dict[tuple[int, int], Kept] = {}
    for directory in directories:
        for use in (directory / FOLDER).glob("*/*.use"):
            with contextlib.suppress(OSError, ValueError):
                pulled = Pulled(directory=directory, tenant=UUID(use.parent.name), sha256=use.stem)
                status = use.stat()
                size = sum(path.stat().st_size for path in (pulled.path, pulled.part) if path.is_file())
                if _NAME.match(use.stem):
                    # Two of ComfyUI's folders may be one: each file counts once.
                    key = (status.st_dev, status.st_ino)
                    found.setdefault(key, Kept(pulled=pulled, size=size, used_at=status.st_mtime))
    return sorted(found.values(), key=lambda kept: (kept.used_at, kept.pulled.sha256))


def let_go(kept: Kept) -> int:
    """Remove a pulled model unless somebody uses or fetches it at this moment; return the bytes that are free now."""

    def in_use() -> None:
        raise _InUse

    try:
        with kept.pulled.locked(in_use):
            return kept.pulled.remove()
    except (_InUse, OSError):
        return 0


def is_pulled(path: Path, directory: Path) -> bool:
    """Tell whether a file that ComfyUI lists in a models folder is a link, for a run, to a model that was pulled."""
    with contextlib.suppress(OSError):
        if FOLDER in path.resolve().parts:
            return True
        status = path.stat()
        if status.st_nlink > 1:
            others = (directory / FOLDER).glob("*/*")
            return any(os.path.samestat(status, other.stat()) for other in others)
    return False


class _InUse(Exception):
    """Somebody has it in hand."""


def _lock(file: BinaryIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: what is written is verified before it gets its name all the same.
        return True
    return True


def _stamp(status: os.stat_result) -> dict[str, object]:
    return {"size": status.st_size, "mtime_ns": str(status.st_mtime_ns)}


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wait_a_moment() -> None:
    """Return after WAIT_LOOK_S."""
    time.sleep(WAIT_LOOK_S)
