"""Files that could not be read: kept with their reason, tried again ever more rarely, resolved when readable or gone."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import PersonId, ProjectId, QuarantineId, WatchRootId, new_id
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size
from memoryd.ingest import queries
from memoryd.ingest.facts import Custody, Folder, PreparedFile, QuarantinedFile

FIRST_RETRY_AFTER = datetime.timedelta(minutes=1)
RETRY_AT_MOST_AFTER = datetime.timedelta(days=1)
TRIES_LIMIT = 12
"""Tries by itself (about three days with the doubling waits); after that a person, or a change of the file, must ask."""

Place = tuple[WatchRootId | None, bytes]
"""Where a file lies: its root and the path below it; without a root, the absolute path."""


class QuarantineNotFound(NotFound):
    """There is no such file in quarantine."""


def next_try(tries: int, now: datetime.datetime) -> datetime.datetime | None:
    """Return when to try again after `tries` failures, doubling from FIRST_RETRY_AFTER; None after TRIES_LIMIT."""
    if tries >= TRIES_LIMIT:
        return None
    doubled: datetime.timedelta = FIRST_RETRY_AFTER * (1 << (tries - 1))
    return now + min(doubled, RETRY_AT_MOST_AFTER)


def put(session: Session, folder: Folder, files: Sequence[PreparedFile], now: datetime.datetime) -> int:
    """Put refused files into quarantine (INV-8), each with its reason; return how many."""
    refused = {place_of(file): file for file in files if file.reason is not None}
    tried = queries.list_tries(session, list(refused))
    rows: list[dict[str, Any]] = []
    for place, file in refused.items():
        assert file.reason is not None
        where = file.location
        whose = folder.for_path(place[1])
        rows.append(
            {
                "id": new_id(),
                "watch_root_id": place[0],
                "path": place[1],
                "shown": file.shown,
                "size": where.size if where else None,
                "mtime_ns": where.mtime_ns if where else None,
                "sha256": file.asset.sha256 if file.asset else None,
                "reason": file.reason.value,
                "detail": file.detail,
                "next_try_at": next_try(tried.get(place, 0) + 1, now),
                "project_id": whose.project_id,
                "person_id": whose.person_id,
                "custody": folder.custody.value,
            }
        )
    queries.upsert_quarantine(session, rows)
    return len(rows)


def place_of(file: PreparedFile) -> Place:
    """Return where a prepared file lies."""
    return file.root_id, file.place


def resolve(session: Session, places: Sequence[Place], *, resolution: str, now: datetime.datetime) -> int:
    """Take what became readable (`recorded`) or went away (`gone`) out of quarantine; return how many."""
    done = 0
    for start in range(0, len(places), queries.PLACES_AT_ONCE):
        some = places[start : start + queries.PLACES_AT_ONCE]
        done += queries.resolve_quarantine(session, some, resolution=resolution, now=now)
    return done


def left_alone(
    session: Session, root_id: WatchRootId, now: datetime.datetime
) -> dict[bytes, tuple[int | None, int | None]]:
    """Return the files of a root that a rescan need not try yet: path to (size, mtime_ns) as they were last tried."""
    return {row.path: (row.size, row.mtime_ns) for row in queries.list_waiting_in_quarantine(session, root_id, now)}


def list_quarantine(
    session: Session,
    *,
    sees: Sees = None,
    cursor: str | None = None,
    limit: int | None = None,
    resolved: bool = False,
) -> Page[QuarantinedFile]:
    """Return a page of the quarantined files a caller sees, newest first; with `resolved`, those that left it as well.

    Raises: BadCursor; BadPageSize.
    """
    size, before = page_size(limit), decode_id(cursor)
    rows = [
        _fact(row)
        for row in queries.list_quarantine(session, sees=sees, before=before, resolved=resolved, limit=size + 1)
    ]
    more = len(rows) > size
    return Page(rows=rows[:size], next_cursor=encode_cursor(str(rows[size - 1].id)) if more else None)


def list_due(session: Session, now: datetime.datetime, limit: int) -> list[QuarantinedFile]:
    """Return files whose next try is due, longest due first."""
    return [_fact(row) for row in queries.list_due(session, now, limit)]


def find(session: Session, quarantine_id: UUID) -> QuarantinedFile:
    """Return one quarantined file. Raises: QuarantineNotFound."""
    row = queries.find_quarantine(session, quarantine_id)
    if row is None:
        raise QuarantineNotFound(str(quarantine_id), hint="`memoryd quarantine list` shows what is there")
    return _fact(row)


def make_due(session: Session, quarantine_id: UUID, now: datetime.datetime) -> QuarantinedFile:
    """Let the next pass of the watcher try this file again; return it. Raises: QuarantineNotFound."""
    queries.update_next_try(session, quarantine_id, now)
    return find(session, quarantine_id)


def _fact(row: Any) -> QuarantinedFile:
    return QuarantinedFile(
        id=QuarantineId(row.id),
        root_id=None if row.watch_root_id is None else WatchRootId(row.watch_root_id),
        place=row.path,
        path=row.shown,
        size=row.size,
        mtime_ns=row.mtime_ns,
        sha256=row.sha256,
        reason=row.reason,
        detail=row.detail,
        tries=row.tries,
        first_seen_at=row.first_seen_at,
        next_try_at=row.next_try_at,
        resolved_at=row.resolved_at,
        project_id=None if row.project_id is None else ProjectId(row.project_id),
        person_id=None if row.person_id is None else PersonId(row.person_id),
        custody=Custody(row.custody),
    )
