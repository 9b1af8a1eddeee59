"""Emptying the trash: what has lain in it for long enough is deleted.

Bytes in the store go only when nothing holds them any more; the record stays.
"""

from __future__ import annotations

import dataclasses
import datetime
import socket
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog import holding, trash_folder
from memoryd.catalog.annotations import BadAnnotation
from memoryd.catalog.holding import Holders
from memoryd.catalog.queries import removal as queries
from memoryd.catalog.trash_folder import CannotMove
from memoryd.catalog.trashing import EMPTIED, FILES_LIMIT, TRASHED, LeftFile, Move, move_of, settle
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Conflict
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import mark_blob
from memoryd.storage.facts import BlobState

AT_ONCE = 200
"""Files of one unit of work: approvals wait for it."""
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
    held: tuple[Holders, ...] = ()
    """What stays because it is the last copy of what approved pictures need."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """Who empties, and with which reason holds are let go (None: they are not)."""

    caller: Caller
    store: BlobStore
    release: str | None

    @property
    def tenant(self) -> str:
        """Whose bytes."""
        return self.caller.tenant.slug


@dataclasses.dataclass(slots=True)
class _Tally:
    """What went so far, and what stays and why."""

    count: int = 0
    size: int = 0
    left: list[LeftFile] = dataclasses.field(default_factory=list)
    held: list[Holders] = dataclasses.field(default_factory=list)


def empty(
    database: Database,
    store: BlobStore,
    caller: Caller,
    *,
    older_than_days: int,
    days: int,
    release: str | None = None,
) -> Emptied:
    """Delete for ever what has lain in the trash of this machine's roots for longer than `older_than_days`.

    `days` is the setting below which nothing is deleted. Bytes in the store go where nothing holds them any more. The last
    copy of what approved pictures need stays, unless `release` is the reason why it may go.
    Raises: TooEarly; ReasonMissing, NotYoursToRelease.
    """
    if older_than_days < days:
        raise TooEarly(
            f"files stay for {days} days", hint=f"--older-than {days} or more; MEMORYD_REMOVAL_DAYS sets how long"
        )
    settle(database, caller)
    now = datetime.datetime.now(datetime.UTC)
    past = now - datetime.timedelta(days=older_than_days)
    # A hold is let go by whoever may: nothing is deleted before that is known.
    wish = _Wish(caller=caller, store=store, release=release)
    emptied, erased = _Tally(), _Tally()
    after: UUID | None = None
    while True:
        if release is not None:
            with database.tenant_work(caller.tenant) as session:
                rows = queries.list_trashed(session, states=[TRASHED], until=now, at=past, after=after, limit=AT_ONCE)
                _let_go(session, wish, _last_copies(session, wish, [move_of(row) for row in rows if _is_here(row)]))
        with database.tenant_work(caller.tenant) as session:
            rows = queries.list_trashed(session, states=[TRASHED], until=now, at=past, after=after, limit=AT_ONCE)
            if not rows:
                break
            _empty_some(session, wish, [move_of(row) for row in rows if _is_here(row)], emptied)
        after = rows[-1].TrashedFile.id
    place: bytes | None = b""
    while place is not None:
        if release is not None:
            with database.tenant_work(caller.tenant) as session:
                _let_go(session, wish, _contents(_erasable(session, now, past, place)))
        with database.tenant_work(caller.tenant) as session:
            place = _purge(session, wish, now, past, place, erased)
    return Emptied(
        files=emptied.count,
        size=emptied.size,
        erased=erased.count,
        left=tuple(emptied.left),
        held=tuple({each.sha256: each for each in (*emptied.held, *erased.held)}.values()),
    )


def _is_here(row: queries.AnyRow) -> bool:
    return bool(row.WatchRoot.host == socket.gethostname())


def _empty_some(session: Session, wish: _Wish, moves: Sequence[Move], tally: _Tally) -> None:
    """Delete files in the trash, but no last copy that approved pictures hold. Approvals wait until this commits."""
    holding.begin_removing(session)
    held = _held(session, wish, _last_copies(session, wish, moves))
    tally.held += {each.sha256: each for each in held.values()}.values()
    gone: list[Move] = []
    for move in moves:
        if move.asset in held:
            tally.left.append(LeftFile(path=move.shown, why=held[move.asset].told))
            continue
        try:
            # Of a folder that is not mounted nothing is known: what cannot be seen is not gone (INV-8).
            if not trash_folder.is_there(move.root):
                raise CannotMove("its folder cannot be reached")
            trash_folder.empty(move.root, move.trash_path)
            gone.append(move)
        except CannotMove as error:
            tally.left.append(LeftFile(path=move.shown, why=str(error)))
    queries.change_trashed(session, [move.id for move in gone], EMPTIED, ended=True)
    size = sum(move.size for move in gone)
    if gone:
        audit.note(session, wish.caller, "trash.empty", "trash", {"files": len(gone), "bytes": size})
    tally.count += len(gone)
    tally.size += size


def _last_copies(session: Session, wish: _Wish, moves: Sequence[Move]) -> dict[UUID, bytes]:
    return holding.last_copies(session, wish.store, wish.tenant, [move.asset for move in moves])


def _let_go(session: Session, wish: _Wish, last: Mapping[UUID, bytes]) -> None:
    """Let go of those of these last copies that are held: decided and committed before anything of it is deleted."""
    held = holding.holders_of(session, last.values())
    if held and wish.release is not None:
        holding.release(session, wish.caller, list(held), wish.release)


def _held(session: Session, wish: _Wish, last: Mapping[UUID, bytes]) -> dict[UUID, Holders]:
    """Return those of these last copies that stay, with who holds them."""
    holders = holding.holders_of(session, last.values(), wish.caller.sees)
    return {asset: holders[sha256] for asset, sha256 in last.items() if sha256 in holders}


def checked_days(older_than: str) -> int:
    """Return the days that `30d` or `30` spells. Raises: BadAnnotation."""
    digits = older_than.strip().lower().removesuffix("d")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6):
        raise BadAnnotation(f"{older_than[:40]!r}", hint="days, such as 30d")
    return int(digits)


def _purge(
    session: Session, wish: _Wish, now: datetime.datetime, past: datetime.datetime, after: bytes, tally: _Tally
) -> bytes | None:
    """Remove the bytes of trashed assets that nothing holds; return after which SHA-256 to go on, None at the end.

    They are locked until this commits.
    """
    holding.begin_removing(session)
    found = _erasable(session, now, past, after)
    held = _held(session, wish, _contents(found))
    tally.held += held.values()
    rows = [row for row in found if row.id not in held]
    if rows:
        thumbnails = queries.erase(session, [row.id for row in rows])
        kept = holding.holders_of(session, thumbnails)
        digests = [bytes(row.sha256) for row in rows if row.kept is not None]
        _remove(session, wish, digests + [sha256 for sha256 in thumbnails if sha256 not in kept])
        told: list[Json] = [row.sha256.hex() for row in rows]
        audit.note(session, wish.caller, "asset.erase", "trash", {"assets": len(rows), "sha256": told})
        tally.count += len(rows)
    return bytes(found[-1].sha256) if len(found) == FILES_LIMIT else None


def _erasable(
    session: Session, now: datetime.datetime, past: datetime.datetime, after: bytes
) -> Sequence[queries.AnyRow]:
    recent = now - datetime.timedelta(seconds=JUST_WRITTEN_S)
    return queries.lock_erasable(session, now, past, recent, FILES_LIMIT, after)


def _contents(rows: Sequence[queries.AnyRow]) -> dict[UUID, bytes]:
    return {row.id: bytes(row.sha256) for row in rows}


def _remove(session: Session, wish: _Wish, digests: Sequence[bytes]) -> None:
    for sha256 in digests:
        mark_blob(session, sha256, BlobState.REMOVED)
        wish.store.remove(wish.tenant, sha256)
