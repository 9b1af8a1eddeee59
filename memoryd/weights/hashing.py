"""SHA-256 of large files, and other digests that name models, from one reading."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from blake3 import blake3

from memoryd.foundation.errors import Conflict

CHUNK = 512 * 1024
"""Bytes of one reading: a chunk that is still in the processor's own cache when it is hashed. Measured: 512 KiB is a tenth
faster than 4 MiB, 16 MiB a quarter slower."""
AHEAD = 6
"""Chunks that the slowest digest of a file may be behind the reading."""
SMALL = 4 * 1024 * 1024
"""Bytes up to which a file's digests are taken one after the other: threads would cost more than they spare."""

AUTOV2_DIGITS = 10
"""Hex digits of the SHA-256. Source: AUTOMATIC1111, sd_models.py (`shorthash`)."""
AUTOV3_DIGITS = 12
"""Hex digits of the SHA-256 of what lies behind the header. Source: AUTOMATIC1111, hashes.py (`addnet_hash_safetensors`)."""

FRESH_S = 2.0
"""A file changed this recently is hashed again next time: FAT and some network shares count in steps of two seconds, in
which a second change leaves no trace. Source: Microsoft, fatgen103, section 6.3."""


class FileChanged(Conflict):
    """The file changed while it was read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """A file's content, and the state of the file that had it."""

    sha256: bytes
    size: int
    mtime_ns: int
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Algorithm to hex value of the other digests that were asked for: `autov2`, `autov3`, `blake3`."""


def hash_file(path: Path, *, aliases: bool = False, on_bytes: Callable[[int], None] | None = None) -> FileDigest:
    """Return a file's SHA-256 with the size and time it had; `on_bytes` is told the size of every chunk that was read.

    With `aliases` the digests by which other tools name a model are taken from the same reading, in threads of their own,
    so that SHA-256 keeps its speed where cores are free. What `on_bytes` raises ends the reading; a digest that was
    broken off begins anew. Raises: FileChanged, OSError.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        left = before.st_size
        with _others(left) if aliases else nullcontext() as others:
            # As many buffers as chunks may be on their way, else one: the next reading overwrites what was taken.
            buffers = [bytearray(CHUNK) for _ in range(1 if others is None else AHEAD)]
            for buffer in itertools.cycle(buffers):
                if others is not None:
                    others.wait_for_room()
                # A file that grows is not followed to an end that may never come.
                count = file.readinto(buffer) if left >= 0 else 0
                if not count:
                    break
                left -= count
                view = memoryview(buffer)[:count]
                if others is not None:
                    others.take(view)
                digest.update(view)
                if on_bytes is not None:
                    on_bytes(count)
            after = os.fstat(file.fileno())
            named = {} if others is None else others.names()
    if left != 0 or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise FileChanged(f"{path} is being written", hint="try again when its writer has finished")
    if aliases:
        named["autov2"] = digest.hexdigest()[:AUTOV2_DIGITS]
    return FileDigest(sha256=digest.digest(), size=after.st_size, mtime_ns=after.st_mtime_ns, aliases=named)


class _Hasher(Protocol):
    def update(self, data: memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class _Aside:
    """One more digest of the same bytes, without its first `skip` ones, at once or in a thread."""

    def __init__(self, hasher: _Hasher, *, threaded: bool) -> None:
        self.hasher, self.skip = hasher, 0
        self.room = threading.Semaphore(AHEAD)
        self._given: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="alias-hashing", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def take(self, view: memoryview) -> None:
        if self._thread is None:
            self._update(view)
        else:
            self._given.put(view)

    def end(self) -> None:
        if self._thread is not None:
            self._given.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (view := self._given.get()) is not None:
            self._update(view)

    def _update(self, view: memoryview) -> None:
        skipped = min(self.skip, len(view))
        self.skip -= skipped
        self.hasher.update(view[skipped:])
        self.room.release()


class _Others:
    """BLAKE3 of all bytes; of a safetensors file the SHA-256 of those behind its header."""

    def __init__(self, size: int) -> None:
        self._size, self._threaded = size, size > SMALL
        self._asides = {"blake3": _Aside(blake3(), threaded=self._threaded)}
        self._begun = False

    def wait_for_room(self) -> None:
        for aside in self._asides.values():
            aside.room.acquire()

    def take(self, view: memoryview) -> None:
        if not self._begun:
            self._begun = True
            self._begin(view)
        for aside in self._asides.values():
            aside.take(view)

    def _begin(self, start: memoryview) -> None:
        if len(start) > 8 and start[8] == ord("{"):
            header = 8 + int.from_bytes(start[:8], "little")
            if header <= self._size:
                aside = _Aside(hashlib.sha256(), threaded=self._threaded)
                aside.skip = header
                # Room for the chunk that is at hand was asked for before this digest was there.
                aside.room.acquire()
                self._asides["autov3"] = aside

    def names(self) -> dict[str, str]:
        self.end()
        digits = {"autov3": AUTOV3_DIGITS}
        return {name: aside.hasher.hexdigest()[: digits.get(name)] for name, aside in self._asides.items()}

    def end(self) -> None:
        for aside in self._asides.values():
            aside.end()


@contextmanager
def _others(size: int) -> Iterator[_Others]:
    others = _Others(size)
    try:
        yield others
    finally:
        others.end()
