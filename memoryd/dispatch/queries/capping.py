"""Every statement about caps: how many jobs of a scope run at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, text

from memoryd.dispatch.queries.ready_rows import IN_ORDER, at_key, by, from_tag
from memoryd.foundation.database import Session

Found = Row[Any]

_SCOPE = """(c.tenant_id is null or c.tenant_id = :tenant_id) and (c.project_id is null or c.project_id = :project_id)
    and (c.person_id is null or c.person_id = :person_id) and (c.pool_id is null or c.pool_id = :pool_id)"""

_RUNNING = """(select count(*) from lease l where (c.tenant_id is null or c.tenant_id = l.tenant_id)
    and (c.project_id is null or c.project_id = l.project_id) and (c.person_id is null or c.person_id = l.person_id)
    and (c.pool_id is null or c.pool_id = l.pool_id))"""
"""How many jobs of a cap run now. Leases are as few as GPUs."""

_NULLABLE = [bindparam(name, type_=Uuid()) for name in ("tenant_id", "project_id", "person_id", "pool_id")]


def lock_caps(session: Session) -> None:
    """Let no other claim take a capped job, and no end make room, until commit: each counts what the one before has done.

    One lock for all caps: a claim that meets several caps one after another can then wait in no circle.
    """
    session.execute(text("select pg_advisory_xact_lock(hashtextextended('memoryd.dispatch.caps', 0))"))


def find_full(session: Session, about: Mapping[str, object]) -> Found | None:
    """The first cap that allows no further job of this tenant, project, person and pool: id, and its scope.

    Call lock_caps first, in a statement of its own.
    """
    return session.execute(
        text(f"""select c.id, c.tenant_id, c.project_id, c.person_id from cap c where {_SCOPE} and {_RUNNING} >= c.max_running
                  order by c.tenant_id nulls last, c.id limit 1""").bindparams(*_NULLABLE),
        dict(about),
    ).first()


_DELETE_READY_OF_CAP = text(f"""
    delete from ready where ctid = any(
        array(select r.ctid from ready r where r.pool_id = :pool_id and r.class_id = :class_id
                 and {at_key(":vtag", ":job_id")} {IN_ORDER} for update skip locked)
     || array(select r.ctid from ready r
               where {from_tag("tenant_id", ":tenant_id", ":pool_id", ":class_id", ":low")}
                 and (:cap_project_id is null or r.project_id = :cap_project_id)
                 and (:cap_person_id is null or r.person_id = :cap_person_id)
               {by("tenant_id")} limit :limit for update skip locked))
    returning job_id""").bindparams(*(bindparam(name, type_=Uuid()) for name in ("cap_project_id", "cap_person_id")))


def delete_ready_of_cap(session: Session, values: Mapping[str, object], *, limit: int) -> list[UUID]:
    """Take a job, and the next ones that the same full cap of a tenant counts, out of one order: their ids."""
    return list(session.execute(_DELETE_READY_OF_CAP, {**values, "limit": limit}).scalars())


_DELETE_HELD = text(f"""
    delete from held where job_id = any(array(
        select h.job_id from (
            select c.id, c.max_running - {_RUNNING} as room from cap c where {_SCOPE}) c
         cross join lateral (
            select h.job_id from held h where h.reason = 'cap' and h.waits_for = c.id
             order by h.vtag, h.job_id limit greatest(c.room, 0) for update skip locked) h))
    returning job_id""").bindparams(*_NULLABLE)


def delete_held_by_caps(session: Session, about: Row[Any]) -> list[Any]:
    """Take as many jobs out of the held ones as there is room for now under the caps of this tenant, project, person and
    pool: their ids.
    """
    values = {name: getattr(about, name) for name in ("tenant_id", "project_id", "person_id")}
    pool_id = getattr(about, "left_pool_id", None) or about.pool_id
    return list(session.execute(_DELETE_HELD, {**values, "pool_id": pool_id}).scalars())


def list_roomy(session: Session) -> Sequence[Found]:
    """The caps for whose jobs there is room, of those that hold jobs back: id, room. A cap that is gone has room."""
    return session.execute(
        text(f"""
        with recursive holding(id) as (
            (select waits_for from held where reason = 'cap' order by waits_for limit 1)
            union all
            select (select waits_for from held where reason = 'cap' and waits_for > h.id order by waits_for limit 1)
              from holding h where h.id is not null)
        select h.id, coalesce((select c.max_running - {_RUNNING} from cap c where c.id = h.id), 1000000) as room
          from holding h where h.id is not null""")
    ).all()


# --- caps themselves


def upsert_cap(session: Session, values: Mapping[str, object]) -> UUID:
    """Write a cap, or change the one of the same scope; return its id."""
    cap_id: UUID = session.execute(
        text("""insert into cap (id, tenant_id, project_id, person_id, pool_id, max_running)
                values (:id, :tenant_id, :project_id, :person_id, :pool_id, :max_running)
                on conflict (tenant_id, project_id, person_id, pool_id) do update set max_running = excluded.max_running
                returning id""").bindparams(*_NULLABLE),
        dict(values),
    ).scalar_one()
    return cap_id


def delete_cap(session: Session, *, cap_id: UUID, tenant_id: UUID | None) -> bool:
    """Forget a cap of a tenant, or of all; False where it is not there."""
    gone = session.execute(
        text("""delete from cap where id = :id and (cast(:tenant_id as uuid) is null or tenant_id = :tenant_id)
                returning 1""").bindparams(bindparam("tenant_id", type_=Uuid())),
        {"id": cap_id, "tenant_id": tenant_id},
    )
    return gone.first() is not None


def list_caps(session: Session, *, tenant_id: UUID | None) -> Sequence[Found]:
    """The caps that count a tenant's jobs, all caps without one: the columns of a cap, pool (its name), running.

    Of a cap that counts other tenants' jobs too, `running` counts only this tenant's.
    """
    return session.execute(
        text(f"""
        select c.id, c.tenant_id, c.project_id, c.person_id, c.max_running, p.name as pool,
               case when c.tenant_id is null and cast(:tenant_id as uuid) is not null then (
                        select count(*) from lease l
                         where l.tenant_id = :tenant_id and (c.pool_id is null or c.pool_id = l.pool_id))
                    else {_RUNNING} end as running
          from cap c left join pool p on p.id = c.pool_id
         where cast(:tenant_id as uuid) is null or c.tenant_id is null or c.tenant_id = :tenant_id
         order by c.id""").bindparams(bindparam("tenant_id", type_=Uuid())),
        {"tenant_id": tenant_id},
    ).all()
