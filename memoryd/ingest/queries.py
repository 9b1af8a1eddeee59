"""Every statement of this room."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.foundation.ids import WatchRootId
from memoryd.ingest.tables import Quarantine

PLACES_AT_ONCE = 1_000
"""Places named in one statement."""


def upsert_quarantine(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put files into quarantine; one that is there already counts one more try and takes the newer reason."""
    if not rows:
        return
    # Ordered by the unique key: two recorders with the same two files would deadlock otherwise.
    ordered = sorted(rows, key=lambda row: (str(row["watch_root_id"]), row["path"]))
    statement = insert(Quarantine)
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Quarantine.watch_root_id, func.sha256(Quarantine.path)],
            index_where=Quarantine.resolved_at.is_(None),
            set_={
                "shown": new.shown,
                "size": new.size,
                "mtime_ns": new.mtime_ns,
                "sha256": new.sha256,
                "reason": new.reason,
                "detail": new.detail,
                "tries": Quarantine.tries + 1,
                "next_try_at": new.next_try_at,
            },
        ),
        [dict(row) for row in ordered],
    )


def list_tries(session: Session, places: Sequence[tuple[WatchRootId | None, bytes]]) -> dict[tuple[Any, bytes], int]:
    """Return how often each of these places was tried, for those that are in quarantine."""
    tries: dict[tuple[Any, bytes], int] = {}
    for row in session.execute(_open_at(places, Quarantine.watch_root_id, Quarantine.path, Quarantine.tries)):
        tries[row.watch_root_id, row.path] = row.tries
    return tries


def resolve_quarantine(
    session: Session, places: Sequence[tuple[WatchRootId | None, bytes]], *, resolution: str, now: datetime.datetime
) -> int:
    """Close what is open at these places; return how many rows that was."""
    open_ids = session.scalars(_open_at(places, Quarantine.id).order_by(Quarantine.id).with_for_update()).all()
    if open_ids:
        session.execute(
            update(Quarantine)
            .where(Quarantine.id.in_(open_ids))
            .values(resolved_at=now, resolution=resolution, next_try_at=None)
        )
    return len(open_ids)


def _open_at(places: Sequence[tuple[WatchRootId | None, bytes]], *columns: Any) -> Any:
    rooted = [(root_id, path) for root_id, path in places if root_id is not None]
    rootless = [path for root_id, path in places if root_id is None]
    here = tuple_(Quarantine.watch_root_id, Quarantine.path).in_(rooted) if rooted else None
    nowhere = and_(Quarantine.watch_root_id.is_(None), Quarantine.path.in_(rootless)) if rootless else None
    if here is not None and nowhere is not None:
        place = here | nowhere
    elif here is not None:
        place = here
    else:
        place = nowhere if nowhere is not None else Quarantine.path.in_([])
    return select(*columns).where(Quarantine.resolved_at.is_(None), place)


def list_waiting_in_quarantine(session: Session, root_id: WatchRootId, now: datetime.datetime) -> list[Any]:
    """Return (path, size, mtime_ns) of a root's open rows whose next try is not due: such a file is left alone."""
    return list(
        session.execute(
            select(Quarantine.path, Quarantine.size, Quarantine.mtime_ns).where(
                Quarantine.watch_root_id == root_id,
                Quarantine.resolved_at.is_(None),
                (Quarantine.next_try_at.is_(None)) | (Quarantine.next_try_at > now),
            )
        )
    )


def list_open_paths(session: Session, root_id: WatchRootId) -> list[bytes]:
    """Return the paths of a root's open rows."""
    return list(
        session.scalars(
            select(Quarantine.path).where(Quarantine.watch_root_id == root_id, Quarantine.resolved_at.is_(None))
        )
    )


def list_quarantine(session: Session, *, before: UUID | None, resolved: bool, limit: int) -> list[Any]:
    """Return rows, newest first, after the row named by `before`."""
    statement = select(Quarantine.__table__).order_by(Quarantine.id.desc()).limit(limit)
    if not resolved:
        statement = statement.where(Quarantine.resolved_at.is_(None))
    if before is not None:
        statement = statement.where(Quarantine.id < before)
    return list(session.execute(statement))


def find_quarantine(session: Session, quarantine_id: UUID) -> Any | None:
    """Return one row, open or resolved."""
    return session.execute(select(Quarantine.__table__).where(Quarantine.id == quarantine_id)).one_or_none()


def update_next_try(session: Session, quarantine_id: UUID, now: datetime.datetime) -> None:
    """Make an open row due now."""
    session.execute(
        update(Quarantine)
        .where(Quarantine.id == quarantine_id, Quarantine.resolved_at.is_(None))
        .values(next_try_at=now)
    )
