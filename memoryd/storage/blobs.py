"""What the database knows about stored bytes."""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.foundation.database import Session
from memoryd.storage import queries
from memoryd.storage.blob_store import BACKEND
from memoryd.storage.facts import BlobRow, BlobState, StoredBlob

REGISTER_LIMIT = 10_000
"""Rows of one statement: five parameters each stay below Postgres's 65,535."""


def register(session: Session, blobs: Sequence[StoredBlob]) -> None:
    """Record that these bytes lie in the store; those already recorded are touched, so that none is collected."""
    # In the order of their hashes: two writers of the same blobs then wait for each other instead of deadlocking.
    ordered = sorted({blob.sha256: blob for blob in blobs}.values(), key=lambda blob: blob.sha256)
    for first in range(0, len(ordered), REGISTER_LIMIT):
        queries.upsert_blobs(session, ordered[first : first + REGISTER_LIMIT], BACKEND)


def find_blob(session: Session, sha256: bytes) -> BlobRow | None:
    """Return what is known about a blob, None where it was never recorded."""
    return next(iter(queries.find_blobs(session, [sha256])), None)


def find_blobs(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, BlobRow]:
    """Return what is known about several blobs, by hash; unknown ones are left out."""
    return {row.sha256: row for row in queries.find_blobs(session, sha256s)}


def mark_blob(session: Session, sha256: bytes, state: BlobState) -> bool:
    """Record a blob's state (found missing, found damaged) and tell whether it is known at all."""
    return queries.update_state(session, sha256, state)


def hold(session: Session, sha256s: Sequence[bytes], *, held: bool = True) -> int:
    """Keep blobs whatever refers to them, or end that; return how many are known."""
    return queries.update_held(session, sha256s, held)
