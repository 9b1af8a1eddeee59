"""Custody `keep`: copies what was prepared into the blob store, before the transaction that records it."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from memoryd.foundation.errors import Conflict, TooLarge
from memoryd.foundation.logging import log_for
from memoryd.ingest.facts import Custody, FileState, Prepared, PreparedFile, Reason
from memoryd.ingest.opening import NotOpened, open_inside
from memoryd.ingest.preparing import refuse
from memoryd.storage.blob_store import BlobStore

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Bytes that keeping needs at most (a reflink needs none), and bytes that are free where the blobs lie."""

    needed: int
    free: int

    @property
    def enough(self) -> bool:
        """Whether it fits in any case."""
        return self.needed <= self.free


def space(home: Path, sizes: Iterable[int]) -> Space:
    """Return the space that keeping files of these sizes may take; `home` is the folder of blobs, made or not."""
    place = home
    while not place.exists() and place != place.parent:
        place = place.parent
    return Space(needed=sum(sizes), free=shutil.disk_usage(place).free)


def keep(prepared: Prepared, store: BlobStore, tenant: str) -> Prepared:
    """Return the batch with the bytes of its readable files in the store, where its folder's custody asks for that."""
    if prepared.folder.custody is not Custody.KEEP:
        return prepared
    files = tuple(
        _kept(prepared, file, store, tenant) if file.state in (FileState.READ, FileState.UNREAD) else file
        for file in prepared.files
    )
    return dataclasses.replace(prepared, files=files)


def _kept(prepared: Prepared, file: PreparedFile, store: BlobStore, tenant: str) -> PreparedFile:
    assert file.asset is not None
    opened = open_inside(prepared.folder.path, file.path)
    if isinstance(opened, NotOpened):
        return dataclasses.replace(file, state=opened.state, reason=opened.reason, detail=opened.detail)
    with os.fdopen(opened.descriptor, "rb") as stream:
        try:
            # By its hash: what is stored is what was read, or nothing (INV-1).
            stored = store.put_open_file(tenant, stream, sha256=file.asset.sha256)
        except Conflict:
            return dataclasses.replace(
                file, state=FileState.WAITING, reason=Reason.CHANGING, detail="changed while it was copied"
            )
        except TooLarge as error:
            return refuse(file, Reason.TOO_LARGE, error.detail)
        except OSError as error:
            _log.warning("cannot keep %s: %s", file.shown, error.strerror)
            return refuse(file, Reason.UNREADABLE, f"could not be copied into the store: {error.strerror}")
    return dataclasses.replace(file, stored=stored)
