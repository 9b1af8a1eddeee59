"""Emptying the trash: what has lain in it for long enough is deleted.

Bytes in the store go only when nothing holds them any more; the record stays.
"""

from __future__ import annotations

import dataclasses
import datetime
import socket
from collections.abc import Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog import trash_folder
from memoryd.catalog.annotations import BadAnnotation
from memoryd.catalog.queries import removal as queries
from memoryd.catalog.trash_folder import CannotMove
from memoryd.catalog.trashing import EMPTIED, FILES_LIMIT, TRASHED, LeftFile, Move, move_of, settle
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Conflict
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import mark_blob
from memoryd.storage.facts import BlobState

JUST_WRITTEN_S = 3_600
"""A blob that was written or referred to so lately may be somebody's who has not recorded it yet: it stays."""


class TooEarly(Conflict):
    """Files stay in the trash for longer."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """What emptying did: files deleted, their bytes, pictures whose last bytes went, and what stays and why."""

    files: int
    size: int
    erased: int
    left: tuple[LeftFile, ...] = ()


def empty(database: Database, store: BlobStore, caller: Caller, *, older_than_days: int, days: int) -> Emptied:
    """Delete for ever what has lain in the trash of this machine's roots for longer than `older_than_days`.

    `days` is the setting below which nothing is deleted. Bytes in the store go where nothing holds them any more.
    Raises: TooEarly.
    """
    if older_than_days < days:
        raise TooEarly(
            f"files stay for {days} days", hint=f"--older-than {days} or more; MEMORYD_REMOVAL_DAYS sets how long"
        )
    settle(database, caller)
    now = datetime.datetime.now(datetime.UTC)
    past = now - datetime.timedelta(days=older_than_days)
    files = size = erased = 0
    left: list[LeftFile] = []
    after: UUID | None = None
    while True:
        with database.tenant_work(caller.tenant) as session:
            rows = queries.list_trashed(session, states=[TRASHED], until=now, at=past, after=after, limit=FILES_LIMIT)
            moves = [move_of(row) for row in rows if row.WatchRoot.host == socket.gethostname()]
        if not rows:
            break
        after = rows[-1].TrashedFile.id
        gone: list[Move] = []
        for move in moves:
            try:
                # Of a folder that is not mounted nothing is known: what cannot be seen is not gone (INV-8).
                if not trash_folder.is_there(move.root):
                    raise CannotMove("its folder cannot be reached")
                trash_folder.empty(move.root, move.trash_path)
                gone.append(move)
            except CannotMove as error:
                left.append(LeftFile(path=move.shown, why=str(error)))
        with database.tenant_work(caller.tenant) as session:
            queries.change_trashed(session, [move.id for move in gone], EMPTIED, ended=True)
            if gone:
                told: dict[str, Json] = {"files": len(gone), "bytes": sum(move.size for move in gone)}
                audit.note(session, caller, "trash.empty", "trash", told)
        files += len(gone)
        size += sum(move.size for move in gone)
    while True:
        with database.tenant_work(caller.tenant) as session:
            went = _purge(session, store, caller, now, past)
        erased += went
        if went < FILES_LIMIT:
            break
    return Emptied(files=files, size=size, erased=erased, left=tuple(left))


def checked_days(older_than: str) -> int:
    """Return the days that `30d` or `30` spells. Raises: BadAnnotation."""
    digits = older_than.strip().lower().removesuffix("d")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6):
        raise BadAnnotation(f"{older_than[:40]!r}", hint="days, such as 30d")
    return int(digits)


def _purge(session: Session, store: BlobStore, caller: Caller, now: datetime.datetime, past: datetime.datetime) -> int:
    """Remove the bytes of trashed assets that nothing holds; return how many. They are locked until this commits."""
    rows = queries.lock_erasable(session, now, past, now - datetime.timedelta(seconds=JUST_WRITTEN_S), FILES_LIMIT)
    if not rows:
        return 0
    thumbnails = queries.erase(session, [row.id for row in rows])
    _remove(session, store, caller, [row.sha256 for row in rows if row.kept is not None] + thumbnails)
    digests: list[Json] = [row.sha256.hex() for row in rows]
    audit.note(session, caller, "asset.erase", "trash", {"assets": len(rows), "sha256": digests})
    return len(rows)


def _remove(session: Session, store: BlobStore, caller: Caller, digests: Sequence[bytes]) -> None:
    for sha256 in digests:
        mark_blob(session, sha256, BlobState.REMOVED)
        store.remove(caller.tenant.slug, sha256)
