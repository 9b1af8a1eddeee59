"""Every statement about what holds jobs back: paused projects and groups, jobs that must come first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, text

from memoryd.dispatch.queries.ready_rows import IN_ORDER, at_key, by, from_tag
from memoryd.foundation.database import Session

Found = Row[Any]
_PROJECT = bindparam("project_id", type_=Uuid())

# --- pausing


def insert_paused_project(session: Session, *, tenant_id: UUID, project_id: UUID) -> bool:
    """Pause a project; False where it is paused already."""
    made = session.execute(
        text("""insert into paused_project (tenant_id, project_id) values (:tenant_id, :project_id)
                on conflict do nothing returning 1"""),
        {"tenant_id": tenant_id, "project_id": project_id},
    )
    return made.first() is not None


def delete_paused_project(session: Session, *, tenant_id: UUID, project_id: UUID) -> bool:
    """End a project's pause, after every job that it is holding back at this moment; False where it is not paused."""
    gone = session.execute(
        text("delete from paused_project where tenant_id = :tenant_id and project_id = :project_id returning 1"),
        {"tenant_id": tenant_id, "project_id": project_id},
    )
    return gone.first() is not None


def list_paused_projects(session: Session, *, tenant_id: UUID) -> Sequence[Found]:
    """A tenant's paused projects: project_id, at."""
    return session.execute(
        text("select project_id, at from paused_project where tenant_id = :tenant_id order by at"),
        {"tenant_id": tenant_id},
    ).all()


def is_paused(session: Session, *, job_id: UUID, tenant_id: UUID, project_id: UUID | None) -> bool:
    """Whether a job's project or group is paused."""
    return bool(
        session.execute(
            text("""
            select exists (select from paused_project where tenant_id = :tenant_id and project_id = :project_id)
                or exists (select from job j join job_group g on g.id = j.group_id
                            where j.id = :job_id and g.paused_at is not null)""").bindparams(_PROJECT),
            {"job_id": job_id, "tenant_id": tenant_id, "project_id": project_id},
        ).scalar_one()
    )


_AT_JOB = f"""
    cross join lateral (
        select r.ctid from ready r where r.pool_id = j.pool_id and r.class_id = j.class_id and {at_key("j.vtag", "j.id")}
         {IN_ORDER} limit 1 for update skip locked) x"""

_DELETE_READY_OF_PAUSE = text(f"""
    delete from ready where ctid = any(
        array(select r.ctid from ready r where r.pool_id = :pool_id and r.class_id = :class_id
                 and {at_key(":vtag", ":job_id")} {IN_ORDER} for update skip locked)
     || array(select r.ctid from ready r
               where {from_tag("tenant_id", ":tenant_id", ":pool_id", ":class_id", ":low")}
                 and r.project_id = :project_id and exists (
                     select from paused_project q where q.tenant_id = :tenant_id and q.project_id = :project_id)
               {by("tenant_id")} limit :limit for update skip locked)
     || array(select x.ctid from job b join job j on j.group_id = b.group_id and j.state = 'ready'
                join job_group g on g.id = b.group_id and g.paused_at is not null {_AT_JOB}
               where b.id = :job_id limit :limit))
    returning job_id""").bindparams(_PROJECT)


def delete_ready_of_pause(session: Session, *, limit: int, **order: object) -> list[UUID]:
    """Take a job, and the next ones of the same paused project or group, out of one order: their ids."""
    return list(session.execute(_DELETE_READY_OF_PAUSE, {**order, "limit": limit}).scalars())


def delete_ready_of_project(session: Session, *, tenant_id: UUID, project_id: UUID, limit: int) -> list[UUID]:
    """Take a project's waiting jobs out of all orders, `limit` at most: their ids."""
    return list(
        session.execute(
            text(f"""
            delete from ready where ctid = any(array(
                select x.ctid from (
                    select distinct f.pool_id, f.class_id from flow f
                     where f.tenant_id = :tenant_id and f.project_id = :project_id) o
                  left join mark m on m.pool_id = o.pool_id and m.class_id = o.class_id
                 cross join lateral (
                    select r.ctid from ready r
                     where {from_tag("tenant_id", ":tenant_id", "o.pool_id", "o.class_id", "coalesce(m.low, -1)")}
                       and r.project_id = :project_id
                     {by("tenant_id")} limit :limit for update skip locked) x
                 limit :limit))
            returning job_id"""),
            {"tenant_id": tenant_id, "project_id": project_id, "limit": limit},
        ).scalars()
    )


def delete_ready_of_group(session: Session, *, group_id: UUID, limit: int) -> list[UUID]:
    """Take a group's waiting jobs out of all orders, `limit` at most: their ids."""
    return list(
        session.execute(
            text(f"""
            delete from ready where ctid = any(array(
                select x.ctid from (
                    select * from job where group_id = :group_id and state = 'ready' order by vtag, id limit :limit) j
                {_AT_JOB}))
            returning job_id"""),
            {"group_id": group_id, "limit": limit},
        ).scalars()
    )


# --- approvals


def insert_approval(session: Session, *, approval_id: UUID, tenant_id: UUID) -> None:
    """Let jobs wait for an approval, if they do not yet."""
    session.execute(
        text("insert into approval_hold (id, tenant_id) values (:id, :tenant_id) on conflict do nothing"),
        {"id": approval_id, "tenant_id": tenant_id},
    )


def delete_approval(session: Session, *, approval_id: UUID, tenant_id: UUID) -> bool:
    """Give an approval, after every job that it is holding back at this moment; False where nothing waits for it."""
    given = session.execute(
        text("delete from approval_hold where id = :id and tenant_id = :tenant_id returning 1"),
        {"id": approval_id, "tenant_id": tenant_id},
    )
    return given.first() is not None


def refuse_approval(session: Session, *, approval_id: UUID, tenant_id: UUID, reason: str) -> bool:
    """Note that an approval was refused; False where nothing waits for it."""
    refused = session.execute(
        text("update approval_hold set refused = :reason where id = :id and tenant_id = :tenant_id returning 1"),
        {"id": approval_id, "tenant_id": tenant_id, "reason": reason},
    )
    return refused.first() is not None


def list_held_of_approval(session: Session, *, approval_id: UUID, limit: int) -> list[UUID]:
    """Jobs that wait for an approval, also those that wait for something else before it."""
    return list(
        session.execute(
            text("select id from job where approval_id = :id and state = 'held' order by id limit :limit"),
            {"id": approval_id, "limit": limit},
        ).scalars()
    )


def count_held_of_approvals(session: Session, *, approval_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many jobs wait for each of these approvals."""
    rows = session.execute(
        text("""select approval_id, count(*) as jobs from job
                 where approval_id = any(cast(:ids as uuid[])) and state = 'held' group by approval_id"""),
        {"ids": list(approval_ids)},
    )
    return {row.approval_id: int(row.jobs) for row in rows}


# --- letting go


def delete_held(session: Session, *, reason: str, waits_for: UUID, limit: int) -> list[UUID]:
    """Take jobs that wait for this out of the held ones, in their order, `limit` at most: their ids."""
    return list(
        session.execute(
            text("""
            delete from held where job_id = any(array(
                select job_id from held where reason = :reason and waits_for = :waits_for
                 order by vtag, job_id limit :limit for update skip locked))
            returning job_id"""),
            {"reason": reason, "waits_for": waits_for, "limit": limit},
        ).scalars()
    )


def list_ended_pauses(session: Session) -> Sequence[Found]:
    """What holds jobs back and is no longer paused: reason, waits_for."""
    return session.execute(
        text("""
        with recursive holding(reason, id) as (
            select q.reason, (select waits_for from held h where h.reason = q.reason order by waits_for limit 1)
              from (values ('group'), ('project'), ('approval')) q(reason)
            union all
            select h.reason, (select x.waits_for from held x where x.reason = h.reason and x.waits_for > h.id
                               order by x.waits_for limit 1)
              from holding h where h.id is not null)
        select h.reason, h.id as waits_for from holding h
         where h.id is not null and case h.reason
               when 'group' then not exists (select from job_group g where g.id = h.id and g.paused_at is not null)
               when 'approval' then not exists (select from approval_hold a where a.id = h.id and a.refused is null)
               else not exists (select from paused_project p where p.project_id = h.id) end""")
    ).all()


def list_unmoved_pauses(session: Session, *, newer_than_s: float) -> Sequence[Found]:
    """What was paused lately, whose jobs may still be in the order: reason, id, tenant_id."""
    return session.execute(
        text("""
        select 'group' as reason, id, tenant_id from job_group
         where paused_at > clock_timestamp() - make_interval(secs => :newer)
        union all
        select 'project', project_id, tenant_id from paused_project
         where at > clock_timestamp() - make_interval(secs => :newer)"""),
        {"newer": newer_than_s},
    ).all()


def delete_stranded(session: Session, *, limit: int) -> Sequence[Found]:
    """Take jobs out of the held ones whose predecessor has ended without letting them go: job_id, waits_for, state.

    There should be none: whatever ends a job looks for those that follow it.
    """
    return session.execute(
        text("""
        with stranded as (
            select h.job_id, j.state from held h join job j on j.id = h.waits_for
             where h.reason = 'after' and j.state in ('succeeded', 'cancelled', 'expired', 'dead')
             order by h.job_id limit :limit for update of h skip locked)
        delete from held h using stranded s where h.job_id = s.job_id returning h.job_id, h.waits_for, s.state"""),
        {"limit": limit},
    ).all()
