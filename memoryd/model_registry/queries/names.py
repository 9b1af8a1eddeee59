"""Statements about places, and about which content a name had there, from when until when."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, literal, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id
from memoryd.model_registry.tables import ModelName, ModelPlace, ModelPlaceWorker

Found = Row[Any]

_SEEN = """unnest(cast(:folders as text[]), cast(:paths as text[]), cast(:sizes as bigint[]), cast(:mtimes as bigint[]),
                  cast(:sha256s as bytea[])) as s(folder, path, size, mtime_ns, sha256)"""


def ensure_place(session: Session, *, key: str, kind: str, worker: str, root: str) -> UUID:
    """Return the place with this key, made if there is none, and note that it was seen; no other writes into it meanwhile."""
    statement = insert(ModelPlace).values(id=new_id(), key=key, kind=kind, worker=worker, root=root)
    # The conflicting row is locked until this transaction ends: of two scans of a folder one waits.
    seen = statement.on_conflict_do_update(
        index_elements=[ModelPlace.key], set_={"last_seen": func.clock_timestamp()}
    ).returning(ModelPlace.id)
    return session.execute(seen).scalar_one()


def find_place(session: Session, key: str) -> UUID | None:
    """Return the place with this key."""
    return session.scalar(select(ModelPlace.id).where(ModelPlace.key == key))


def rename_place(session: Session, old_key: str, key: str) -> None:
    """Let a place be known by another key from now on."""
    session.execute(
        update(ModelPlace).where(ModelPlace.key == old_key).values(key=key).execution_options(synchronize_session=False)
    )


def list_followed(session: Session) -> Sequence[Any]:
    """Return what workers told of places: key, kind, place_id, worker_id, root, told."""
    return session.execute(
        select(
            ModelPlace.key,
            ModelPlace.kind,
            ModelPlaceWorker.place_id,
            ModelPlaceWorker.worker_id,
            ModelPlaceWorker.root,
            ModelPlaceWorker.told,
        ).join(ModelPlace, ModelPlace.id == ModelPlaceWorker.place_id)
    ).all()


def note_worker(session: Session, *, place_id: UUID, worker_id: UUID, label: str, root: str, told: bytes) -> None:
    """Note that a worker sees a place, and what it told of it."""
    statement = insert(ModelPlaceWorker).values(
        place_id=place_id, worker_id=worker_id, label=label, root=root, told=told
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[ModelPlaceWorker.place_id, ModelPlaceWorker.worker_id],
            set_={"label": label, "root": root, "told": told, "last_seen": func.clock_timestamp()},
        )
    )


def forget_workers(session: Session, worker_ids: Sequence[UUID]) -> list[UUID]:
    """Forget that these workers see places; return the places that no worker sees any more."""
    return list(
        session.execute(
            text("""
            with gone as (delete from model_place_worker where worker_id = any(cast(:worker_ids as uuid[]))
                          returning place_id)
            select distinct g.place_id from gone g
             where not exists (select from model_place_worker w where w.place_id = g.place_id
                                  and w.worker_id <> all(cast(:worker_ids as uuid[])))"""),
            {"worker_ids": list(worker_ids)},
        ).scalars()
    )


def list_place_workers(session: Session, place_ids: Sequence[UUID]) -> Sequence[Any]:
    """Return who sees these places: place_id, label, root, last_seen."""
    return session.execute(
        select(ModelPlaceWorker.place_id, ModelPlaceWorker.label, ModelPlaceWorker.root, ModelPlaceWorker.last_seen)
        .where(ModelPlaceWorker.place_id.in_(place_ids))
        .order_by(ModelPlaceWorker.label, ModelPlaceWorker.worker_id)
    ).all()


def list_places(session: Session) -> Sequence[Found]:
    """Return the places, with how many names each has now: id, kind, worker, root, first_seen, last_seen, names."""
    return session.execute(
        text("""select p.id, p.kind, p.worker, p.root, p.first_seen, p.last_seen,
                       (select count(*) from model_name n where n.place_id = p.id and n.seen_to is null) as names
                  from model_place p order by p.worker, p.root, p.id""")
    ).all()


def find_names(
    session: Session, paths: Sequence[str], *, worker: str | None, at: datetime.datetime | None
) -> list[tuple[str, str, bytes | None]]:
    """Return (folder, path, sha256) of every name with one of these paths, present or at a moment."""
    statement = select(ModelName.folder, ModelName.path, ModelName.sha256).where(ModelName.path.in_(paths))
    if at is None:
        statement = statement.where(ModelName.seen_to.is_(None))
    else:
        statement = statement.where(ModelName.seen_from <= at, or_(ModelName.seen_to.is_(None), ModelName.seen_to > at))
    if worker is not None:
        seen_by = select(ModelPlaceWorker.place_id).where(ModelPlaceWorker.label == worker)
        own = select(ModelPlace.id).where(ModelPlace.worker == worker)
        statement = statement.where(ModelName.place_id.in_(own.union(seen_by)))
    return [(row.folder, row.path, row.sha256) for row in session.execute(statement.distinct())]


def list_present_names(
    session: Session, place_id: UUID, *, after: tuple[str, str] | None, limit: int
) -> Sequence[Row[str, str, int, int, bytes | None]]:
    """Return present names of a place, by (folder, path)."""
    statement = select(ModelName.folder, ModelName.path, ModelName.size, ModelName.mtime_ns, ModelName.sha256).where(
        ModelName.place_id == place_id, ModelName.seen_to.is_(None)
    )
    if after is not None:
        statement = statement.where(tuple_(ModelName.folder, ModelName.path) > tuple_(*map(literal, after)))
    return session.execute(statement.order_by(ModelName.folder, ModelName.path).limit(limit)).all()


def close_names(session: Session, place_id: UUID, keys: Sequence[tuple[str, str]]) -> int:
    """End the interval of present names (folder, path) and return how many there were."""
    if not keys:
        return 0
    # greatest: a clock that was set back must not make an interval end before it began.
    closed = session.execute(
        text("""
        update model_name n set seen_to = greatest(n.seen_from, clock_timestamp())
          from unnest(cast(:folders as text[]), cast(:paths as text[])) as s(folder, path)
         where n.place_id = :place_id and n.seen_to is null and n.folder = s.folder and n.path = s.path"""),
        {"place_id": place_id, "folders": [key[0] for key in keys], "paths": [key[1] for key in keys]},
    )
    return _count(closed)


def close_places(session: Session, place_ids: Sequence[UUID]) -> int:
    """End the interval of every present name of these places and return how many there were."""
    closed = session.execute(
        text("""update model_name set seen_to = greatest(seen_from, clock_timestamp())
                 where place_id = any(cast(:place_ids as uuid[])) and seen_to is null"""),
        {"place_ids": list(place_ids)},
    )
    return _count(closed)


def close_changed(session: Session, place_id: UUID, rows: Sequence[Mapping[str, object]]) -> int:
    """End the interval of present names that have another content now, and return how many there were."""
    closed = session.execute(
        text(f"""
        update model_name n set seen_to = greatest(n.seen_from, clock_timestamp()) from {_SEEN}
         where n.place_id = :place_id and n.seen_to is null and n.folder = s.folder and n.path = s.path
           and n.sha256 is distinct from s.sha256"""),
        _arrays(place_id, rows),
    )
    return _count(closed)


def close_unhashed(session: Session, place_id: UUID, rows: Sequence[Mapping[str, object]]) -> int:
    """End the interval of present names whose file is no more as it was when it was hashed; return how many."""
    closed = session.execute(
        text(f"""
        update model_name n set seen_to = greatest(n.seen_from, clock_timestamp()) from {_SEEN}
         where n.place_id = :place_id and n.seen_to is null and n.folder = s.folder and n.path = s.path
           and (n.size, n.mtime_ns) is distinct from (s.size, s.mtime_ns)"""),
        _arrays(place_id, rows),
    )
    return _count(closed)


def close_missing(session: Session, place_id: UUID, keys: Sequence[tuple[str, str]]) -> int:
    """End the interval of present names of the folders of these (folder, path) that are not among them; return how many."""
    closed = session.execute(
        text("""
        with stated as (select * from unnest(cast(:folders as text[]), cast(:paths as text[])) as s(folder, path))
        update model_name n set seen_to = greatest(n.seen_from, clock_timestamp())
         where n.place_id = :place_id and n.seen_to is null and n.folder in (select folder from stated)
           and not exists (select from stated s where s.folder = n.folder and s.path = n.path)"""),
        {"place_id": place_id, "folders": [key[0] for key in keys], "paths": [key[1] for key in keys]},
    )
    return _count(closed)


def begin_names(session: Session, place_id: UUID, rows: Sequence[Mapping[str, object]]) -> int:
    """Begin intervals of the names that are not present, and return how many those were."""
    begun = session.execute(
        text(f"""
        insert into model_name (place_id, folder, path, size, mtime_ns, sha256)
        select :place_id, s.folder, s.path, s.size, s.mtime_ns, s.sha256 from {_SEEN}
         where not exists (select from model_name n where n.place_id = :place_id and n.folder = s.folder
                              and n.path = s.path and n.seen_to is null)"""),
        _arrays(place_id, rows),
    )
    return _count(begun)


def touch_names(session: Session, place_id: UUID, rows: Sequence[Mapping[str, object]]) -> None:
    """Set size and time of change of present names whose content stayed."""
    session.execute(
        text(f"""
        update model_name n set size = s.size, mtime_ns = s.mtime_ns from {_SEEN}
         where n.place_id = :place_id and n.seen_to is null and n.folder = s.folder and n.path = s.path
           and (n.size, n.mtime_ns) is distinct from (s.size, s.mtime_ns)"""),
        _arrays(place_id, rows),
    )


def list_names_of(session: Session, sha256s: Sequence[bytes], *, past: bool) -> Sequence[Any]:
    """Return names of these models with their places, present ones first."""
    place = (ModelPlace.kind, ModelPlace.worker, ModelPlace.root, ModelPlace.last_seen)
    statement = (
        select(
            ModelName.sha256,
            ModelName.place_id,
            *place,
            ModelName.folder,
            ModelName.path,
            ModelName.seen_from,
            ModelName.seen_to,
        )
        .join(ModelPlace, ModelPlace.id == ModelName.place_id)
        .where(ModelName.sha256.in_(sha256s))
    )
    if not past:
        statement = statement.where(ModelName.seen_to.is_(None))
    order = (ModelPlace.worker, ModelPlace.root, ModelName.folder, ModelName.path, ModelName.seen_from)
    return session.execute(statement.order_by(ModelName.seen_to.desc().nulls_first(), *order)).all()


def find_by_path(session: Session, folder: str | None, path: str, limit: int) -> list[bytes]:
    """Return the contents that present names with this path, or with this last part of a path, have."""
    same: ColumnElement[bool] = ModelName.path == path
    if folder is None:
        same = or_(same, ModelName.path.endswith(f"/{path}", autoescape=True))
    statement = select(ModelName.sha256).where(same, ModelName.seen_to.is_(None), ModelName.sha256.is_not(None))
    if folder is not None:
        statement = statement.where(ModelName.folder == folder)
    return [found for found in session.scalars(statement.distinct().limit(limit)) if found is not None]


def list_drifted(session: Session, *, after: tuple[str, str] | None, limit: int) -> Sequence[Found]:
    """Return names (folder, path) that had several contents, by name, with the number of contents."""
    return session.execute(
        text("""
        select folder, path, count(distinct sha256) as contents from model_name
         where sha256 is not null and (cast(:folder as text) is null or (folder, path) > (:folder, :path))
         group by folder, path having count(distinct sha256) > 1 order by folder, path limit :limit"""),
        {"folder": after[0] if after else None, "path": after[1] if after else None, "limit": limit},
    ).all()


def find_drifted(session: Session, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of these names (folder, path) that had several contents."""
    rows = session.execute(
        text("""
        select n.folder, n.path from unnest(cast(:folders as text[]), cast(:paths as text[])) as s(folder, path)
          join model_name n on n.folder = s.folder and n.path = s.path where n.sha256 is not null
         group by n.folder, n.path having count(distinct n.sha256) > 1"""),
        {"folders": [name[0] for name in names], "paths": [name[1] for name in names]},
    )
    return {(row.folder, row.path) for row in rows}


def list_intervals(session: Session, names: Sequence[tuple[str, str]]) -> Sequence[Found]:
    """Return which content these names had: folder, path, sha256, place_id, kind, worker, root, seen_from, seen_to."""
    return session.execute(
        text("""
        select n.folder, n.path, n.sha256, n.place_id, p.kind, p.worker, p.root, n.seen_from, n.seen_to
          from unnest(cast(:folders as text[]), cast(:paths as text[])) as s(folder, path)
          join model_name n on n.folder = s.folder and n.path = s.path join model_place p on p.id = n.place_id
         where n.sha256 is not null order by n.folder, n.path, n.seen_from, p.worker, p.root"""),
        {"folders": [name[0] for name in names], "paths": [name[1] for name in names]},
    ).all()


def _arrays(place_id: UUID, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    columns = {"folders": "folder", "paths": "path", "sizes": "size", "mtimes": "mtime_ns", "sha256s": "sha256"}
    return {"place_id": place_id} | {name: [row[column] for row in rows] for name, column in columns.items()}


def _count(result: Any) -> int:
    return int(result.rowcount)
