"""Blobs taken away that nobody wrote or stored again for long. Whether anything refers to them, the caller knows.

A blob is renamed aside, looked at once more, and only then deleted: who stored the same bytes in between touched the file
before (then it goes back), or finds none (then it is written anew). What a process left aside when it died goes back
first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from memoryd.storage.blob_store import BlobStore

_ASIDE = ".collecting"
_FOLDER_MODE = 0o750
_NAME_DIGITS = 64


def list_old(store: BlobStore, tenant: str, older_than_s: float) -> Iterator[tuple[bytes, int]]:
    """Yield (SHA-256, bytes) of blobs that were last written or stored again longer ago, in the order of their hashes."""
    limit = time.time() - older_than_s
    for folder in sorted(_home(store, tenant).glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(FileNotFoundError, ValueError):
                found = path.stat()
                if len(path.name) == _NAME_DIGITS and found.st_mtime < limit:
                    yield bytes.fromhex(path.name), found.st_size


def take_away(store: BlobStore, tenant: str, sha256: bytes, older_than_s: float) -> bool:
    """Delete a blob's bytes, and tell whether they were there and still as old."""
    path, aside = store.path(tenant, sha256), _home(store, tenant) / _ASIDE / sha256.hex()
    aside.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if aside.stat().st_mtime >= time.time() - older_than_s:
        _put_back(store, tenant, aside)
        return False
    aside.unlink()
    return True


def settle(store: BlobStore, tenant: str) -> int:
    """Put back what a process that died left aside; return how many there were."""
    left = list((_home(store, tenant) / _ASIDE).glob("*"))
    for aside in left:
        _put_back(store, tenant, aside)
    return len(left)


def _put_back(store: BlobStore, tenant: str, aside: Path) -> None:
    # What was written anew meanwhile has the same bytes.
    with contextlib.suppress(FileNotFoundError):
        aside.rename(store.path(tenant, bytes.fromhex(aside.name)))


def _home(store: BlobStore, tenant: str) -> Path:
    # Checks the tenant's name.
    return store.path(tenant, bytes(32)).parent.parent
