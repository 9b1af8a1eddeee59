"""Every statement about blobs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.storage.facts import BlobRow, BlobState, StoredBlob
from memoryd.storage.tables import Blob


def upsert_blobs(session: Session, blobs: Sequence[StoredBlob], backend: str) -> None:
    """Write or touch rows, in the order given; each hash once."""
    rows = [
        {"sha256": b.sha256, "size": b.size, "backend": backend, "key": b.key, "state": BlobState.PRESENT.value}
        for b in blobs
    ]
    if rows:
        statement = insert(Blob).values(rows)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[Blob.sha256],
                set_={
                    "touched_at": func.clock_timestamp(),
                    "state": statement.excluded.state,
                    "key": statement.excluded.key,
                    "backend": statement.excluded.backend,
                },
            )
        )


def find_blobs(session: Session, sha256s: Sequence[bytes]) -> list[BlobRow]:
    """Return the rows that exist among these hashes, in no order."""
    rows = session.execute(
        select(Blob.sha256, Blob.size, Blob.backend, Blob.key, Blob.state, Blob.touched_at, Blob.held).where(
            Blob.sha256.in_(sha256s)
        )
    )
    return [
        BlobRow(
            sha256=row.sha256,
            size=row.size,
            backend=row.backend,
            key=row.key,
            state=BlobState(row.state),
            touched_at=row.touched_at,
            held=row.held,
        )
        for row in rows
    ]


def update_state(session: Session, sha256: bytes, state: BlobState) -> bool:
    """Set a blob's state and tell whether there is such a row."""
    changed = update(Blob).where(Blob.sha256 == sha256).values(state=state.value).returning(Blob.sha256)
    return session.execute(changed).first() is not None


def update_held(session: Session, sha256s: Sequence[bytes], held: bool) -> int:
    """Hold or release blobs and return how many rows there were."""
    changed = update(Blob).where(Blob.sha256.in_(sha256s)).values(held=held).returning(Blob.sha256)
    return len(session.execute(changed).all())
