"""Every statement about groups of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, insert, text
from sqlalchemy.dialects.postgresql import ARRAY

from memoryd.dispatch.queries.fleet import ONLINE_S
from memoryd.dispatch.tables.jobs import JobGroup
from memoryd.foundation.database import Session

Found = Row[Any]

_GROUP = "g.id, g.project_id, g.person_id, g.name, g.total, g.paused_at, g.cancelled_at, g.created_at"


def insert_group(session: Session, values: Mapping[str, object]) -> None:
    """Write a group."""
    session.execute(insert(JobGroup).values(**values))


def find_group(session: Session, *, group_id: UUID, tenant_id: UUID) -> Found | None:
    """A tenant's group."""
    return session.execute(
        text(f"select {_GROUP} from job_group g where g.id = :id and g.tenant_id = :tenant_id"),
        {"id": group_id, "tenant_id": tenant_id},
    ).first()


def list_groups(
    session: Session,
    *,
    tenant_id: UUID,
    projects: Sequence[UUID] | None,
    person_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Found]:
    """A tenant's groups, newest first, of these projects or of this person, before a group's id."""
    return session.execute(
        text(f"""select {_GROUP} from job_group g where g.tenant_id = :tenant_id
                   and (:everything or g.project_id = any(cast(:projects as uuid[])) or g.person_id = :person_id)
                   and (cast(:before as uuid) is null or g.id < :before)
                 order by g.id desc limit :limit""").bindparams(
            bindparam("projects", type_=ARRAY(Uuid())), bindparam("person_id", type_=Uuid())
        ),
        {
            "tenant_id": tenant_id,
            "everything": projects is None,
            "projects": list(projects or ()),
            "person_id": person_id,
            "before": before,
            "limit": limit,
        },
    ).all()


def list_counts(session: Session, *, group_id: UUID) -> Sequence[Found]:
    """A group's jobs by state: state, jobs, cost_ms."""
    return session.execute(
        text("""select state, count(*) as jobs, sum(cost_ms)::bigint as cost_ms from job
                 where group_id = :group_id group by state"""),
        {"group_id": group_id},
    ).all()


def count_workers(session: Session, *, group_id: UUID) -> int:
    """How many workers are online in the pools in which something of a group is left to do."""
    workers: int = session.execute(
        text(f"""
        select count(distinct w.id) from (
            select distinct pool_id from job where group_id = :group_id and state in ('ready', 'leased', 'delayed', 'held')) p
          join worker_pool x on x.pool_id = p.pool_id
          join worker w on w.id = x.worker_id and w.state = 'active'
                       and w.seen_at > clock_timestamp() - interval '{ONLINE_S} s'"""),
        {"group_id": group_id},
    ).scalar_one()
    return workers


def set_paused(session: Session, *, group_id: UUID, tenant_id: UUID, paused: bool) -> bool:
    """Pause a group, or end its pause, after every transaction that lets jobs of it in; False where it is so already."""
    changed = session.execute(
        text("""update job_group set paused_at = case when :paused then clock_timestamp() end
                 where id = :id and tenant_id = :tenant_id and (paused_at is null) = :paused and cancelled_at is null
                returning 1"""),
        {"id": group_id, "tenant_id": tenant_id, "paused": paused},
    )
    return changed.first() is not None


def set_cancelled(session: Session, *, group_id: UUID, tenant_id: UUID) -> None:
    """Note that a group takes no further jobs, after everybody who is entering it at this moment."""
    session.execute(
        text("""update job_group set cancelled_at = coalesce(cancelled_at, clock_timestamp()), paused_at = null
                 where id = :id and tenant_id = :tenant_id"""),
        {"id": group_id, "tenant_id": tenant_id},
    )


def revive(session: Session, *, group_id: UUID, tenant_id: UUID) -> None:
    """Let a group take jobs again."""
    session.execute(
        text("update job_group set cancelled_at = null where id = :id and tenant_id = :tenant_id"),
        {"id": group_id, "tenant_id": tenant_id},
    )


def list_of_state(
    session: Session, *, group_id: UUID, states: Sequence[str], after: UUID | None, limit: int
) -> list[UUID]:
    """A group's jobs in these states, in order of their ids, after one."""
    return list(
        session.execute(
            text("""select id from job where group_id = :group_id and state = any(cast(:states as text[]))
                       and (cast(:after as uuid) is null or id > :after) order by id limit :limit"""),
            {"group_id": group_id, "states": list(states), "after": after, "limit": limit},
        ).scalars()
    )


_RENEW = text("""
    with meant as (
        select id from job where id = any(cast(:ids as uuid[])) and state in ('dead', 'cancelled', 'expired')
           and not exists (select from approval_hold a where a.id = job.approval_id and a.refused is not null)
         order by id for no key update),
    alive as (delete from dead where job_id = any(array(select id from meant))),
    forgotten as (
        -- A run that was cancelled left a result that says so: the next run may leave another.
        delete from result where job_id = any(array(select id from meant)) and outcome = 'cancelled')
    update job j set state = 'held', attempt = 0, infra_attempts = 0, replays = j.replays + 1, cancel_requested = false,
           avoid_worker = null, ended_at = null, vtag = 0, class_id = coalesce(cast(:class_id as smallint), j.class_id),
           expires_at = clock_timestamp() + make_interval(secs => :expires_in_s)
      from meant m where j.id = m.id returning j.id""").bindparams(bindparam("ids", type_=ARRAY(Uuid())))


def renew_jobs(
    session: Session, *, job_ids: Sequence[UUID], expires_in_s: float, class_id: int | None = None
) -> list[UUID]:
    """Give ended jobs without success a fresh budget; they lie nowhere then, and are to be let in: their ids."""
    values = {"ids": list(job_ids), "expires_in_s": expires_in_s, "class_id": class_id}
    return list(session.execute(_RENEW, values).scalars())
