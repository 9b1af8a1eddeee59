"""Every statement about what workers tell of their model files, and about who may read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id

Found = Row[Any]

_SERVES = "(cardinality(w.serves) = 0 or :tenant_id = any(w.serves)) and w.state <> 'removed'"


def replace_places(session: Session, *, worker_id: UUID, places: Sequence[Mapping[str, object]]) -> None:
    """Write which folders with models a worker sees, instead of what it stated before."""
    session.execute(text("delete from worker_place where worker_id = :worker_id"), {"worker_id": worker_id})
    if places:
        session.execute(
            text("""insert into worker_place (worker_id, key, kind, root) values (:worker_id, :key, :kind, :root)
                        on conflict do nothing"""),
            [{"worker_id": worker_id, **place} for place in places],
        )


def insert_descriptions(session: Session, *, worker_id: UUID, rows: Sequence[Mapping[str, object]]) -> None:
    """Write what a worker told: sha256, stamp, document; instead of what it told of the same file before."""
    session.execute(
        text("""
        insert into worker_description (worker_id, sha256, stamp, document) values (:worker_id, :sha256, :stamp, :document)
            on conflict (worker_id, sha256) do update set stamp = excluded.stamp, document = excluded.document,
               told_at = clock_timestamp()"""),
        [{"worker_id": worker_id, **row} for row in rows],
    )


def list_undescribed(session: Session, *, worker_id: UUID, stamps: Mapping[str, str]) -> list[bytes]:
    """Return those of these files (stamp by hexadecimal hash) that a worker told nothing of, or with another stamp."""
    return list(
        session.execute(
            text("""
            select decode(s.key, 'hex') from jsonb_each_text(cast(:stamps as jsonb)) s
             where not exists (select from worker_description d where d.worker_id = :worker_id
                                  and d.sha256 = decode(s.key, 'hex') and d.stamp = s.value)"""),
            {"worker_id": worker_id, "stamps": json.dumps(dict(stamps))},
        ).scalars()
    )


def list_serving(session: Session, *, tenant_id: UUID) -> Sequence[Found]:
    """Return the workers that serve a tenant: id, label."""
    return session.execute(
        text(f"select w.id, w.label from worker w where {_SERVES} order by w.label, w.id"), {"tenant_id": tenant_id}
    ).all()


def list_told(session: Session, *, tenant_id: UUID) -> Sequence[Found]:
    """Return what the workers that serve a tenant state, by place: worker_id, label, key, kind, root, digest.

    `key` is null for what lies in no place that was told. The digest is another when anything that was told is.
    """
    return session.execute(
        text(f"""
        select w.id as worker_id, w.label, m.mount as key, p.kind, p.root,
               sha256(convert_to(string_agg(concat_ws(chr(1), m.folder, m.path, m.size, m.mtime_ns,
                   encode(m.sha256, 'hex'), d.stamp), chr(2) order by m.folder, m.path), 'UTF8')) as digest
          from worker w join worker_model m on m.worker_id = w.id
          left join worker_place p on p.worker_id = w.id and p.key = m.mount
          left join worker_description d on d.worker_id = w.id and d.sha256 = m.sha256
         where {_SERVES} and m.sha256 is not null group by w.id, w.label, m.mount, p.kind, p.root
         order by w.registered_at desc nulls last, w.id"""),
        {"tenant_id": tenant_id},
    ).all()


def list_files(session: Session, *, tenant_id: UUID, key: str | None, worker_id: UUID | None) -> Sequence[Found]:
    """Return the files of a place as the workers that serve a tenant state them, of the one that started last first.

    Without `key`: those of this worker that lie in no place that was told. folder, path, size, mtime_ns, sha256, stamp.
    """
    return session.execute(
        text(f"""
        select m.folder, m.path, m.size, m.mtime_ns, m.sha256, d.stamp
          from worker w join worker_model m on m.worker_id = w.id
          left join worker_description d on d.worker_id = w.id and d.sha256 = m.sha256
         where {_SERVES} and (m.mount = :key or (cast(:key as text) is null and m.mount is null and w.id = :worker_id))
         order by w.registered_at desc nulls last, w.id, m.folder, m.path"""),
        {"tenant_id": tenant_id, "key": key, "worker_id": worker_id},
    ).all()


def list_descriptions(session: Session, *, tenant_id: UUID, sha256s: Sequence[bytes]) -> Sequence[Found]:
    """Return what the workers that serve a tenant told of files, the latest of each: sha256, stamp, document."""
    return session.execute(
        text(f"""
        select distinct on (d.sha256) d.sha256, d.stamp, d.document
          from worker_description d join worker w on w.id = d.worker_id
         where d.sha256 = any(cast(:sha256s as bytea[])) and {_SERVES} order by d.sha256, d.told_at desc"""),
        {"tenant_id": tenant_id, "sha256s": list(sha256s)},
    ).all()


def insert_chores(session: Session, *, kind: str, worker_id: UUID, wait_s: float) -> None:
    """Write one chore for each tenant that a worker serves, where none of this kind waits; it is done after a while."""
    tenants = session.execute(
        text("""
        select t.id from tenant t join worker w on w.id = :worker_id
         where t.state = 'active' and (cardinality(w.serves) = 0 or t.id = any(w.serves))
           and not exists (select from chore c where c.tenant_id = t.id and c.kind = :kind and c.lease_token is null
                              and c.gave_up_at is null)"""),
        {"worker_id": worker_id, "kind": kind},
    ).scalars()
    rows = [{"id": new_id(), "tenant_id": one, "kind": kind, "wait_s": wait_s} for one in tenants]
    if rows:
        session.execute(
            text("""insert into chore (id, tenant_id, kind, recipe, subjects, priority, not_before)
                    values (:id, :tenant_id, :kind, 'v1', array[cast(:tenant_id as uuid)], 0,
                            clock_timestamp() + make_interval(secs => :wait_s))"""),
            rows,
        )


def forget_worker(session: Session, *, worker_id: UUID) -> None:
    """Forget what a worker told of folders and files."""
    session.execute(text("delete from worker_place where worker_id = :worker_id"), {"worker_id": worker_id})
    session.execute(text("delete from worker_description where worker_id = :worker_id"), {"worker_id": worker_id})
