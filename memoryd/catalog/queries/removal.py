"""Statements about what projects want out of sight, and about files in their roots' trash."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.access.tables import Person, Project
from memoryd.catalog.facts import LocationState
from memoryd.catalog.queries.listed import BYTES, listed
from memoryd.catalog.tables.content import Asset, AssetProject, Thumbnail
from memoryd.catalog.tables.decided import Removal, TrashedFile
from memoryd.catalog.tables.places import Location, WatchRoot
from memoryd.catalog.tables.runs import GenerationInput, GenerationOutput
from memoryd.foundation.database import Session
from memoryd.storage.tables import Blob

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def write_removal(
    session: Session,
    root: UUID,
    project: UUID,
    kind: str,
    reason: str | None,
    person: UUID | None,
    until: datetime.datetime,
) -> bool:
    """Take a line out of a project's sight; the removal before is replaced. Return whether this changed anything."""
    values = {"kind": kind, "reason": reason, "by_person": person, "until": until}
    given = insert(Removal).values(root_id=root, project_id=project, **values)
    written = given.on_conflict_do_update(
        index_elements=[Removal.root_id, Removal.project_id],
        set_={**values, "at": func.clock_timestamp()},
        where=Removal.kind != kind,
    )
    return session.scalar(written.returning(Removal.root_id)) is not None


def find_removal(session: Session, root: UUID, project: UUID) -> Removal | None:
    """Return a project's removal of a line, locked, or None."""
    return session.scalars(
        select(Removal)
        .where(Removal.root_id == root, Removal.project_id == project)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def list_standing(session: Session, root: UUID, projects: Collection[UUID]) -> list[tuple[UUID, str]]:
    """Return (project, kind) of a line's removals in these projects."""
    rows = session.execute(
        select(Removal.project_id, Removal.kind).where(Removal.root_id == root, Removal.project_id.in_(projects))
    )
    return [(project, kind) for project, kind in rows]


def delete_removal(session: Session, root: UUID, project: UUID) -> None:
    """Take a removal back."""
    session.execute(delete(Removal).where(Removal.root_id == root, Removal.project_id == project))


def list_removals(session: Session, sees: Sees, kind: str | None, before: Any, limit: int) -> list[AnyRow]:
    """Return removals of projects that the caller sees, newest first; `before` is (at, root) of the last one shown."""
    later = (
        true()
        if before is None
        else or_(Removal.at < before[0], and_(Removal.at == before[0], Removal.root_id < before[1]))
    )
    return list(
        session.execute(
            select(Removal, Project.slug, Person.display_name.label("by"))
            .join(Project, Project.id == Removal.project_id)
            .outerjoin(Person, Person.id == Removal.by_person)
            .where(
                true() if sees is None else Removal.project_id.in_(sees),
                true() if kind is None else Removal.kind == kind,
                later,
            )
            .order_by(Removal.at.desc(), Removal.root_id.desc())
            .limit(limit)
            .execution_options(populate_existing=True)
        )
    )


def list_files_of_line(session: Session, root: UUID, project: UUID) -> list[AnyRow]:
    """Return (location, its watch root or None) of a line's files in a project that were seen last, locked."""
    return list(
        session.execute(
            select(Location, WatchRoot)
            .join(Asset, Asset.id == Location.asset_id)
            .outerjoin(WatchRoot, WatchRoot.id == Location.watch_root_id)
            .where(
                Asset.root_id == root,
                Location.project_id == project,
                Location.state == LocationState.RECORDED.value,
            )
            .order_by(Location.id)
            .with_for_update(of=Location)
            .execution_options(populate_existing=True)
        )
    )


def insert_trashed(session: Session, **values: object) -> None:
    """Note that a file is about to be put into its root's trash."""
    session.execute(insert(TrashedFile).values(**values))


def change_trashed(session: Session, ids: Collection[UUID], state: str, *, ended: bool) -> None:
    """Note where files in the trash stand now."""
    ended_at = func.clock_timestamp() if ended else None
    session.execute(
        update(TrashedFile).where(TrashedFile.id.in_(ids)).values(state=state, ended_at=ended_at, trouble=None)
    )


def note_trouble(session: Session, trashed: UUID, state: str, trouble: str, *, ended: bool) -> None:
    """Note why a file is not where it was to be."""
    session.execute(
        update(TrashedFile)
        .where(TrashedFile.id == trashed)
        .values(state=state, trouble=trouble, ended_at=func.clock_timestamp() if ended else None)
    )


def list_trashed(
    session: Session,
    *,
    sees: Sees = None,
    states: Collection[str],
    root: UUID | None = None,
    project: UUID | None = None,
    until: datetime.datetime | None = None,
    at: datetime.datetime | None = None,
    after: UUID | None = None,
    limit: int = 1_000,
) -> list[AnyRow]:
    """Return (file, watch root, slug) of files in the trash, oldest first.

    `until`, `at`: only those whose time to come back, and whose time in the trash began, before these instants.
    """
    conditions: list[ColumnElement[bool]] = [TrashedFile.state.in_(states)]
    if sees is not None:
        conditions.append(TrashedFile.project_id.in_(sees))
    if root is not None:
        conditions.append(TrashedFile.root_id == root)
    if project is not None:
        conditions.append(TrashedFile.project_id == project)
    if until is not None:
        conditions.append(TrashedFile.until <= until)
    if at is not None:
        conditions.append(TrashedFile.at <= at)
    if after is not None:
        conditions.append(TrashedFile.id > after)
    return list(
        session.execute(
            select(TrashedFile, WatchRoot, Project.slug)
            .join(WatchRoot, WatchRoot.id == TrashedFile.watch_root_id)
            .join(Project, Project.id == TrashedFile.project_id)
            .where(*conditions)
            .order_by(TrashedFile.id)
            .limit(limit)
            .execution_options(populate_existing=True)
        )
    )


def list_trashed_copies(session: Session, asset: UUID) -> list[tuple[str, bytes, bytes]]:
    """Return (host, root path, path in it) of copies of an asset that lie in a trash."""
    rows = session.execute(
        select(WatchRoot.host, WatchRoot.path, TrashedFile.trash_path)
        .join(WatchRoot, WatchRoot.id == TrashedFile.watch_root_id)
        .where(TrashedFile.asset_id == asset, TrashedFile.ended_at.is_(None))
    )
    return [(host, root, path) for host, root, path in rows]


def find_back(session: Session, location: UUID, asset: UUID) -> None:
    """Note that a place holds its asset again, unless it has another since."""
    session.execute(
        update(Location)
        .where(Location.id == location, Location.asset_id == asset)
        .values(state=LocationState.RECORDED.value, gone_at=None, last_seen=func.clock_timestamp())
    )


def miss(session: Session, locations: Collection[UUID]) -> None:
    """Note that places no longer hold what they held: it was moved away."""
    session.execute(
        update(Location)
        .where(Location.id.in_(locations))
        .values(state=LocationState.MISSING.value, gone_at=func.clock_timestamp())
    )


def set_trash(session: Session, root: UUID, on: bool) -> None:
    """Switch a root's trash on or off."""
    session.execute(update(WatchRoot).where(WatchRoot.id == root).values(trash=on))


def has_trash(session: Session, root: UUID) -> bool:
    """Tell whether a root's trash is switched on."""
    return bool(session.scalar(select(WatchRoot.trash).where(WatchRoot.id == root)))


def lock_erasable(
    session: Session,
    now: datetime.datetime,
    past: datetime.datetime,
    touched_before: datetime.datetime,
    limit: int,
    after: bytes = b"",
) -> list[AnyRow]:
    """Return (id, SHA-256) of assets that were put into the trash before `past` and that nothing holds any more, locked.

    In the order of their SHA-256, those after `after`.

    What holds: a legal hold on asset or blob; a project that did not put the line into its trash; a file that was seen
    last; a file in a trash; a run that took it as its input, and what that made is still there; a blob just written.
    """
    final = (Removal.kind == "trashed", Removal.until <= now, Removal.at <= past)
    kept_by = exists().where(
        AssetProject.asset_id == Asset.id,
        ~exists().where(
            Removal.root_id == AssetProject.root_id,
            Removal.project_id == AssetProject.project_id,
            *final,
        ),
    )
    lies = exists().where(
        Location.asset_id == Asset.id, Location.state.in_([LocationState.RECORDED.value, LocationState.ARRIVING.value])
    )
    in_trash = exists().where(TrashedFile.asset_id == Asset.id, TrashedFile.ended_at.is_(None))
    child = Asset.__table__.alias("child")
    needed = (
        exists()
        .where(GenerationInput.sha256 == Asset.sha256)
        .where(GenerationOutput.generation_id == GenerationInput.generation_id)
        .where(child.c.id == GenerationOutput.asset_id, child.c.erased_at.is_(None), child.c.id != Asset.id)
    )
    rows = session.execute(
        select(Asset.id, Asset.sha256, Blob.sha256.label("kept"))
        .outerjoin(Blob, Blob.sha256 == Asset.sha256)
        .where(
            Asset.root_id.in_(select(Removal.root_id).where(*final)),
            Asset.erased_at.is_(None),
            Asset.sha256 > after,
            ~Asset.held,
            or_(Blob.sha256.is_(None), and_(~Blob.held, Blob.touched_at < touched_before)),
            ~kept_by,
            ~lies,
            ~in_trash,
            ~needed,
        )
        .order_by(Asset.sha256)
        .limit(limit)
        .with_for_update(of=Asset)
    )
    return list(rows)


def erase(session: Session, assets: Sequence[UUID]) -> list[bytes]:
    """Note that assets' bytes are gone, their record kept; return the thumbnails' contents that nothing else shows."""
    session.execute(update(Asset).where(Asset.id.in_(assets)).values(erased_at=func.clock_timestamp()))
    gone = set(session.scalars(delete(Thumbnail).where(Thumbnail.asset_id.in_(assets)).returning(Thumbnail.sha256)))
    if not gone:
        return []
    asked = listed([{"v": sha256} for sha256 in gone], {"v": BYTES})
    shown = session.scalars(select(Thumbnail.sha256).where(Thumbnail.sha256.in_(select(asked.c.v))))
    also = session.scalars(select(Asset.sha256).where(Asset.sha256.in_(select(asked.c.v)), Asset.erased_at.is_(None)))
    return sorted(gone - set(shown) - set(also))


def revive(session: Session, assets: Collection[UUID]) -> None:
    """Note that bytes that were erased came again."""
    session.execute(update(Asset).where(Asset.id.in_(assets), Asset.erased_at.is_not(None)).values(erased_at=None))
