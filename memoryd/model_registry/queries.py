"""Every statement about models, their names and their licences."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, literal, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id
from memoryd.model_registry.tables import Licence, LicenceGrant, Model, ModelAlias, ModelName

_NAME_KEY = (ModelName.worker, ModelName.root, ModelName.folder, ModelName.path)


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
        statement = statement.where(ModelName.worker == worker)
    return [(row.folder, row.path, row.sha256) for row in session.execute(statement.distinct())]


def list_present_names(
    session: Session, worker: str, root: str, *, after: tuple[str, str] | None, limit: int
) -> Sequence[Row[str, str, int, int, bytes | None]]:
    """Return present names of one folder of one machine, by (folder, path)."""
    statement = select(ModelName.folder, ModelName.path, ModelName.size, ModelName.mtime_ns, ModelName.sha256).where(
        ModelName.worker == worker, ModelName.root == root, ModelName.seen_to.is_(None)
    )
    if after is not None:
        statement = statement.where(tuple_(ModelName.folder, ModelName.path) > tuple_(*map(literal, after)))
    return session.execute(statement.order_by(ModelName.folder, ModelName.path).limit(limit)).all()


def lock_root(session: Session, worker: str, root: str) -> None:
    """Let one scan of a folder write at a time; another waits until this transaction ends."""
    session.execute(
        text(
            "select pg_advisory_xact_lock(hashtextextended("
            "concat_ws(chr(1), current_schema(), cast(:worker as text), cast(:root as text)), 0))"
        ),
        {"worker": worker, "root": root},
    )


def insert_models(session: Session, rows: Sequence[Mapping[str, object]]) -> set[bytes]:
    """Write models that are new and return their hashes; of a known one only an unknown kind is filled in."""
    if not rows:
        return set()
    known = set(session.scalars(select(Model.sha256).where(Model.sha256.in_([row["sha256"] for row in rows]))))
    statement = insert(Model).values(list(rows))
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Model.sha256],
            set_={"kind": statement.excluded.kind},
            where=and_(Model.kind == "unknown", statement.excluded.kind != "unknown"),
        )
    )
    return {row["sha256"] for row in rows if isinstance(row["sha256"], bytes)} - known


def insert_aliases(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Write aliases that are new."""
    if rows:
        session.execute(insert(ModelAlias).values(list(rows)).on_conflict_do_nothing())


def lock_names(
    session: Session, worker: str, root: str, keys: Sequence[tuple[str, str]]
) -> Sequence[Row[str, str, bytes | None]]:
    """Return the present rows of these (folder, path), locked."""
    return session.execute(
        select(ModelName.folder, ModelName.path, ModelName.sha256)
        .where(_present(worker, root, keys))
        .order_by(ModelName.folder, ModelName.path)
        .with_for_update()
    ).all()


def close_names(session: Session, worker: str, root: str, keys: Sequence[tuple[str, str]]) -> int:
    """End the interval of present names and return how many there were."""
    if not keys:
        return 0
    # greatest: a clock that was set back must not make an interval end before it began.
    ended = func.greatest(ModelName.seen_from, func.clock_timestamp())
    closed = update(ModelName).where(_present(worker, root, keys)).values(seen_to=ended).returning(ModelName.path)
    return len(session.execute(closed.execution_options(synchronize_session=False)).all())


def insert_names(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Begin intervals of names that are not present."""
    if rows:
        session.execute(insert(ModelName).values(list(rows)))


def touch_names(session: Session, worker: str, root: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Set size and time of change of present names whose content stayed."""
    for row in rows:
        session.execute(
            update(ModelName)
            .where(_present(worker, root, [(str(row["folder"]), str(row["path"]))]))
            .values(size=row["size"], mtime_ns=row["mtime_ns"])
            .execution_options(synchronize_session=False)
        )


def ensure_licence(session: Session, name: str, *, version: str = "", url: str | None = None) -> UUID:
    """Return the id of the licence with this name and version whose text is not known, made if there is none."""
    same = and_(Licence.name == name, Licence.version == version, Licence.text_sha256.is_(None))
    values = {"id": new_id(), "name": name, "version": version, "url": url}
    session.execute(insert(Licence).values(values).on_conflict_do_nothing())
    if url is not None:
        session.execute(
            update(Licence)
            .where(same, Licence.url.is_(None))
            .values(url=url)
            .execution_options(synchronize_session=False)
        )
    return session.scalars(select(Licence.id).where(same)).one()


def insert_grants(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Write statements of licences; one that stands already stays as it is."""
    if rows:
        session.execute(insert(LicenceGrant).values([{"id": new_id(), **row} for row in rows]).on_conflict_do_nothing())


def withdraw_grant(session: Session, grant_id: UUID, sha256: bytes, source: str) -> bool:
    """End a statement of this source and tell whether it stood."""
    withdrawn = (
        update(LicenceGrant)
        .where(
            LicenceGrant.id == grant_id,
            LicenceGrant.model == sha256,
            LicenceGrant.source == source,
            LicenceGrant.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=func.clock_timestamp())
        .returning(LicenceGrant.id)
        .execution_options(synchronize_session=False)
    )
    return session.execute(withdrawn).first() is not None


def list_grants(
    session: Session, sha256s: Sequence[bytes]
) -> Sequence[Row[UUID, bytes, str, UUID | None, datetime.datetime, str, str, str | None, bytes | None]]:
    """Return standing statements with their licences: a person's before the file's, the newest first."""
    return session.execute(
        select(
            LicenceGrant.id,
            LicenceGrant.model,
            LicenceGrant.source,
            LicenceGrant.person_id,
            LicenceGrant.at,
            Licence.name,
            Licence.version,
            Licence.url,
            Licence.text_sha256,
        )
        .join(Licence, Licence.id == LicenceGrant.licence_id)
        .where(LicenceGrant.model.in_(sha256s), LicenceGrant.withdrawn_at.is_(None))
        .order_by(LicenceGrant.source.desc(), LicenceGrant.at.desc(), LicenceGrant.id.desc())
    ).all()


def list_models(
    session: Session,
    *,
    kind: str | None,
    folder: str | None,
    licensed: bool | None,
    after: tuple[datetime.datetime, bytes] | None,
    limit: int,
) -> Sequence[Row[bytes, int, str, str | None, datetime.datetime]]:
    """Return models, newest first."""
    statement = select(Model.sha256, Model.size, Model.kind, Model.base, Model.first_seen)
    if kind is not None:
        statement = statement.where(Model.kind == kind)
    if folder is not None:
        statement = statement.where(
            select(ModelName.path)
            .where(ModelName.sha256 == Model.sha256, ModelName.folder == folder, ModelName.seen_to.is_(None))
            .exists()
        )
    if licensed is not None:
        stated = (
            select(LicenceGrant.id)
            .where(LicenceGrant.model == Model.sha256, LicenceGrant.withdrawn_at.is_(None))
            .exists()
        )
        statement = statement.where(stated if licensed else ~stated)
    if after is not None:
        statement = statement.where(tuple_(Model.first_seen, Model.sha256) < tuple_(*map(literal, after)))
    return session.execute(statement.order_by(Model.first_seen.desc(), Model.sha256.desc()).limit(limit)).all()


def find_models(
    session: Session, sha256s: Sequence[bytes]
) -> Sequence[Row[bytes, int, str, str | None, datetime.datetime, dict[str, object], list[dict[str, object]]]]:
    """Return these models with everything, in no order."""
    return session.execute(
        select(Model.sha256, Model.size, Model.kind, Model.base, Model.first_seen, Model.header, Model.findings).where(
            Model.sha256.in_(sha256s)
        )
    ).all()


def list_names_of(
    session: Session, sha256s: Sequence[bytes], *, past: bool
) -> Sequence[Row[bytes | None, str, str, str, str, datetime.datetime, datetime.datetime | None]]:
    """Return names of these models, present ones first."""
    statement = select(ModelName.sha256, *_NAME_KEY, ModelName.seen_from, ModelName.seen_to).where(
        ModelName.sha256.in_(sha256s)
    )
    if not past:
        statement = statement.where(ModelName.seen_to.is_(None))
    return session.execute(
        statement.order_by(ModelName.seen_to.desc().nulls_first(), *_NAME_KEY, ModelName.seen_from)
    ).all()


def list_aliases_of(session: Session, sha256: bytes) -> dict[str, str]:
    """Return a model's other hashes by algorithm."""
    rows = session.execute(select(ModelAlias.algorithm, ModelAlias.value).where(ModelAlias.sha256 == sha256))
    return {row.algorithm: row.value for row in rows}


def find_by_hash(session: Session, least: bytes, most: bytes, prefix: str, limit: int) -> list[bytes]:
    """Return models whose SHA-256 lies between two, or one of whose aliases begins with `prefix`."""
    aliased = select(ModelAlias.sha256).where(ModelAlias.value.startswith(prefix, autoescape=True))
    statement = select(Model.sha256).where(
        or_(and_(Model.sha256 >= least, Model.sha256 <= most), Model.sha256.in_(aliased))
    )
    return list(session.scalars(statement.limit(limit)))


def find_by_path(session: Session, folder: str | None, path: str, limit: int) -> list[bytes]:
    """Return the contents that present names with this path, or with this last part of a path, have."""
    same: ColumnElement[bool] = ModelName.path == path
    if folder is None:
        same = or_(same, ModelName.path.endswith(f"/{path}", autoescape=True))
    statement = select(ModelName.sha256).where(same, ModelName.seen_to.is_(None), ModelName.sha256.is_not(None))
    if folder is not None:
        statement = statement.where(ModelName.folder == folder)
    return [found for found in session.scalars(statement.distinct().limit(limit)) if found is not None]


def _present(worker: str, root: str, keys: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    return and_(
        ModelName.worker == worker,
        ModelName.root == root,
        tuple_(ModelName.folder, ModelName.path).in_(list(keys)),
        ModelName.seen_to.is_(None),
    )
