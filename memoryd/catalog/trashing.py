"""Files into the trash of roots where somebody switched it on, and back out of it.

What is about to be moved is committed before, and how it went after: whatever dies between the two, `settle` finds out
where each file lies (INV-8).
"""

from __future__ import annotations

import dataclasses
import datetime
import socket
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.catalog import removal, trash_folder
from memoryd.catalog.column_limits import shown
from memoryd.catalog.facts import RootState
from memoryd.catalog.queries import removal as queries
from memoryd.catalog.removal import RemovalKind
from memoryd.catalog.roots import find_root
from memoryd.catalog.tables.places import WatchRoot
from memoryd.catalog.trash_folder import CannotMove
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import AssetId, ProjectId, WatchRootId, new_id
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size

FILES_LIMIT = 1_000
"""Files of one picture that are moved, and of one step of emptying."""

MOVING, TRASHED, RETURNING, RESTORED, EMPTIED = "moving", "trashed", "returning", "restored", "emptied"


class TrashOff(Conflict):
    """No file of this picture may be moved."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeftFile:
    """A file that stays where it is, and why."""

    path: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of one picture's files. `kind`: what it was (restoring), or is."""

    asset_id: AssetId
    kind: RemovalKind
    files: int
    left: tuple[LeftFile, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrashedView:
    """A file in a trash; `path` is where it was, `until` the instant before which it is not deleted."""

    id: UUID
    asset_id: AssetId
    project: str
    path: str
    size: int
    at: datetime.datetime
    until: datetime.datetime
    trouble: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A file between its place and the trash. `path` and `trash_path` are relative to `root`."""

    id: UUID
    location: UUID
    asset: UUID
    root: bytes
    path: bytes
    trash_path: bytes
    size: int
    mtime_ns: int = 0

    @property
    def shown(self) -> str:
        """Its place, as people read it."""
        return shown(self.root.rstrip(b"/") + b"/" + self.path)


def switch(session: Session, caller: Caller, root: str, *, on: bool) -> WatchRootId:
    """Allow, or no longer allow, that a root's files are moved into its trash; return the root. Raises: RootNotFound."""
    found = find_root(session, root)
    queries.set_trash(session, found.id, on)
    audit.note(session, caller, "root.trash", f"root:{found.id}", {"on": on})
    return found.id


def trash(
    database: Database,
    caller: Caller,
    asset: AssetId,
    *,
    days: int,
    reason: str | None = None,
    project: str | None = None,
) -> Moved:
    """Put a picture's files of one project into their roots' trash, and the picture out of sight there.

    Files of roots without a trash, of other machines, or changed since, stay and are told.
    Raises: TrashOff where there are files and none may be moved; as `removal.remove`.
    """
    with database.tenant_work(caller.tenant) as session:
        root, owner = removal.place(session, caller, asset, project)
        moves, left = _plan(session, caller, root, owner, days)
        if left and not moves:
            raise TrashOff(
                f"{left[0].path}: {left[0].why}",
                hint="an administrator allows it with `memoryd trash on FOLDER`; `memoryd hide` needs no moving",
            )
        removal.note_removal(session, caller, asset, root, owner, RemovalKind.TRASHED, days=days, reason=reason)
    done: list[UUID] = []
    failed: list[tuple[UUID, str]] = []
    for move in moves:
        try:
            trash_folder.put(move.root, move.path, move.trash_path, size=move.size, mtime_ns=move.mtime_ns)
            done.append(move.id)
        except CannotMove as error:
            failed.append((move.id, str(error)))
            left.append(LeftFile(path=move.shown, why=str(error)))
    with database.tenant_work(caller.tenant) as session:
        went = [move for move in moves if move.id in done]
        queries.change_trashed(session, done, TRASHED, ended=False)
        queries.miss(session, [move.location for move in went])
        for id_, why in failed:
            queries.note_trouble(session, id_, RESTORED, why, ended=True)
        facts: dict[str, Json] = {
            "files": len(done),
            "left": len(left),
            "bytes": sum(move.size for move in went),
            "project_id": str(owner),
        }
        audit.note(session, caller, "trash.put", str(asset), facts)
    return Moved(asset_id=asset, kind=RemovalKind.TRASHED, files=len(done), left=tuple(left))


def restore(database: Database, caller: Caller, asset: AssetId, project: str | None = None) -> Moved:
    """Bring a picture back into its project's sight, and its files from the trash to where they were.

    A file whose place is taken stays in the trash, is told, and the picture comes back all the same.
    Raises: AssetNotFound, ProjectUnclear, NotRemoved.
    """
    settle(database, caller)
    with database.tenant_work(caller.tenant) as session:
        root, owner, kind = removal.take_back(session, caller, asset, project)
        if kind is not RemovalKind.TRASHED:
            return Moved(asset_id=asset, kind=kind, files=0)
        rows = queries.list_trashed(session, states=[TRASHED], root=root, project=owner, limit=FILES_LIMIT)
        moves = [move_of(row) for row in rows if row.WatchRoot.host == socket.gethostname()]
        queries.change_trashed(session, [move.id for move in moves], RETURNING, ended=False)
    left: list[LeftFile] = []
    back: list[Move] = []
    for move in moves:
        try:
            trash_folder.bring_back(move.root, move.path, move.trash_path)
            back.append(move)
        except CannotMove as error:
            left.append(LeftFile(path=move.shown, why=str(error)))
    with database.tenant_work(caller.tenant) as session:
        queries.change_trashed(session, [move.id for move in back], RESTORED, ended=True)
        for move in moves:
            if move in back:
                queries.find_back(session, move.location, move.asset)
            else:
                why = next(one.why for one in left if one.path == move.shown)
                queries.note_trouble(session, move.id, TRASHED, why, ended=False)
        queries.delete_removal(session, root, owner)
        facts: dict[str, Json] = {"was": kind.value, "files": len(back), "left": len(left)}
        removal.tell(session, caller, "asset.restore", asset, root, owner, facts)
    return Moved(asset_id=asset, kind=kind, files=len(back), left=tuple(left))


def list_trash(session: Session, sees: Sees, cursor: str | None = None, limit: int | None = None) -> Page[TrashedView]:
    """Return files in the trash of projects that the caller sees, oldest first. Raises: BadCursor, BadPageSize."""
    size = page_size(limit)
    rows = queries.list_trashed(
        session,
        sees=sees,
        states=[MOVING, TRASHED, RETURNING],
        after=decode_id(cursor),
        limit=size + 1,
    )
    views = [
        TrashedView(
            id=row.TrashedFile.id,
            asset_id=AssetId(row.TrashedFile.asset_id),
            project=row.slug,
            path=move_of(row).shown,
            size=row.TrashedFile.size,
            at=row.TrashedFile.at,
            until=row.TrashedFile.until,
            trouble=row.TrashedFile.trouble,
        )
        for row in rows[:size]
    ]
    return Page(rows=views, next_cursor=encode_cursor(str(views[-1].id)) if len(rows) > size else None)


def trash_several(
    database: Database,
    caller: Caller,
    assets: Sequence[AssetId],
    *,
    days: int,
    reason: str | None = None,
    project: str | None = None,
) -> list[Moved]:
    """Put several pictures into the trash, as `trash` does; of several, one that may not be moved is told and stays."""
    done = []
    for asset in assets:
        try:
            done.append(trash(database, caller, asset, days=days, reason=reason, project=project))
        except TrashOff as error:
            if len(assets) == 1:
                raise
            path, _, why = error.detail.rpartition(": ")
            done.append(Moved(asset_id=asset, kind=RemovalKind.TRASHED, files=0, left=(LeftFile(path=path, why=why),)))
    return done


def settle(database: Database, caller: Caller) -> int:
    """Find out where files lie whose moving was interrupted; return how many there were."""
    with database.tenant_work(caller.tenant) as session:
        rows = queries.list_trashed(session, states=[MOVING, RETURNING], limit=FILES_LIMIT)
        # What is being moved at this moment is left to who moves it.
        old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
        stuck = [row for row in rows if row.TrashedFile.at < old and row.WatchRoot.host == socket.gethostname()]
        for row in stuck:
            move = move_of(row)
            if not trash_folder.is_there(move.root):
                continue
            if trash_folder.lies_in_trash(move.root, move.trash_path):
                queries.change_trashed(session, [move.id], TRASHED, ended=False)
                queries.miss(session, [move.location])
            else:
                queries.change_trashed(session, [move.id], RESTORED, ended=True)
                if Path(_whole(move)).exists():
                    queries.find_back(session, move.location, move.asset)
    return len(stuck)


def _plan(
    session: Session, caller: Caller, root: UUID, owner: ProjectId, days: int
) -> tuple[list[Move], list[LeftFile]]:
    moves: list[Move] = []
    left: list[LeftFile] = []
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    for row in queries.list_files_of_line(session, root, owner)[:FILES_LIMIT]:
        location, folder = row.Location, row.WatchRoot
        why = _why_not(folder)
        if why is not None:
            base = "" if folder is None else folder.shown_path.rstrip("/") + "/"
            left.append(LeftFile(path=base + location.shown_path, why=why))
            continue
        id_ = new_id()
        move = Move(
            id=id_,
            location=location.id,
            asset=location.asset_id,
            root=folder.path,
            path=location.path,
            trash_path=trash_folder.place_in_trash(id_, location.path),
            size=location.size,
            mtime_ns=location.mtime_ns,
        )
        queries.insert_trashed(
            session,
            id=id_,
            location_id=location.id,
            watch_root_id=folder.id,
            project_id=owner,
            asset_id=location.asset_id,
            root_id=root,
            path=location.path,
            trash_path=move.trash_path,
            size=location.size,
            state=MOVING,
            by_person=caller.person_id,
            until=until,
        )
        moves.append(move)
    return moves, left


def _why_not(folder: object) -> str | None:
    if folder is None:
        return "it lies in no watched folder"
    assert isinstance(folder, WatchRoot)
    if not folder.trash:
        return "its folder's trash is switched off"
    if folder.host != socket.gethostname():
        return f"it lies on {folder.host}"
    if folder.state != RootState.ONLINE or folder.retired_at is not None:
        return "its folder is not online"
    return None


def move_of(row: queries.AnyRow) -> Move:
    """Return what is to be moved of a row of `list_trashed`."""
    file = row.TrashedFile
    return Move(
        id=file.id,
        location=file.location_id,
        asset=file.asset_id,
        root=row.WatchRoot.path,
        path=file.path,
        trash_path=file.trash_path,
        size=file.size,
    )


def _whole(move: Move) -> str:
    return (move.root.rstrip(b"/") + b"/" + move.path).decode("utf-8", "surrogateescape")
