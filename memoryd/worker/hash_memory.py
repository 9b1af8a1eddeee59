"""Hashes of model files, remembered by path, size and time of change: in one file, which several workers may use at once.

Whoever learns a hash appends a line under a lock; whoever looks for one reads on from where it last stopped. A line that
was cut off is skipped, never believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from memoryd.foundation.canonical_json import NotJson, canonical_bytes, read_json
from memoryd.weights.hashing import FRESH_S, hash_file

SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of the file, beyond which it is written anew: 100,000 models with long paths take about 30 MB."""

_DIGITS = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A file's hash (64 lower hexadecimal digits). `own`: measured from this machine, not taken over from a colleague."""

    sha256: str
    own: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Stamp:
    """The state of a file that had a hash."""

    path: str
    size: int
    mtime_ns: int


class HashMemory:
    """What is known of model files. Thread-safe, and safe beside other processes that use the same file."""

    def __init__(self, file: Path) -> None:
        """`file` need not be there yet."""
        self._file = file
        self._lock = threading.Lock()
        self._known: dict[Stamp, Remembered] = {}
        self._read_from: tuple[int, int] = (0, 0)
        """Inode, and bytes that were read of it."""
        self._urgent = 0
        self._calm = threading.Event()
        self._calm.set()

    def find(self, path: Path) -> Remembered | None:
        """Return what is known of the file as it is now, None where nothing is. Raises: OSError."""
        stamp = stamp_of(path)
        with self._lock:
            self._read_on()
            return self._known.get(stamp)

    def paths_of(self, sha256: str) -> list[Path]:
        """Return the files that have this content now, those measured from this machine first."""
        with self._lock:
            self._read_on()
            noted = sorted(
                (not known.own, stamp.path) for stamp, known in self._known.items() if known.sha256 == sha256
            )
        found = []
        for _, path in dict.fromkeys(noted):
            with contextlib.suppress(OSError):
                known = self.find(Path(path))
                if known is not None and known.sha256 == sha256:
                    found.append(Path(path))
        return found

    def sizes_of(self, sha256: str) -> frozenset[int]:
        """Return the sizes in bytes of files that had this content, wherever they lie by now."""
        with self._lock:
            self._read_on()
            return frozenset(stamp.size for stamp, known in self._known.items() if known.sha256 == sha256)

    def measure(self, path: Path, *, on_bytes: Callable[[int], None] | None = None) -> str:
        """Return the file's hash, reading it unless it was measured before. Raises: FileChanged, OSError."""
        known = self.find(path)
        if known is not None and known.own:
            return known.sha256
        found = hash_file(path, on_bytes=on_bytes)
        stamp = Stamp(os.fspath(path), found.size, found.mtime_ns)
        self.keep(stamp, Remembered(sha256=found.sha256.hex(), own=True))
        return found.sha256.hex()

    def measure_now(self, path: Path) -> str:
        """Return the file's hash for a run that waits for it; whoever measures in the background rests meanwhile.

        Raises: FileChanged, OSError.
        """
        with self._lock:
            self._urgent += 1
            self._calm.clear()
        try:
            return self.measure(path)
        finally:
            with self._lock:
                self._urgent -= 1
                if self._urgent == 0:
                    self._calm.set()

    def wait_until_calm(self, seconds: float) -> bool:
        """Wait while a run waits for a hash, at most so long; return whether none does."""
        return self._calm.wait(seconds)

    def keep(self, stamp: Stamp, remembered: Remembered) -> None:
        """Remember a hash, unless the file changed so recently that a second change might leave no trace (FRESH_S)."""
        if time.time() - stamp.mtime_ns / 1e9 <= FRESH_S:
            return
        with self._lock:
            self._read_on()
            known = self._known.get(stamp)
            if known == remembered or (known is not None and known.own and not remembered.own):
                return
            self._known[stamp] = remembered
            self._append(stamp, remembered)

    def _append(self, stamp: Stamp, remembered: Remembered) -> None:
        line = canonical_bytes(
            [os.fsencode(stamp.path).hex(), stamp.size, str(stamp.mtime_ns), remembered.sha256, remembered.own]
        )
        with self._file.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_size > SIZE_LIMIT:
                # What is still there is measured again; a memory of files that are gone must not grow for ever.
                file.truncate(0)
            # A line that a crash cut off ends here, and not inside the next.
            file.write(b"\n" + line + b"\n")

    def _read_on(self) -> None:
        try:
            with self._file.open("rb") as file:
                status = os.fstat(file.fileno())
                inode, done = self._read_from
                start = done if inode == status.st_ino and done <= status.st_size else 0
                if start == status.st_size and inode == status.st_ino:
                    return
                file.seek(start)
                content = file.read(status.st_size - start)
        except FileNotFoundError:
            return
        # What another process is still writing is read next time.
        whole = content.rfind(b"\n") + 1
        for line in content[:whole].splitlines():
            self._read_line(line)
        self._read_from = (status.st_ino, start + whole)

    def _read_line(self, line: bytes) -> None:
        try:
            row = read_json(line) if line else None
        except NotJson:
            return
        match row:
            case [str(path), int(size), str(mtime_ns), str(sha256), bool(own)] if len(sha256) == _DIGITS:
                try:
                    stamp = Stamp(os.fsdecode(bytes.fromhex(path)), size, int(mtime_ns))
                    bytes.fromhex(sha256)
                except ValueError:
                    return
                self._known[stamp] = Remembered(sha256=sha256, own=own)
            case _:
                return


def stamp_of(path: Path) -> Stamp:
    """Return the state of a file now. Raises: OSError."""
    status = path.stat()
    return Stamp(os.fspath(path), status.st_size, status.st_mtime_ns)
