"""Statements about places: watch roots, locations, and what places held before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, cast, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.catalog.facts import FolderRule, LocationPastReason, LocationState, RootState, RootWatcher, Watching
from memoryd.catalog.facts import Location as LocationFact
from memoryd.catalog.facts import WatchRoot as WatchRootFact
from memoryd.catalog.queries.listed import BIG, BYTES, ID, TEXT, Row, listed
from memoryd.catalog.tables.places import Location, LocationPast, WatchRoot
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, LocationId, PersonId, ProjectId, WatchRootId

# mypy knows of no expressions here; Postgres infers the index from them.
_PLACE: Any = [Location.watch_root_id, func.sha256(Location.path)]


def upsert_recorded(session: Session, rows: Sequence[Row]) -> dict[tuple[UUID | None, bytes], UUID]:
    """Record that places hold assets; return (root, path) -> location id. What a place held before goes to its past."""
    new = listed(
        rows,
        {
            "id": ID,
            "watch_root_id": ID,
            "path": BYTES,
            "shown_path": TEXT,
            "size": BIG,
            "mtime_ns": BIG,
            "inode": BIG,
            "device": BIG,
            "asset_id": ID,
            "project_id": ID,
            "state": TEXT,
        },
    )
    same_place = and_(
        Location.watch_root_id.is_not_distinct_from(new.c.watch_root_id),
        func.sha256(Location.path) == func.sha256(new.c.path),
    )
    locked = select(Location.id).where(same_place).order_by(Location.id).with_for_update(of=Location, key_share=True)
    session.execute(locked)
    session.execute(
        insert(LocationPast).from_select(
            ["location_id", "asset_id", "path", "shown_path", "size", "mtime_ns", "reason"],
            select(
                *(Location.id, Location.asset_id, Location.path, Location.shown_path, Location.size),
                *(Location.mtime_ns, cast(LocationPastReason.OVERWRITTEN.value, TEXT)),
            )
            .where(same_place, Location.asset_id.is_not(None), Location.asset_id != new.c.asset_id)
            .order_by(Location.id),
        )
    )
    placed = insert(Location).from_select(
        list(new.c.keys()), select(*new.c).order_by(new.c.watch_root_id, func.sha256(new.c.path))
    )
    changed = ("size", "mtime_ns", "inode", "device", "asset_id", "state")
    rows_written = session.execute(
        placed.on_conflict_do_update(
            index_elements=_PLACE,
            set_={
                **{name: placed.excluded[name] for name in changed},
                "project_id": func.coalesce(placed.excluded.project_id, Location.project_id),
                "last_seen": func.clock_timestamp(),
                "gone_at": None,
            },
        ).returning(Location.watch_root_id, Location.path, Location.id)
    )
    return {(root, path): id_ for root, path, id_ in rows_written}


def insert_arriving(session: Session, rows: Sequence[Row]) -> dict[bytes, UUID]:
    """Insert places whose content is not yet known; return path -> id. A known place stays as it is."""
    new = listed(
        rows,
        {
            "id": ID,
            "watch_root_id": ID,
            "path": BYTES,
            "shown_path": TEXT,
            "size": BIG,
            "mtime_ns": BIG,
            "inode": BIG,
            "device": BIG,
            "project_id": ID,
            "state": TEXT,
        },
    )
    inserted = session.execute(
        insert(Location)
        .from_select(list(new.c.keys()), select(*new.c).order_by(new.c.watch_root_id, func.sha256(new.c.path)))
        .on_conflict_do_nothing(index_elements=_PLACE)
        .returning(Location.path, Location.id)
    )
    return {row.path: row.id for row in inserted}


def _locations() -> Select[*tuple[Any, ...]]:
    return select(
        *(Location.id, Location.watch_root_id, Location.path, Location.shown_path, Location.size, Location.mtime_ns),
        *(Location.inode, Location.device, Location.state, Location.asset_id, Location.project_id),
        *(Location.first_seen, Location.last_seen, Location.gone_at),
    )


def _location(row: Sequence[object]) -> LocationFact:
    names = LocationFact.__slots__
    values: dict[str, object] = dict(zip(names, row, strict=True))
    values["state"] = LocationState(str(values["state"]))
    return LocationFact(**values)  # type: ignore[arg-type]


def find_at_paths(session: Session, root: UUID | None, paths: Collection[bytes]) -> dict[bytes, LocationFact]:
    """Return the known places among these paths of a root, locked in one order."""
    asked = listed([{"path": path} for path in paths], {"path": BYTES})
    rows = session.execute(
        _locations()
        .where(
            Location.watch_root_id.is_not_distinct_from(root),
            func.sha256(Location.path).in_(select(func.sha256(asked.c.path))),
        )
        .order_by(Location.id)
        .with_for_update(of=Location, key_share=True)
    )
    return {location.path: location for location in map(_location, rows)}


def find_at_inodes(session: Session, root: UUID, inodes: Collection[int]) -> list[LocationFact]:
    """Return the known places of a root with these inode numbers."""
    asked = listed([{"v": inode} for inode in inodes], {"v": BIG})
    rows = session.execute(
        _locations()
        .where(Location.watch_root_id == root, Location.inode.in_(select(asked.c.v)), Location.asset_id.is_not(None))
        .order_by(Location.id)
    )
    return [_location(row) for row in rows]


def find_location(session: Session, location: LocationId) -> LocationFact | None:
    """Return a place, locked, or None."""
    row = session.execute(_locations().where(Location.id == location).with_for_update(of=Location)).first()
    return None if row is None else _location(row)


def list_locations(session: Session, root: UUID, after: bytes, limit: int) -> list[LocationFact]:
    """Return a root's places in order of the hash of their path, after one hash."""
    key = func.sha256(Location.path)
    rows = session.execute(_locations().where(Location.watch_root_id == root, key > after).order_by(key).limit(limit))
    return [_location(row) for row in rows]


def list_locations_of_asset(session: Session, asset: AssetId) -> list[LocationFact]:
    """Return the places of an asset, present ones first, then the latest seen."""
    rows = session.execute(
        _locations()
        .where(Location.asset_id == asset)
        .order_by(Location.state != LocationState.RECORDED.value, Location.last_seen.desc(), Location.id)
    )
    return [_location(row) for row in rows]


def touch_seen(session: Session, locations: Collection[UUID]) -> None:
    """Note that places were seen now, as they were: what was missing is there again."""
    ids = listed([{"v": id_} for id_ in locations], {"v": ID})
    session.execute(
        update(Location)
        .where(Location.id.in_(select(ids.c.v)))
        .values(
            last_seen=func.clock_timestamp(),
            gone_at=None,
            state=case((Location.asset_id.is_(None), LocationState.ARRIVING.value), else_=LocationState.RECORDED.value),
        )
    )


def mark_missing(session: Session, locations: Collection[UUID]) -> list[UUID]:
    """Mark places as missing; return those that were. A place of a root that is not online is left alone (INV-8)."""
    ids = listed([{"v": id_} for id_ in locations], {"v": ID})
    trusted = select(WatchRoot.id).where(WatchRoot.state == RootState.ONLINE.value)
    return list(
        session.scalars(
            update(Location)
            .where(
                Location.id.in_(select(ids.c.v)),
                Location.state != LocationState.MISSING.value,
                or_(Location.watch_root_id.is_(None), Location.watch_root_id.in_(trusted)),
            )
            .values(state=LocationState.MISSING.value, gone_at=func.clock_timestamp())
            .returning(Location.id)
        )
    )


def delete_location(session: Session, location: UUID) -> None:
    """Remove a place whose past now belongs to another."""
    session.execute(delete(Location).where(Location.id == location))


def insert_past(session: Session, location: LocationFact, reason: LocationPastReason) -> None:
    """Keep what a place was."""
    session.execute(
        insert(LocationPast).values(
            location_id=location.id,
            asset_id=location.asset_id,
            path=location.path,
            shown_path=location.shown_path,
            size=location.size,
            mtime_ns=location.mtime_ns,
            reason=reason.value,
        )
    )


def move_location(session: Session, location: UUID, to: Mapping[str, object]) -> None:
    """Give a place a new path (and root); what it holds stays."""
    session.execute(
        update(Location)
        .where(Location.id == location)
        .values(**to, state=LocationState.RECORDED.value, gone_at=None, last_seen=func.clock_timestamp())
    )


def move_past(session: Session, location: UUID, to: UUID) -> None:
    """Let the past of one place be that of another."""
    session.execute(update(LocationPast).where(LocationPast.location_id == location).values(location_id=to))


def insert_root(session: Session, **values: object) -> bool:
    """Insert a watch root; return whether its place was free."""
    inserted = session.scalar(
        insert(WatchRoot)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[WatchRoot.host, func.sha256(WatchRoot.path)])
        .returning(WatchRoot.id)
    )
    return inserted is not None


def update_root(session: Session, root: UUID, **values: object) -> bool:
    """Change a root; return whether there is one."""
    return (
        session.scalar(update(WatchRoot).where(WatchRoot.id == root).values(**values).returning(WatchRoot.id))
        is not None
    )


def list_roots(session: Session, *, retired: bool, root: UUID | None = None) -> list[WatchRootFact]:
    """Return the watch roots, oldest first."""
    statement = select(WatchRoot).order_by(WatchRoot.created_at, WatchRoot.id)
    if not retired:
        statement = statement.where(WatchRoot.retired_at.is_(None))
    if root is not None:
        statement = statement.where(WatchRoot.id == root)
    return [_root(row) for row in session.scalars(statement.execution_options(populate_existing=True))]


def _root(row: WatchRoot) -> WatchRootFact:
    return WatchRootFact(
        id=WatchRootId(row.id),
        host=row.host,
        path=row.path,
        shown_path=row.shown_path,
        marker=row.marker,
        device=row.device,
        aliases={machine: str(path) for machine, path in row.aliases.items()},
        project_id=None if row.project_id is None else ProjectId(row.project_id),
        person_id=None if row.person_id is None else PersonId(row.person_id),
        person_rule=row.person_rule,
        custody=row.custody,
        disclosure=row.disclosure,
        state=RootState(row.state),
        state_reason=row.state_reason,
        state_at=row.state_at,
        scanned_at=row.scanned_at,
        retired_at=row.retired_at,
        rules=tuple(_rule(rule) for rule in row.rules),
        makes_projects=row.makes_projects,
        watched_by=RootWatcher(row.watched_by),
        watching=None if row.watching is None else Watching(row.watching),
        watching_why=row.watching_why,
    )


def _rule(stored: Mapping[str, object]) -> FolderRule:
    project, person = stored.get("project"), stored.get("person")
    return FolderRule(
        pattern=str(stored["pattern"]),
        project=None if project is None else str(project),
        person=None if person is None else str(person),
    )
