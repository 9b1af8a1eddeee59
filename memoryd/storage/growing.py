"""Blobs that arrive in parts, whose hash was announced: what came stays through any crash, and becomes a blob when whole.

    <home>/<tenant>/.arriving/<sha256 in hex>          grows; its size says what is there
    <home>/<tenant>/.arriving/<sha256 in hex>.whole    all of it, checked: not a blob yet, since nothing refers to it

Nothing is held in memory but the part that is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from memoryd.foundation.errors import Conflict, Unavailable
from memoryd.storage.blob_store import BlobStore, BytesChanged
from memoryd.storage.copying import hash_open_file
from memoryd.storage.facts import StoredBlob

ARRIVING = ".arriving"
FORGOTTEN_S = 7 * 24 * 3600.0
"""What nobody went on with for a week is removed: a weekend lies between."""
SPARE = 1024**3
"""Bytes of the disk that stay free: the database may lie on it."""

_FOLDER_MODE = 0o750
_BLOB_MODE = 0o440


class OffsetDiffers(Conflict):
    """What is there ends elsewhere."""


class StillArriving(Conflict):
    """Somebody else is writing or checking these bytes."""


class DiskFull(Unavailable):
    """The server's disk has no room for these bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Growing:
    """Bytes of a tenant that are arriving."""

    store: BlobStore
    tenant: str
    sha256: bytes

    @property
    def part(self) -> Path:
        """Where they grow. Raises: BadBlobName."""
        self.store.key(self.tenant, self.sha256)
        return self.store.home / self.tenant / ARRIVING / self.sha256.hex()

    @property
    def whole(self) -> Path:
        """Where they lie once they are checked."""
        return self.part.with_name(f"{self.sha256.hex()}.whole")

    def is_whole(self) -> bool:
        """Tell whether all of it is there and was checked."""
        return self.whole.is_file()

    def size(self) -> int:
        """Return how many bytes are there."""
        for path in (self.whole, self.part):
            with contextlib.suppress(FileNotFoundError):
                return path.stat().st_size
        return 0

    def begin(self, size: int) -> None:
        """Make the place for `size` bytes in all, and remove what others gave up long ago. Raises: DiskFull."""
        folder = self.part.parent
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        _forget_old(folder)
        missing = size - self.size()
        if missing > 0 and shutil.disk_usage(folder).free < missing + SPARE:
            raise DiskFull(f"{missing} bytes are to come", hint="make room on the server's disk, then send it again")

    @contextlib.contextmanager
    def appending(self, offset: int) -> Iterator[BinaryIO]:
        """A block in which bytes are written from `offset` on, which must be where those that are there end.

        What was written is on disk afterwards, also where the block ends in an error. Raises: OffsetDiffers, StillArriving.
        """
        self.part.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        with self.part.open("ab") as file:
            _lock(file)
            present = self.size()
            if self.is_whole() or present != offset:
                raise OffsetDiffers(f"{present} bytes are there, not {offset}", hint="go on there", offset=present)
            try:
                yield file
            finally:
                file.flush()
                os.fsync(file.fileno())

    def check(self) -> None:
        """Return when all the bytes are there and have their hash, by reading them from disk (INV-1).

        What has another hash is removed. Raises: BytesChanged, StillArriving.
        """
        if self.is_whole():
            return
        try:
            file = self.part.open("rb")
        except FileNotFoundError:
            raise BytesChanged("nothing has arrived", hint="send the bytes first") from None
        with file:
            _lock(file)
            if self.is_whole():
                return
            found, size = hash_open_file(file)
            if found != self.sha256:
                self.part.unlink(missing_ok=True)
                raise BytesChanged(
                    f"announced SHA-256 {self.sha256.hex()}, {size} bytes with {found.hex()} arrived",
                    hint="nothing of it is kept; send it again from the beginning, when its writer has finished",
                )
            os.fchmod(file.fileno(), _BLOB_MODE)
            os.fsync(file.fileno())
            self.part.rename(self.whole)
            _flush_folder(self.whole.parent)

    def adopt(self) -> StoredBlob:
        """Make a blob of checked bytes; `settle` follows once the record of it is committed. Raises: BytesChanged."""
        target = self.store.path(self.tenant, self.sha256)
        target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        try:
            size = self.whole.stat().st_size
            if target.is_file() and target.stat().st_size != size:
                # Damaged: what was checked takes its place.
                target.unlink()
            with contextlib.suppress(FileExistsError):
                target.hardlink_to(self.whole)
        except FileNotFoundError:
            raise BytesChanged("nothing was checked", hint="send the bytes first") from None
        # Touched as by every writer: who collects what nobody needs leaves what was stored again.
        with contextlib.suppress(PermissionError):
            os.utime(target)
        _flush_folder(target.parent)
        return StoredBlob(sha256=self.sha256, size=size, key=self.store.key(self.tenant, self.sha256))

    def settle(self) -> None:
        """Forget that the bytes arrived: the blob's record is committed."""
        self.whole.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)


def _lock(file: BinaryIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StillArriving("another one has them in hand", hint="ask again in a moment") from None


def _forget_old(folder: Path) -> None:
    limit = time.time() - FORGOTTEN_S
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                path.unlink()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
