"""Statements about what models were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session

Found = Row[Any]

_STANDING = "o.withdrawn_at is null"

_UP = f"""
    with recursive up as (
        select o.child as start, o.child, o.parent, o.stated, o.via, o.source, 1 as depth
          from model_origin o where o.child = any(cast(:sha256s as bytea[])) and {_STANDING}
        union
        select u.start, o.child, o.parent, o.stated, o.via, o.source, u.depth + 1
          from up u join model_origin o on o.child = u.parent and {_STANDING} where u.depth < :depth
    )"""


def lock_origins(session: Session) -> None:
    """Let nobody else write origins until this transaction ends: two that are each allowed could make a cycle."""
    session.execute(
        text("select pg_advisory_xact_lock(hashtextextended(current_schema() || chr(1) || 'model_origin', 0))")
    )


def list_ancestors(session: Session, sha256s: Sequence[bytes], *, depth: int, limit: int) -> Sequence[Found]:
    """Return what these were made from, nearest first, `limit` of each: start, child, parent, stated, via, source, depth."""
    return session.execute(
        text(f"""{_UP}
        select * from (
            select *, row_number() over (partition by start order by depth, stated, via, source) as place from (
                select distinct on (start, child, coalesce(encode(parent, 'hex'), stated), via)
                       start, child, parent, stated, via, source, depth
                  from up order by start, child, coalesce(encode(parent, 'hex'), stated), via, depth, source desc) one) all_
         where place <= :limit order by start, place"""),
        {"sha256s": list(sha256s), "depth": depth, "limit": limit},
    ).all()


def list_descendants(session: Session, sha256: bytes, *, depth: int, limit: int) -> Sequence[Found]:
    """Return what was made from a model, nearest first, each once: child, parent, via, source, depth."""
    return session.execute(
        text(f"""
        with recursive down as (
            select o.child, o.parent, o.via, o.source, 1 as depth from model_origin o
             where o.parent = :sha256 and {_STANDING}
            union
            select o.child, o.parent, o.via, o.source, d.depth + 1
              from down d join model_origin o on o.parent = d.child and {_STANDING} where d.depth < :depth
        )
        select * from (select distinct on (child) child, parent, via, source, depth from down
                        order by child, depth, source desc) one
         order by depth, child limit :limit"""),
        {"sha256": sha256, "depth": depth, "limit": limit},
    ).all()


def list_parents(session: Session, sha256s: Sequence[bytes]) -> Sequence[Found]:
    """Return the standing statements of what these were made from: id, child, parent, stated, via, source, at."""
    return session.execute(
        text(f"""select o.id, o.child, o.parent, o.stated, o.via, o.source, o.at from model_origin o
                 where o.child = any(cast(:sha256s as bytea[])) and {_STANDING}
                 order by o.child, o.source, o.stated, o.via"""),
        {"sha256s": list(sha256s)},
    ).all()


def list_children(session: Session, sha256: bytes, *, limit: int) -> Sequence[Found]:
    """Return the standing statements that something was made from a model, the latest first, as list_parents does."""
    return session.execute(
        text(f"""select o.id, o.child, o.parent, o.stated, o.via, o.source, o.at from model_origin o
                 where o.parent = :sha256 and {_STANDING} order by o.at desc, o.id desc limit :limit"""),
        {"sha256": sha256, "limit": limit},
    ).all()


def count_children(session: Session, sha256s: Sequence[bytes], *, limit: int) -> dict[bytes, int]:
    """Return how many models were made from each of these, `limit` at most."""
    rows = session.execute(
        text(f"""
        select s.sha256, c.children from unnest(cast(:sha256s as bytea[])) as s(sha256) cross join lateral (
               select count(*) as children from (select from model_origin o where o.parent = s.sha256 and {_STANDING}
                                                  limit :limit) x) c where c.children > 0"""),
        {"sha256s": list(sha256s), "limit": limit},
    )
    return {bytes(row.sha256): row.children for row in rows}


def insert_origins(session: Session, rows: Sequence[Mapping[str, object]]) -> list[bytes]:
    """Write statements (id, child, parent, stated, via, source, person_id) that do not stand; return their children."""
    written = session.execute(
        text("""
        insert into model_origin (id, child, parent, stated, via, source, person_id)
        select cast(r.id as uuid), decode(r.child, 'hex'), decode(r.parent, 'hex'), r.stated, r.via, r.source,
               cast(r.person_id as uuid)
          from jsonb_to_recordset(cast(:rows as jsonb))
               as r(id text, child text, parent text, stated text, via text, source text, person_id text)
            on conflict (child, stated, via, source) where withdrawn_at is null do nothing returning child"""),
        {
            "rows": json.dumps(
                [{k: v.hex() if isinstance(v, bytes) else v and str(v) for k, v in row.items()} for row in rows]
            )
        },
    )
    return [bytes(row.child) for row in written]


def is_ancestor(session: Session, sha256: bytes, *, of: bytes) -> bool:
    """Tell whether `of` was made from a model, at whatever distance."""
    row = session.execute(
        text(f"""
        with recursive up as (
            select o.parent from model_origin o where o.child = :of and {_STANDING} and o.parent is not null
            union
            select o.parent from up u join model_origin o on o.child = u.parent and {_STANDING} and o.parent is not null)
        select 1 from up where parent = :sha256 limit 1"""),
        {"of": of, "sha256": sha256},
    )
    return row.first() is not None


def list_unresolved(session: Session, hashes: Sequence[str]) -> Sequence[Found]:
    """Return standing statements without a known parent that name one of these hashes: id, child, stated."""
    return session.execute(
        text(f"""select o.id, o.child, o.stated from model_origin o
                 where o.parent is null and {_STANDING} and o.stated = any(cast(:hashes as text[]))"""),
        {"hashes": list(hashes)},
    ).all()


def resolve_origin(session: Session, origin_id: UUID, parent: bytes) -> None:
    """Note which file a statement means."""
    session.execute(
        text("update model_origin set parent = :parent where id = :id"), {"id": origin_id, "parent": parent}
    )


def find_origin(session: Session, child: bytes, *, parent: bytes, source: str, via: str | None) -> Sequence[Found]:
    """Return standing statements of this source that a model was made from another: id, via."""
    return session.execute(
        text(f"""select o.id, o.via from model_origin o where o.child = :child and o.parent = :parent
                 and o.source = :source and (cast(:via as text) is null or o.via = :via) and {_STANDING}"""),
        {"child": child, "parent": parent, "source": source, "via": via},
    ).all()


def withdraw_origins(session: Session, ids: Sequence[UUID]) -> None:
    """End statements."""
    session.execute(
        text("update model_origin set withdrawn_at = clock_timestamp() where id = any(cast(:ids as uuid[]))"),
        {"ids": list(ids)},
    )
