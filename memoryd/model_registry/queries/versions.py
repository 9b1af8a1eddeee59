"""Statements about families, their versions, and the files of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id

Found = Row[Any]

_FILE = """select x.id as file_id, x.sha256, v.id as version_id, v.name as version, v.source_id as version_source_id, v.url,
                  v.base_name, f.name as family, f.source as family_source, f.source_id, f.url as family_url, x.source, x.at
             from model_version_file x join model_version v on v.id = x.version_id
             join model_family f on f.id = v.family_id
            where x.withdrawn_at is null"""


def ensure_family(
    session: Session, *, name: str, source: str, source_id: str | None, url: str | None, person_id: UUID | None
) -> UUID:
    """Return the family with this source and id, or with this name where a person named it; made if there is none."""
    values = {
        "id": new_id(),
        "name": name,
        "source": source,
        "source_id": source_id,
        "url": url,
        "person_id": person_id,
    }
    same = "(name) where source_id is null" if source_id is None else "(source, source_id) where source_id is not null"
    found: UUID = session.execute(
        text(f"""
        insert into model_family as f (id, name, source, source_id, url, person_id)
        values (:id, :name, :source, :source_id, :url, :person_id)
            on conflict {same} do update set name = excluded.name, url = coalesce(excluded.url, f.url) returning id"""),
        values,
    ).scalar_one()
    return found


def ensure_version(
    session: Session,
    *,
    family_id: UUID,
    name: str,
    source_id: str | None,
    base_name: str | None,
    url: str | None,
    person_id: UUID | None,
) -> UUID:
    """Return a family's version with this id at its source, or this name; made if there is none."""
    same = "(family_id, name) where source_id is null"
    if source_id is not None:
        same = "(family_id, source_id) where source_id is not null"
    found: UUID = session.execute(
        text(f"""
        insert into model_version as v (id, family_id, name, source_id, base_name, url, person_id)
        values (:id, :family_id, :name, :source_id, :base_name, :url, :person_id)
            on conflict {same} do update set name = excluded.name, url = coalesce(excluded.url, v.url),
               base_name = coalesce(excluded.base_name, v.base_name) returning id"""),
        {
            "id": new_id(),
            "family_id": family_id,
            "name": name,
            "source_id": source_id,
            "base_name": base_name,
            "url": url,
            "person_id": person_id,
        },
    ).scalar_one()
    return found


def insert_file(session: Session, *, version_id: UUID, sha256: bytes, source: str, person_id: UUID | None) -> bool:
    """Say that a file is of a version, and end what this source said before; False where it stands already."""
    values = {"version_id": version_id, "sha256": sha256, "source": source}
    session.execute(
        text("""update model_version_file set withdrawn_at = clock_timestamp()
                 where sha256 = :sha256 and source = :source and withdrawn_at is null and version_id <> :version_id"""),
        values,
    )
    written = session.execute(
        text("""
        insert into model_version_file (id, version_id, sha256, source, person_id)
        values (:id, :version_id, :sha256, :source, :person_id)
            on conflict (sha256, version_id, source) where withdrawn_at is null do nothing returning 1"""),
        {**values, "id": new_id(), "person_id": person_id},
    )
    return written.first() is not None


def withdraw_file(session: Session, sha256: bytes, source: str) -> list[UUID]:
    """End what a source says about the version of a file; return the versions."""
    rows = session.execute(
        text("""update model_version_file set withdrawn_at = clock_timestamp()
                 where sha256 = :sha256 and source = :source and withdrawn_at is null returning version_id"""),
        {"sha256": sha256, "source": source},
    )
    return [row.version_id for row in rows]


def list_files(session: Session, sha256s: Sequence[bytes]) -> Sequence[Found]:
    """Return standing statements about the versions of these files, the latest first."""
    return session.execute(
        text(f"{_FILE} and x.sha256 = any(cast(:sha256s as bytea[])) order by x.at desc, x.id desc"),
        {"sha256s": list(sha256s)},
    ).all()


def list_families(
    session: Session, *, search: str | None, after: tuple[str, UUID] | None, limit: int
) -> Sequence[Found]:
    """Return families by name: id, name, source, source_id, url."""
    return session.execute(
        text("""
        select id, name, source, source_id, url from model_family
         where (cast(:search as text) is null or strpos(lower(name), lower(:search)) > 0)
           and (cast(:name as text) is null or (name, id) > (:name, cast(:id as uuid)))
         order by name, id limit :limit"""),
        {
            "search": search,
            "name": after[0] if after else None,
            "id": after[1] if after else None,
            "limit": limit,
        },
    ).all()


def list_versions_of(session: Session, family_ids: Sequence[UUID]) -> Sequence[Found]:
    """Return the versions of families with their files: family_id, id, name, source_id, url, sha256s."""
    return session.execute(
        text("""
        select v.family_id, v.id, v.name, v.source_id, v.url,
               array(select distinct x.sha256 from model_version_file x
                      where x.version_id = v.id and x.withdrawn_at is null order by 1) as sha256s
          from model_version v where v.family_id = any(cast(:family_ids as uuid[])) order by v.family_id, v.at, v.id"""),
        {"family_ids": list(family_ids)},
    ).all()
