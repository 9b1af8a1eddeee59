"""Out of sight: rejected and hidden lines, per project, and taken back at any time.

What is removed stays recorded and searchable (`is:rejected`, `is:hidden`, `is:trashed`); it only no longer shows by itself.
Another project that owns the same bytes sees nothing of it (INV-6). Files are moved only by `trashing`.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Collection, Sequence
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.catalog.annotations import BadAnnotation, ProjectUnclear
from memoryd.catalog.asset_view import Face
from memoryd.catalog.declaring import project_of, remark, root_of
from memoryd.catalog.marks import refresh_marks
from memoryd.catalog.queries import removal as queries
from memoryd.catalog.queries import showing
from memoryd.events.outbox import announce
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import AssetId, ProjectId, parse_id
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size

ASSETS_LIMIT = 500
"""Pictures of one call."""


class RemovalKind(enum.StrEnum):
    """How far out of sight."""

    REJECTED = "rejected"
    """Sorted out."""
    HIDDEN = "hidden"
    """Kept, and not shown."""
    TRASHED = "trashed"
    """Its files are in their roots' trash."""


class NotRemoved(NotFound):
    """This picture is not removed in that project."""


class InTrash(Conflict):
    """This picture's files are in the trash."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RemovedLine:
    """A line that a project removed; before `until` nothing of it is made final."""

    face: Face
    project: str
    kind: RemovalKind
    reason: str | None
    by: str | None
    at: datetime.datetime
    until: datetime.datetime


def remove(
    session: Session,
    caller: Caller,
    assets: Sequence[AssetId],
    kind: RemovalKind,
    *,
    days: int,
    reason: str | None = None,
    project: str | None = None,
) -> list[AssetId]:
    """Take pictures out of a project's sight, at most ASSETS_LIMIT; return those for which that changed something.

    `kind` is REJECTED or HIDDEN here. Raises: AssetNotFound, ProjectUnclear, BadAnnotation, InTrash.
    """
    if not 1 <= len(assets) <= ASSETS_LIMIT:
        raise BadAnnotation(f"{len(assets)} pictures", hint=f"1 to {ASSETS_LIMIT} at once")
    changed = []
    for asset in assets:
        root, owner = place(session, caller, asset, project)
        before = queries.find_removal(session, root, owner)
        if before is not None and before.kind == RemovalKind.TRASHED:
            raise InTrash(f"asset {asset}", hint="`memoryd bring-back` first")
        if note_removal(session, caller, asset, root, owner, kind, days=days, reason=reason):
            changed.append(asset)
    return changed


def note_removal(
    session: Session,
    caller: Caller,
    asset: AssetId,
    root: UUID,
    owner: ProjectId,
    kind: RemovalKind,
    *,
    days: int,
    reason: str | None,
) -> bool:
    """Record that a line is out of a project's sight; return whether that is new. Raises: BadAnnotation."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    if not queries.write_removal(session, root, owner, kind.value, remark(reason), caller.person_id, until):
        return False
    tell(session, caller, f"asset.{kind.value}", asset, root, owner, {"until": until.isoformat()})
    return True


def take_back(
    session: Session, caller: Caller, asset: AssetId, project: str | None = None
) -> tuple[UUID, ProjectId, RemovalKind]:
    """Bring a rejected or hidden picture back into sight; return its line, project and what it was.

    A trashed one is only found: its files come first. Raises: AssetNotFound, ProjectUnclear, NotRemoved.
    """
    root, owner = place(session, caller, asset, project)
    found = queries.find_removal(session, root, owner)
    if found is None:
        raise NotRemoved(f"asset {asset}", hint="`memoryd trash list` and `memoryd search is:hidden` show what is")
    kind = RemovalKind(found.kind)
    if kind is not RemovalKind.TRASHED:
        queries.delete_removal(session, root, owner)
        tell(session, caller, "asset.restore", asset, root, owner, {"was": kind.value})
    return root, owner, kind


def standing(session: Session, root: UUID, projects: Collection[ProjectId]) -> dict[ProjectId, RemovalKind]:
    """Return how each of these projects removed a line; one that shows it is not there."""
    return {ProjectId(project): RemovalKind(kind) for project, kind in queries.list_standing(session, root, projects)}


def list_removed(
    session: Session, sees: Sees, kind: RemovalKind | None = None, cursor: str | None = None, limit: int | None = None
) -> Page[RemovedLine]:
    """Return what projects that the caller sees removed, newest first. Raises: BadCursor, BadPageSize."""
    size = page_size(limit)
    before = None if cursor is None else _place(cursor)
    rows = queries.list_removals(session, sees, None if kind is None else kind.value, before, size + 1)
    faces = showing.list_faces(session, {row.Removal.root_id for row in rows}, sees)
    shown = [
        RemovedLine(
            face=faces[row.Removal.root_id],
            project=row.slug,
            kind=RemovalKind(row.Removal.kind),
            reason=row.Removal.reason,
            by=row.by,
            at=row.Removal.at,
            until=row.Removal.until,
        )
        for row in rows[:size]
        if row.Removal.root_id in faces
    ]
    last = rows[size - 1].Removal if len(rows) > size else None
    return Page(rows=shown, next_cursor=encode_cursor(last.at.isoformat(), str(last.root_id)) if last else None)


def place(session: Session, caller: Caller, asset: AssetId, project: str | None) -> tuple[UUID, ProjectId]:
    """Return the line and project that a removal is about. Raises: AssetNotFound, ProjectUnclear."""
    root = root_of(session, asset, caller.sees)
    owner = project_of(session, caller, root, project)
    if owner is None:
        hint = "give it to one first: `memoryd attribute ASSET --project NAME`"
        raise ProjectUnclear("it belongs to no project", hint=hint)
    return root, owner


def tell(
    session: Session,
    caller: Caller,
    action: str,
    asset: AssetId,
    root: UUID,
    project: ProjectId,
    facts: dict[str, Json],
) -> None:
    """Make the line's marks anew, audit and announce."""
    refresh_marks(session, [root])
    about: dict[str, Json] = {**facts, "root_id": str(root), "project_id": str(project)}
    audit.note(session, caller, action, str(asset), about)
    announce(session, action, asset, about)


def _place(cursor: str) -> tuple[datetime.datetime, UUID]:
    spelled, root = decode_cursor(cursor, 2)
    id_ = parse_id(root) if isinstance(root, str) else None
    try:
        at = datetime.datetime.fromisoformat(spelled) if isinstance(spelled, str) else None
    except ValueError:
        at = None
    if at is None or id_ is None:
        raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
    return at, id_
