"""Weights in the store: found, listed, used, and gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO

from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size
from memoryd.foundation.texts import storable
from memoryd.model_registry.keeping import queries
from memoryd.model_registry.keeping.facts import ModelCopy
from memoryd.model_registry.naming import SAME_FOLDERS
from memoryd.storage.blob_store import BlobMissing, BlobStore, blob_store

TOUCH_EACH_S = 60.0
"""How exactly it is known when a copy was last used: a model that a farm fetches is asked for in many parts."""


MODELS = ".models"
"""The folder of the blobs' home in which models lie, per tenant as blobs do: what leaves here is nobody's picture."""


class NotStored(NotFound):
    """The model store does not have these weights."""


def model_store(store: ByteStore) -> BlobStore:
    """Return where the bytes of models lie, apart from the blobs that a record refers to. Raises: TypeError."""
    return BlobStore(blob_store(store).home / MODELS)


def find_copy(session: Session, sha256: bytes) -> ModelCopy:
    """Return a copy. Raises: NotStored."""
    found = find_copies(session, [sha256]).get(sha256)
    if found is None:
        raise NotStored(f"SHA-256 {sha256.hex()}", hint="`memoryd models push FILE` brings it")
    return found


def open_copy(store: ByteStore, tenant: str, sha256: bytes) -> BinaryIO:
    """Return a listed copy's bytes, open, not checked: whoever takes them checks the hash. Raises: NotStored."""
    try:
        return model_store(store).open(tenant, sha256)
    except BlobMissing:
        # No backup has them, so that what a restored list names may be gone.
        raise NotStored(
            f"the bytes of SHA-256 {sha256.hex()} are gone", hint="`memoryd models push FILE` brings them again"
        ) from None


def find_copies(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, ModelCopy]:
    """Return those of these weights that lie in the store, by hash."""
    wanted = sorted(set(sha256s))
    return {copy.sha256: copy for copy in map(_copy, queries.find_copies(session, wanted))} if wanted else {}


def list_copies(session: Session, *, cursor: str | None = None, limit: int | None = None) -> Page[ModelCopy]:
    """Return what lies in the store, by hash. Raises: BadCursor, BadPageSize."""
    size = page_size(limit)
    rows = queries.list_copies(session, after=None if cursor is None else _place(cursor), limit=size + 1)
    shown = [_copy(row) for row in rows[:size]]
    return Page(rows=shown, next_cursor=encode_cursor(shown[-1].sha256.hex()) if len(rows) > size else None)


def sum_sizes(session: Session) -> tuple[int, int]:
    """Return how many copies there are, and their bytes."""
    return queries.sum_sizes(session)


def copies_named(session: Session, uses: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Return the SHA-256 of each (folder, name) under which exactly one content lies in the store.

    Names are as a graph writes them, with separators of any system; older names of folders count as the newer ones.
    """
    spelled = {use: [(folder, _slashed(use[1])) for folder in folders_like(use[0])] for use in uses}
    every = sorted({one for some in spelled.values() for one in some})
    if not every:
        return {}
    found: dict[tuple[str, str], set[bytes]] = {}
    for row in queries.find_named(session, every):
        found.setdefault((row.folder, row.name), set()).add(bytes(row.sha256))
    answers = {}
    for use, some in spelled.items():
        contents = set().union(*(found.get(one, set()) for one in some))
        if len(contents) == 1:
            answers[use] = contents.pop()
    return answers


def folders_like(folder: str) -> frozenset[str]:
    """Return the names, old and new, of a models folder."""
    clean = storable(folder)[0]
    return next((group for group in SAME_FOLDERS if clean in group), frozenset({clean}))


def lock_store(session: Session) -> None:
    """Let nobody else add a copy or make room in this tenant until this transaction ends."""
    queries.lock_store(session)


def list_oldest(session: Session, *, skip: int, limit: int) -> list[tuple[bytes, int]]:
    """Return (SHA-256, bytes) of copies, those used longest ago first; nobody else drops them until the end."""
    return [(bytes(row.sha256), row.size) for row in queries.list_oldest(session, skip=skip, limit=limit)]


def touch(session: Session, sha256s: Sequence[bytes]) -> None:
    """Note that copies were used now."""
    if sha256s:
        queries.touch(session, sorted(set(sha256s)), each_s=TOUCH_EACH_S)


def _slashed(name: str) -> str:
    return storable(name)[0].replace("\\", "/")


def _place(cursor: str) -> bytes:
    (key,) = decode_cursor(cursor, 1)
    try:
        return bytes.fromhex(str(key))
    except ValueError:
        raise BadCursor("the cursor cannot be read", hint="start again without a cursor") from None


def _copy(row: queries.Found) -> ModelCopy:
    return ModelCopy(
        sha256=bytes(row.sha256),
        size=row.size,
        folder=row.folder,
        name=row.name,
        pushed_by=row.pushed_by,
        pushed_at=row.pushed_at,
        last_used_at=row.last_used_at,
        uses=row.uses,
    )
