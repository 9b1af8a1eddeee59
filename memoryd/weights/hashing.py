"""SHA-256 of large files, remembered for as long as a file's size and time of change stay as they were."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from memoryd.foundation.canonical_json import NotJson, canonical_bytes, read_json
from memoryd.foundation.errors import Conflict

CHUNK = 4 * 1024 * 1024

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


def hash_file(path: Path, *, on_bytes: Callable[[int], None] | None = None) -> FileDigest:
    """Return a file's SHA-256 with the size and time it had; `on_bytes` is told the size of every chunk that was read.

    What `on_bytes` raises ends the reading. Raises: FileChanged, OSError.
    """
    digest, buffer = hashlib.sha256(), bytearray(CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        left = before.st_size
        # A file that grows is not followed to an end that may never come.
        while left >= 0 and (count := file.readinto(buffer)):
            left -= count
            digest.update(view[:count])
            if on_bytes is not None:
                on_bytes(count)
        after = os.fstat(file.fileno())
    if left != 0 or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise FileChanged(f"{path} is being written", hint="try again when its writer has finished")
    return FileDigest(sha256=digest.digest(), size=after.st_size, mtime_ns=after.st_mtime_ns)


class DigestMemory:
    """Digests by (path, size, time of change), in a file that survives the process. One process at a time writes it."""

    def __init__(self, file: Path) -> None:
        """`file` holds a JSON list per line, the last of a path counts; a damaged line is forgotten, not believed."""
        self._file = file
        self._known: dict[str, FileDigest] = {}
        if file.exists():
            for line in file.read_bytes().splitlines():
                self._read(line)

    def hash_file(self, path: Path, *, on_bytes: Callable[[int], None] | None = None) -> FileDigest:
        """Return a file's digest, from memory where size and time are unchanged. Raises: as `hash_file`."""
        place = os.fsencode(path.absolute()).hex()
        status, known = path.stat(), self._known.get(place)
        if known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return known
        found = hash_file(path, on_bytes=on_bytes)
        if time.time() - found.mtime_ns / 1e9 > FRESH_S:
            self._known[place] = found
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.write(canonical_bytes([place, found.sha256.hex(), found.size, found.mtime_ns]) + b"\n")
        return found

    def _read(self, line: bytes) -> None:
        try:
            row = read_json(line)
        except NotJson:
            return
        match row:
            case [str(place), str(sha256), int(size), int(mtime_ns)] if len(sha256) == 2 * hashlib.sha256().digest_size:
                try:
                    self._known[place] = FileDigest(sha256=bytes.fromhex(sha256), size=size, mtime_ns=mtime_ns)
                except ValueError:
                    return
            case _:
                return
