"""An asset's bytes, verified by their hash whichever copy they come from (INV-1)."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import socket
import stat
import time
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

from memoryd.access.facts import Sees
from memoryd.catalog.looking_up import AssetNotFound, check_seen
from memoryd.catalog.queries import removal
from memoryd.catalog.queries import showing as queries
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import AssetId
from memoryd.workflows.spelling import Remembered

IN_MEMORY_LIMIT = 64 * 1024 * 1024
"""Bytes up to which a verified copy is held in memory, so that nobody can rewrite it between check and use."""

CHECKS_REMEMBERED = 256
"""Large files of which it is remembered that their bytes were checked: a film that is sought in is asked for often."""

SETTLED_NS = 2_000_000_000
"""A file changed later than this before its check is not remembered: file systems count time in coarse steps."""

_PART = 1024 * 1024


class ContentMissing(NotFound):
    """No copy of this asset's bytes can be read now."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Where an asset's bytes may be read, found inside a transaction and opened outside of it. `paths` are absolute."""

    asset_id: AssetId
    sha256: bytes
    size: int
    media_type: str
    paths: tuple[bytes, ...]
    last_seen: str | None


def find_copies(session: Session, asset_id: AssetId, sees: Sees = None) -> Copies:
    """Return where an asset's bytes may be read on this machine.

    Raises: AssetNotFound, also for what the caller may not see.
    """
    check_seen(session, asset_id, sees)
    found = queries.find_content(session, asset_id)
    if found is None:
        raise AssetNotFound(f"asset {asset_id}", hint="`memoryd search` finds assets")
    sha256, size, media_type = found
    here = socket.gethostname()
    paths = [
        path if root is None else root.rstrip(b"/") + b"/" + path
        for host, root, path in queries.list_copies_of_content(session, asset_id)
        if host is None or host == here
    ]
    # What lies in a trash is still the asset's.
    paths += [
        root.rstrip(b"/") + b"/" + path
        for host, root, path in removal.list_trashed_copies(session, asset_id)
        if host == here
    ]
    last = queries.find_last_place(session, asset_id)
    return Copies(
        asset_id=asset_id,
        sha256=sha256,
        size=size,
        media_type=media_type,
        paths=tuple(paths),
        last_seen=None if last is None else f"{last[0]}, {last[1]:%Y-%m-%d %H:%M} UTC",
    )


def open_copy(store: ByteStore, tenant: TenantScope, copies: Copies, *, remembered: bool = False) -> BinaryIO:
    """Return an asset's bytes for reading from their start, verified: from the blob store, else from where they lie.

    Reads all bytes once; call it outside of a transaction for large files. With `remembered` a file beyond
    IN_MEMORY_LIMIT is not read again where this process checked it and nobody wrote to it since: for parts of films.
    Raises: ContentMissing.
    """
    for source in _sources(store, tenant, copies):
        if remembered and copies.size > IN_MEMORY_LIMIT and _checked.get(_stand(source)) == copies.sha256:
            return source
        verified = _verified(source, copies)
        if verified is not None:
            return verified
    raise ContentMissing(
        f"asset {copies.asset_id}",
        hint="it is nowhere to be found"
        if copies.last_seen is None
        else f"last seen at {copies.last_seen}; bring the folder back, or ingest another copy",
    )


def open_content(session: Session, store: ByteStore, tenant: TenantScope, asset_id: AssetId) -> BinaryIO:
    """Return an asset's bytes, verified, whatever a caller may see: for rooms above this one.

    Raises: AssetNotFound, ContentMissing.
    """
    return open_copy(store, tenant, find_copies(session, asset_id))


def _sources(store: ByteStore, tenant: TenantScope, copies: Copies) -> Iterator[BinaryIO]:
    if store.exists(tenant.slug, copies.sha256):
        kept: BinaryIO | None = None
        # A blob that cannot be opened leaves the copies in folders; the caller learns of it if there is none.
        with contextlib.suppress(NotFound, OSError):
            kept = store.open(tenant.slug, copies.sha256)
        if kept is not None:
            yield kept
    for path in copies.paths:
        try:
            # Not blocking: somebody may have put a pipe where the picture was.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            yield os.fdopen(descriptor, "rb")
        else:
            os.close(descriptor)


_Stand: TypeAlias = "tuple[int, int, int, int, int]"
_checked: Remembered[_Stand, bytes] = Remembered(CHECKS_REMEMBERED)
"""By where a file lies and when it last changed: the SHA-256 that its bytes were found to have."""


def _stand(source: BinaryIO) -> _Stand:
    # The time of change (ctime) is the kernel's own: whoever writes into a file cannot keep it.
    found = os.fstat(source.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _verified(source: BinaryIO, copies: Copies) -> BinaryIO | None:
    """Return the bytes if they are the asset's, else None; `source` is closed unless it is returned."""
    digest = hashlib.sha256()
    held = io.BytesIO() if copies.size <= IN_MEMORY_LIMIT else None
    began, before = time.time_ns(), None if held is not None else _stand(source)
    size = 0
    try:
        while part := source.read(_PART):
            digest.update(part)
            size += len(part)
            if size > copies.size:
                break
            if held is not None:
                held.write(part)
    except OSError:
        size = -1
    if size != copies.size or digest.digest() != copies.sha256:
        source.close()
        return None
    if held is not None:
        source.close()
        held.seek(0)
        return held
    if before is not None and before == _stand(source) and began - before[-1] > SETTLED_NS:
        _checked.keep(before, copies.sha256)
    source.seek(0)
    return source
