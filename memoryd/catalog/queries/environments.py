"""Statements about environments, and about the runs that had one."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.catalog.tables.runs import Environment
from memoryd.foundation.database import Session

Found = Row[Any]

_SEEN = "(cast(:sees as uuid[]) is null or g.project_id is null or g.project_id = any(cast(:sees as uuid[])))"


def insert_environment(session: Session, **values: object) -> None:
    """Record an environment; a known one stays."""
    session.execute(insert(Environment).values(**values).on_conflict_do_nothing())


def find_environment(session: Session, digest: bytes) -> bytes | None:
    """Return an environment's document (zlib), or None."""
    return session.scalar(select(Environment.document).where(Environment.hash == digest))


def list_recorded(session: Session, *, before: tuple[datetime.datetime, bytes] | None, limit: int) -> Sequence[Found]:
    """Environments (hash, document, recorded_at), newest first."""
    moment, digest = before if before is not None else (None, None)
    return session.execute(
        text("""select hash, document, recorded_at from environment
                 where cast(:moment as timestamptz) is null or (recorded_at, hash) < (:moment, :digest)
                 order by recorded_at desc, hash desc limit :limit"""),
        {"moment": moment, "digest": digest, "limit": limit},
    ).all()


def find_recorded(session: Session, digests: Sequence[bytes]) -> Sequence[Found]:
    """Those of these environments that are recorded (hash, document, recorded_at)."""
    return session.execute(
        text("select hash, document, recorded_at from environment where hash = any(:digests)"),
        {"digests": list(digests)},
    ).all()


def list_hashes(session: Session, first: bytes, last: bytes, *, limit: int) -> list[bytes]:
    """The hashes of recorded environments between two."""
    rows = session.scalars(
        text("select hash from environment where hash between :first and :last order by hash limit :limit"),
        {"first": first, "last": last, "limit": limit},
    )
    return [bytes(row) for row in rows]


def count_runs(session: Session, digests: Sequence[bytes], sees: Sees, *, limit: int) -> Sequence[Found]:
    """Of these environments: how many runs the caller may see (`limit` at most), and when the last was recorded."""
    return session.execute(
        text(f"""
            select e.hash, r.runs, l.recorded_at as last_at
              from unnest(cast(:digests as bytea[])) as e(hash)
              cross join lateral (
                select count(*) as runs from (
                  select 1 from generation g where g.environment = e.hash and {_SEEN} limit :limit) as seen) as r
              left join lateral (
                select g.recorded_at from generation g where g.environment = e.hash and {_SEEN}
                 order by g.id desc limit 1) as l on true"""),
        {"digests": list(digests), "sees": _listed(sees), "limit": limit},
    ).all()


def list_runs(session: Session, digest: bytes, sees: Sees, *, before: UUID | None, limit: int) -> Sequence[Found]:
    """The runs that had an environment, newest first, with their project's slug and what they made."""
    return session.execute(
        text(f"""
            select g.id, g.job_id, g.started_at, g.recorded_at, p.slug as project,
                   (select coalesce(array_agg(distinct o.asset_id), '{{}}') from generation_output o
                     where o.generation_id = g.id) as assets
              from generation g left join project p on p.id = g.project_id
             where g.environment = :digest and {_SEEN} and (cast(:before as uuid) is null or g.id < :before)
             order by g.id desc limit :limit"""),
        {"digest": digest, "sees": _listed(sees), "before": before, "limit": limit},
    ).all()


def _listed(sees: Sees) -> list[UUID] | None:
    return None if sees is None else list(sees)
