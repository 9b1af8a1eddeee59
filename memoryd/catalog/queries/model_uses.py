"""Statements about the runs that used a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session

Found = Row[Any]

_SEEN = "(cast(:sees as uuid[]) is null or g.project_id is null or g.project_id = any(cast(:sees as uuid[])))"


def count_uses(session: Session, sha256s: Sequence[bytes], sees: Sees, *, limit: int) -> Sequence[Found]:
    """Return of the latest `limit` runs that used each of these models how many the caller sees: sha256, looked, runs."""
    # Who sees everything needs no look at the runs themselves: the index alone answers.
    joined, counted = "", "count(*)"
    if sees is not None:
        joined, counted = "join generation g on g.id = m.generation_id", f"count(*) filter (where {_SEEN})"
    return session.execute(
        text(f"""
        select s.sha256, u.looked, u.runs from unnest(cast(:sha256s as bytea[])) as s(sha256) cross join lateral (
               select count(*) as looked, {counted} as runs from (
                      select distinct o.generation_id from generation_model o where o.sha256 = s.sha256
                       order by o.generation_id desc limit :limit) m {joined}) u where u.looked > 0"""),
        {"sha256s": list(sha256s), "limit": limit} | ({} if sees is None else {"sees": list(sees)}),
    ).all()


def list_uses(
    session: Session, sha256: bytes, sees: Sees, *, before: UUID | None, looked: int, limit: int
) -> Sequence[Found]:
    """Return runs that used a model, newest first: those that the caller sees of the next `looked`, `limit` at most.

    id, job_id, project, started_at, recorded_at, names (folder/name), assets.
    """
    return session.execute(
        text(f"""
        select g.id, g.job_id, p.slug as project, g.started_at, g.recorded_at,
               array(select distinct concat_ws('/', nullif(n.role, ''), n.name) from generation_model n
                      where n.generation_id = g.id and n.sha256 = :sha256 order by 1) as names,
               array(select distinct o.asset_id from generation_output o where o.generation_id = g.id order by 1) as assets
          from (select distinct m.generation_id from generation_model m where m.sha256 = :sha256
                   and (cast(:before as uuid) is null or m.generation_id < :before)
                 order by 1 desc limit :looked) u
          join generation g on g.id = u.generation_id and {_SEEN} left join project p on p.id = g.project_id
         order by g.id desc limit :limit"""),
        {
            "sha256": sha256,
            "sees": None if sees is None else list(sees),
            "before": before,
            "looked": looked,
            "limit": limit,
        },
    ).all()


def find_last(session: Session, sha256: bytes, *, before: UUID | None, looked: int) -> UUID | None:
    """Return the run after whose `looked` predecessors a look at a model's runs goes on, None where there are no more."""
    return session.execute(
        text("""
        select generation_id from (
               select distinct m.generation_id from generation_model m where m.sha256 = :sha256
                  and (cast(:before as uuid) is null or m.generation_id < :before)
                order by 1 desc limit :looked) u order by 1 desc offset :last"""),
        {"sha256": sha256, "before": before, "looked": looked, "last": looked - 1},
    ).scalar()


def count_named(
    session: Session, names: Sequence[tuple[str, str, bytes]], sees: Sees, *, limit: int
) -> Sequence[Found]:
    """Return the runs that used contents by these names (folder, path, sha256), `limit` of each at most.

    folder, path, sha256, runs, first_at, last_at.
    """
    return session.execute(
        text(f"""
        select s.folder, s.path, u.sha256, count(*) as runs, min(u.at) as first_at, max(u.at) as last_at
          from unnest(cast(:folders as text[]), cast(:paths as text[]), cast(:sha256s as bytea[])) as s(folder, path, sha256)
         cross join lateral (
               select m.sha256, coalesce(min(g.started_at), min(g.recorded_at)) as at from generation_model m
                 join generation g on g.id = m.generation_id and {_SEEN}
                where m.sha256 = s.sha256 and m.name = s.path and (m.role = s.folder or m.role = '' or s.folder = '')
                group by m.sha256, m.generation_id limit :limit) u
         group by 1, 2, 3"""),
        {
            "folders": [name[0] for name in names],
            "paths": [name[1] for name in names],
            "sha256s": [name[2] for name in names],
            "sees": None if sees is None else list(sees),
            "limit": limit,
        },
    ).all()
