"""Bytes by their SHA-256 in a folder: whole or not there, and what they are called (INV-1).

    <home>/<tenant>/<aa>/<sha256 in hex>         blobs, read-only
    <home>/<tenant>/.unfinished/                 being written; renamed when on disk
    <home>/<tenant>/.collecting/                 being taken away (`collecting`)
    <home>/.staging/<tenant>/<job>/<fence>/      uploads of a worker, before its job is complete

A write goes to a temporary file, is hashed as stored, flushed to disk, renamed, and the folder flushed: after a power
cut a blob is whole or absent. Two writers of the same bytes both succeed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.errors import Conflict, NotAcceptable, NotFound, TooLarge
from memoryd.storage.copying import HASH_CHUNK, copy_bytes, hash_open_file
from memoryd.storage.facts import StoredBlob

BACKEND = "filesystem"

BLOB_LIMIT = 64 * 1024**3
"""Bytes of one blob: an hour of lossless 4K video; above it something else is being sent."""

READ_LIMIT = 512 * 1024**2
"""Bytes of a blob that is read into memory at once."""

UNFINISHED_AGE_S = 24 * 3600
"""A temporary file this old belongs to a process that died."""

_BLOB_MODE = 0o440
_FOLDER_MODE = 0o750
_SLUG = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_UNFINISHED = ".unfinished"
_STAGING = ".staging"


class BlobMissing(NotFound):
    """The stored bytes are not where they should be."""


class BlobDamaged(Conflict):
    """The stored bytes are not what their name says."""


class BytesChanged(Conflict):
    """The bytes are not those that were announced."""


class BlobTooLarge(TooLarge):
    """These bytes are more than may be stored or read at once."""


class BadBlobName(NotAcceptable):
    """This names no blob."""


class BlobStore:
    """Blobs of all tenants in one folder. Thread-safe, and safe among processes."""

    def __init__(self, home: Path) -> None:
        """`home` is the folder of blobs; it is made when the first is written."""
        self.home = home

    def key(self, tenant: str, sha256: bytes) -> str:
        """Return a blob's storage key. Raises: BadBlobName."""
        if not _SLUG.match(tenant) or len(sha256) != hashlib.sha256().digest_size:
            raise BadBlobName(f"tenant {tenant!r}, {len(sha256)} bytes of hash", hint="a hash is 32 bytes")
        name = sha256.hex()
        return f"{tenant}/{name[:2]}/{name}"

    def path(self, tenant: str, sha256: bytes) -> Path:
        """Return where a blob lies, or would lie. Raises: BadBlobName."""
        return self.home / self.key(tenant, sha256)

    def exists(self, tenant: str, sha256: bytes) -> bool:
        """Tell whether a blob is there; its bytes are checked when they are read. Raises: BadBlobName."""
        return self.path(tenant, sha256).is_file()

    def put_file(self, tenant: str, source: Path, *, sha256: bytes | None = None) -> StoredBlob:
        """Store a copy of a file; where `sha256` is given, the copy must have it.

        Raises: BytesChanged, BlobTooLarge, BadBlobName, OSError.
        """
        with source.open("rb") as file:
            return self.put_open_file(tenant, file, sha256=sha256)

    def put_open_file(self, tenant: str, source: BinaryIO, *, sha256: bytes | None = None) -> StoredBlob:
        """Store a copy of a whole open file of a file system. Raises: as `put_file`."""
        size = os.fstat(source.fileno()).st_size
        if size > BLOB_LIMIT:
            raise _too_large(size)
        if sha256 is not None and self._has(tenant, sha256, size):
            return StoredBlob(sha256=sha256, size=size, key=self.key(tenant, sha256))
        return self._put(tenant, lambda target: copy_bytes(source, target), sha256)

    def put_stream(
        self, tenant: str, stream: BinaryIO, *, limit: int = BLOB_LIMIT, sha256: bytes | None = None
    ) -> StoredBlob:
        """Store what a stream gives until its end, `limit` bytes at most. Raises: as `put_file`."""

        def write(target: BinaryIO) -> None:
            size = 0
            while chunk := stream.read(HASH_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise _too_large(size, limit)
                target.write(chunk)

        return self._put(tenant, write, sha256)

    def put_bytes(self, tenant: str, content: bytes) -> StoredBlob:
        """Store bytes. Raises: BlobTooLarge, BadBlobName, OSError."""
        return self.put_stream(tenant, io.BytesIO(content), sha256=hashlib.sha256(content).digest())

    def open(self, tenant: str, sha256: bytes) -> BinaryIO:
        """Return a blob opened at its start, seekable, not yet checked. Raises: BlobMissing, BadBlobName."""
        try:
            return self.path(tenant, sha256).open("rb")
        except FileNotFoundError:
            raise BlobMissing(
                f"no bytes with SHA-256 {sha256.hex()}", hint="restore the blobs' folder from a backup"
            ) from None

    def open_verified(self, tenant: str, sha256: bytes) -> BinaryIO:
        """Return a blob opened at its start, after all its bytes were checked. Raises: BlobMissing, BlobDamaged."""
        file = self.open(tenant, sha256)
        try:
            # INV-1: on read. The open file cannot be exchanged between check and use, and nobody writes into a blob.
            found, _ = hash_open_file(file)
            if found != sha256:
                raise _damaged(sha256, found)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def read_verified(self, tenant: str, sha256: bytes, *, limit: int = READ_LIMIT) -> bytes:
        """Return a blob's bytes, checked. Raises: BlobMissing, BlobDamaged, BlobTooLarge beyond `limit`."""
        with self.open(tenant, sha256) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise _too_large(size, limit)
            content = file.read()
        found = hashlib.sha256(content).digest()
        if found != sha256:
            raise _damaged(sha256, found)
        return content

    def staging(self, tenant: str, job_id: UUID, fence: int) -> Path:
        """Return the folder for one lease's uploads, made if it is not there: a later lease has another (INV-4)."""
        folder = self._staging_of(tenant, job_id) / str(fence)
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        return folder

    def clear_staging(self, tenant: str, job_id: UUID) -> None:
        """Remove the uploads of all leases of a job; nothing happens where there are none."""
        shutil.rmtree(self._staging_of(tenant, job_id), ignore_errors=True)

    def remove(self, tenant: str, sha256: bytes) -> bool:
        """Remove a blob's bytes and tell whether there were any. Its row is the caller's business."""
        path = self.path(tenant, sha256)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        _flush_folder(path.parent)
        return True

    def sweep_unfinished(self, *, older_than_s: float = UNFINISHED_AGE_S) -> int:
        """Remove temporary files of processes that died, and return how many."""
        removed, limit = 0, time.time() - older_than_s
        for path in self.home.glob(f"*/{_UNFINISHED}/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    path.unlink()
                    removed += 1
        return removed

    def _put(self, tenant: str, write: Callable[[BinaryIO], None], announced: bytes | None) -> StoredBlob:
        with self._unfinished(tenant) as (path, file):
            write(file)
            file.flush()
            # INV-1: on write, from the copy: the source may change while it is read.
            sha256, size = hash_open_file(file)
            if announced is not None and sha256 != announced:
                raise BytesChanged(
                    f"announced SHA-256 {announced.hex()}, found {sha256.hex()}",
                    hint="the file changed while it was read: try again when its writer has finished",
                )
            stored = StoredBlob(sha256=sha256, size=size, key=self.key(tenant, sha256))
            if self._has(tenant, sha256, size):
                return stored
            os.fchmod(file.fileno(), _BLOB_MODE)
            os.fsync(file.fileno())
            target = self.home / stored.key
            if not target.parent.is_dir():
                target.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
                _flush_folder(target.parent.parent)
            path.rename(target)
            _flush_folder(target.parent)
        return stored

    def _has(self, tenant: str, sha256: bytes, size: int) -> bool:
        # A file of another size under this name is damaged, and is written anew.
        path = self.path(tenant, sha256)
        try:
            # Touched before anything else: the collector leaves what was stored again, and takes nothing after this.
            with contextlib.suppress(PermissionError):
                os.utime(path)
            return path.stat().st_size == size
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def _unfinished(self, tenant: str) -> Iterator[tuple[Path, BinaryIO]]:
        if not _SLUG.match(tenant):
            raise BadBlobName(f"tenant {tenant!r}")
        folder = self.home / tenant / _UNFINISHED
        if not folder.is_dir():
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            _flush_folder(self.home)
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with path.open("x+b") as file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)

    def _staging_of(self, tenant: str, job_id: UUID) -> Path:
        if not _SLUG.match(tenant):
            raise BadBlobName(f"tenant {tenant!r}")
        return self.home / _STAGING / tenant / str(job_id)


def _flush_folder(folder: Path) -> None:
    """Have the folder's entries on disk: a rename is only in memory until then."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _too_large(size: int, limit: int = BLOB_LIMIT) -> BlobTooLarge:
    return BlobTooLarge(f"{size} bytes or more, {limit} are allowed", hint="send less", size=size, limit=limit)


def _damaged(expected: bytes, found: bytes) -> BlobDamaged:
    return BlobDamaged(
        f"the blob {expected.hex()} holds bytes with SHA-256 {found.hex()}",
        hint="restore this blob from a backup, or store the original file again after removing it",
    )


def blob_store(store: ByteStore) -> BlobStore:
    """Return what stands behind the door that rooms below this one know. Raises: TypeError where it is another's."""
    if not isinstance(store, BlobStore):
        raise TypeError(f"{type(store).__name__} is no blob store")
    return store
