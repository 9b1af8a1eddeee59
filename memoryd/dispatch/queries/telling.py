"""Every statement about what is still to be told to tenants, and about workers that fall silent."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from memoryd.dispatch.queries.fleet import ONLINE_S
from memoryd.foundation.database import Session

Found = Row[Any]

_OF_JOBS = text("""
    insert into told (tenant_id, kind, subject, facts)
    select j.tenant_id, :kind, j.id, jsonb_strip_nulls(jsonb_build_object(
               'project_id', j.project_id, 'pool', p.name, 'group_id', j.group_id)) || :facts
      from job j join pool p on p.id = j.pool_id where j.id = any(cast(:ids as uuid[])) order by j.id""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid())), bindparam("facts", type_=JSONB)
)

_SERVED = """
      from worker w join tenant t on t.state = 'active' and (cardinality(w.serves) = 0 or t.id = any(w.serves))
     where w.id = any(cast(:ids as uuid[])) order by w.id, t.id"""

_OF_WORKERS = text(f"""
    insert into told (tenant_id, kind, subject, facts)
    select t.id, :kind, w.id, jsonb_build_object('label', w.label, 'state', w.state, 'pools', array(
               select p.name from worker_pool x join pool p on p.id = x.pool_id where x.worker_id = w.id order by 1))
    {_SERVED}""").bindparams(bindparam("ids", type_=ARRAY(Uuid())))

_OF_ONE_TENANT = text("""
    insert into told (tenant_id, kind, subject, facts) values (:tenant_id, :kind, :subject, :facts)""").bindparams(
    bindparam("facts", type_=JSONB)
)


def insert_of_jobs(session: Session, *, kind: str, job_ids: Sequence[UUID], facts: Mapping[str, object]) -> None:
    """Write that the same happened to jobs, for the tenant of each."""
    session.execute(_OF_JOBS, {"kind": kind, "ids": list(job_ids), "facts": dict(facts)})


def insert_of_workers(session: Session, *, kind: str, worker_ids: Sequence[UUID]) -> None:
    """Write that something happened to workers, for each tenant that they serve."""
    session.execute(_OF_WORKERS, {"kind": kind, "ids": list(worker_ids)})


def insert_of_tenant(
    session: Session, *, kind: str, tenant_id: UUID, subject: UUID, facts: Mapping[str, object]
) -> None:
    """Write that something happened, for one tenant."""
    session.execute(_OF_ONE_TENANT, {"kind": kind, "tenant_id": tenant_id, "subject": subject, "facts": dict(facts)})


def list_addressed(session: Session) -> list[UUID]:
    """The tenants to whom something is to be told."""
    return list(session.execute(text("select distinct tenant_id from told")).scalars())


def delete_of_tenant(session: Session, *, tenant_id: UUID, limit: int) -> Sequence[Found]:
    """Take what is to be told to a tenant, in its order: id, kind, subject, facts, at. Waits for who does so just now."""
    return session.execute(
        text("""
        with taken as (
            delete from told where id = any(array(
                select id from told where tenant_id = :tenant_id order by id limit :limit for update))
            returning id, kind, subject, facts, at)
        select * from taken order by id"""),
        {"tenant_id": tenant_id, "limit": limit},
    ).all()


def delete_unheard(session: Session, *, kept_days: int) -> None:
    """Forget what nobody took: of tenants that are no longer served."""
    session.execute(
        text("delete from told where at < clock_timestamp() - make_interval(days => :days)"), {"days": kept_days}
    )


# --- workers that fall silent


def mark_silent(session: Session, *, calm_since: datetime.datetime) -> list[UUID]:
    """Note which workers are silent that were heard before; return those. None until it has been calm for as long."""
    return list(
        session.execute(
            text(f"""update worker set silent_since = clock_timestamp()
                      where silent_since is null and state in ('active', 'draining')
                        and seen_at < clock_timestamp() - interval '{ONLINE_S} s'
                        and :calm_since < clock_timestamp() - interval '{ONLINE_S} s' returning id"""),
            {"calm_since": calm_since},
        ).scalars()
    )


def mark_heard(session: Session) -> list[UUID]:
    """Note which silent workers are heard again; return those. One that left or was removed is no longer silent either."""
    rows = session.execute(
        text(f"""update worker set silent_since = null
                  where silent_since is not null
                    and (state not in ('active', 'draining') or seen_at > clock_timestamp() - interval '{ONLINE_S} s')
                 returning id, state""")
    ).all()
    return [row.id for row in rows if row.state in ("active", "draining")]
