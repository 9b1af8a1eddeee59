"""Every statement of upkeep: cancelling, reaping, promoting, expiring, the watermark, the leader, the epoch, pruning.

All are safe to repeat and safe for two leaders at once: rows are locked with `skip locked`, and each is guarded itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.dispatch.queries.ready_rows import IN_ORDER, at_key
from memoryd.foundation.database import Session

Found = Row[Any]

STEP_LIMIT = 500
"""Jobs that one transaction of upkeep moves at most."""

# --- cancelling


def find_place(session: Session, *, job_id: UUID) -> Found | None:
    """Where a job lies in the order: tenant_id, pool_id, class_id, vtag, state."""
    return session.execute(
        text("select tenant_id, pool_id, class_id, vtag, state from job where id = :job_id"), {"job_id": job_id}
    ).first()


def take_waiting(session: Session, *, job_ids: Sequence[UUID]) -> list[UUID]:
    """Take jobs out of where they wait, but for those that a claim or a move has in hand at this moment: their ids.

    Those will be found by whoever has them.
    """
    return list(
        session.execute(
            text(f"""
            with meant as (
                select j.id, j.pool_id, j.class_id, j.vtag, j.state from job j
                 where j.id = any(cast(:ids as uuid[])) and j.state in ('ready', 'held', 'delayed')),
            from_ready as (
                delete from ready where ctid = any(array(
                    select x.ctid from meant m cross join lateral (
                        select r.ctid from ready r where r.pool_id = m.pool_id and r.class_id = m.class_id
                           and {at_key("m.vtag", "m.id")} {IN_ORDER} limit 1 for update skip locked) x))
                returning job_id),
            from_held as (
                delete from held where job_id = any(array(
                    select h.job_id from meant m join held h on h.job_id = m.id for update of h skip locked))
                returning job_id),
            from_delayed as (
                delete from delayed where job_id = any(array(
                    select d.job_id from meant m join delayed d on d.job_id = m.id for update of d skip locked))
                returning job_id)
            select job_id from from_ready union all select job_id from from_held union all select job_id from from_delayed
             order by 1"""),
            {"ids": list(job_ids)},
        ).scalars()
    )


def end_jobs(session: Session, *, job_ids: Sequence[UUID], state: str) -> None:
    """End jobs that were just taken out of where they waited."""
    session.execute(
        text("""
        with locked as (
            select id from job where id = any(cast(:ids as uuid[])) order by id for no key update)
        update job j set state = :state, cancel_requested = j.cancel_requested or :state = 'cancelled',
               ended_at = clock_timestamp() from locked where j.id = locked.id"""),
        {"ids": list(job_ids), "state": state},
    )


def request_cancel(session: Session, *, job_id: UUID) -> str | None:
    """Ask whoever has the job to stop; return its state, None where it has ended."""
    state: str | None = session.execute(
        text("""update job set cancel_requested = true
                 where id = :job_id and state in ('ready', 'leased', 'delayed', 'held') returning state"""),
        {"job_id": job_id},
    ).scalar()
    return state


# --- the leader's steps


_ABOUT_LEASE = "l.job_id, l.fence, l.deadline_at < clock_timestamp() as past_deadline"


def lock_expired_leases(session: Session, *, calm_since: datetime.datetime, limit: int) -> Sequence[Found]:
    """Leases that ran out, in order of their jobs: job_id, fence, past_deadline.

    None while the queue itself has not been calm for a whole visibility: after an outage of database or server every
    lease looks silent, and its holder must get the chance to be heard.
    """
    return session.execute(
        text(f"""
        select {_ABOUT_LEASE} from lease l join job_class k on k.id = l.class_id
         where l.ctid >= '(0,0)' and l.expires_at < clock_timestamp()
           and :calm_since + make_interval(secs => k.visibility_s) < clock_timestamp()
         order by l.job_id limit :limit for update of l skip locked"""),
        {"calm_since": calm_since, "limit": limit},
    ).all()


def lock_leases_of_earlier_starts(session: Session, *, worker_id: UUID, incarnation: UUID) -> Sequence[Found]:
    """What a worker held before it was started anew, in order; columns as lock_expired_leases."""
    return session.execute(
        text(f"""select {_ABOUT_LEASE} from lease l where l.worker_id = :worker_id and l.incarnation <> :incarnation
                  order by l.job_id for update"""),
        {"worker_id": worker_id, "incarnation": incarnation},
    ).all()


def lock_all_leases(session: Session) -> Sequence[Found]:
    """Every lease, in order; columns as lock_expired_leases."""
    return session.execute(text(f"select {_ABOUT_LEASE} from lease l order by l.job_id for update")).all()


def delete_due_delayed(session: Session, *, limit: int) -> list[UUID]:
    """Take out jobs whose wait is over: their ids."""
    return list(
        session.execute(
            text("""delete from delayed where job_id = any(array(
                        select job_id from delayed where run_at <= clock_timestamp() order by run_at limit :limit
                           for update skip locked))
                    returning job_id"""),
            {"limit": limit},
        ).scalars()
    )


def delete_expired(session: Session, *, limit: int) -> list[UUID]:
    """Take out jobs that nobody started in time, wherever they wait: their ids.

    What waits is read from end to end, as it lies (by ctid): an index for it would cost every enqueue more than this does.
    """
    return list(
        session.execute(
            text("""
            with from_ready as (
                delete from ready where ctid = any(array(
                    select ctid from ready where ctid >= '(0,0)' and expires_at < clock_timestamp()
                     limit :limit for update skip locked))
                returning job_id),
            from_held as (
                delete from held where job_id = any(array(
                    select job_id from held where expires_at < clock_timestamp() order by expires_at limit :limit
                       for update skip locked))
                returning job_id),
            from_delayed as (
                delete from delayed where job_id = any(array(
                    select d.job_id from delayed d join job j on j.id = d.job_id
                     where j.expires_at < clock_timestamp() limit :limit for update of d skip locked))
                returning job_id)
            select job_id from from_ready union all select job_id from from_held union all select job_id from from_delayed
             order by 1"""),
            {"limit": limit},
        ).scalars()
    )


def advance_mark(session: Session, *, pool_id: UUID, class_id: int) -> None:
    """Move the low watermark to the smallest live tag, so that claims do not walk over the dead rows before it.

    Only tries for its lock: an enqueue under way is never overtaken, and nobody ever waits for this.
    """
    name = {"name": f"memoryd.dispatch.order:{pool_id}:{class_id}"}
    if not session.execute(text("select pg_try_advisory_xact_lock(hashtextextended(:name, 0))"), name).scalar_one():
        return
    session.execute(
        text("""
        insert into mark as m (pool_id, class_id, low)
        select :pool_id, :class_id, low from (select coalesce(
            (select r.vtag from ready r where r.pool_id = :pool_id and r.class_id = :class_id and r.vtag >= coalesce(
                 (select m.low from mark m where m.pool_id = :pool_id and m.class_id = :class_id), -1)
              order by r.vtag, r.job_id limit 1),
            (select max(f.last_finish) from flow f where f.pool_id = :pool_id and f.class_id = :class_id)) as low) present
         where low is not null
        on conflict (pool_id, class_id) do update set low = excluded.low where m.low < excluded.low"""),
        {"pool_id": pool_id, "class_id": class_id},
    )


def list_orders(session: Session) -> Sequence[Found]:
    """The pools and classes that ever had a job: pool_id, class_id."""
    return session.execute(text("select distinct pool_id, class_id from flow order by 1, 2")).all()


def list_strays(session: Session, *, limit: int) -> Sequence[Found]:
    """Waiting jobs below their watermark, which no claim would ever see: pool_id, class_id, vtag, job_id."""
    return session.execute(
        text("""select r.pool_id, r.class_id, r.vtag, r.job_id from ready r
                  join mark m on m.pool_id = r.pool_id and m.class_id = r.class_id and r.vtag < m.low
                 order by r.vtag, r.job_id limit :limit"""),
        {"limit": limit},
    ).all()


def delete_strays(session: Session, *, limit: int) -> list[UUID]:
    """Take waiting jobs below their watermark out of the order: their ids."""
    return list(
        session.execute(
            text("""delete from ready where ctid = any(array(
                        select r.ctid from ready r
                          join mark m on m.pool_id = r.pool_id and m.class_id = r.class_id and r.vtag < m.low
                         limit :limit for update of r skip locked))
                    returning job_id"""),
            {"limit": limit},
        ).scalars()
    )


def prune_flows(session: Session) -> None:
    """Forget flows that reach less far than the present: whoever enters next begins there anyway."""
    session.execute(
        text("""
        delete from flow f using mark m
         where m.pool_id = f.pool_id and m.class_id = f.class_id and greatest(f.last_finish, f.last_back) < m.low""")
    )


def prune_setbacks(session: Session) -> None:
    """Forget setbacks of an hour ago."""
    session.execute(text("delete from setback where at < clock_timestamp() - interval '1 h'"))


def prune_join_tokens(session: Session) -> None:
    """Forget join tokens that were used or ran out."""
    session.execute(
        text("delete from join_token where coalesce(used_at, expires_at) < clock_timestamp() - interval '1 day'")
    )


def prune_job_keys(session: Session, *, kept_days: int) -> None:
    """Forget idempotency keys older than `kept_days`."""
    session.execute(
        text("delete from job_key where created_at < clock_timestamp() - make_interval(days => :days)"),
        {"days": kept_days},
    )


# --- who leads


def take_lead(session: Session, *, name: str, holder: UUID, term_s: float) -> datetime.datetime | None:
    """Take or keep the lead for `term_s` seconds; None where somebody else leads.

    Returns since when the queue is calm: led without a gap, by a database that has not been restarted.
    """
    return session.execute(
        text("""
        insert into leader as l (name, holder, elected_at, until)
        values (:name, :holder, clock_timestamp(), clock_timestamp() + make_interval(secs => :term))
        on conflict (name) do update
           set elected_at = case when l.holder = :holder and l.until > clock_timestamp() then l.elected_at
                                 else clock_timestamp() end,
               holder = :holder, until = excluded.until
         where l.holder = :holder or l.until < clock_timestamp()
        returning greatest(elected_at, pg_postmaster_start_time())"""),
        {"name": name, "holder": holder, "term": term_s},
    ).scalar()


def resign(session: Session, *, name: str, holder: UUID) -> None:
    """Give up the lead, so that the next need not wait for the term's end."""
    session.execute(
        text("delete from leader where name = :name and holder = :holder"), {"name": name, "holder": holder}
    )


# --- which database this is


def read_identity(session: Session) -> Found:
    """What a copy does not share with its original: system_identifier, timeline, database_oid."""
    return session.execute(
        text("""select (select system_identifier from pg_control_system()) as system_identifier,
                       (select timeline_id from pg_control_checkpoint()) as timeline,
                       (select oid::bigint from pg_database where datname = current_database()) as database_oid""")
    ).one()


def note_identity(session: Session, identity: Found) -> bool:
    """Write which database this is; True where another was written before, so that this one is a copy."""
    values = {
        "system_identifier": identity.system_identifier,
        "timeline": identity.timeline,
        "database_oid": identity.database_oid,
    }
    changed = session.execute(
        text("""
        update restore_epoch set system_identifier = :system_identifier, timeline = :timeline, database_oid = :database_oid,
               epoch = epoch + 1, changed_at = clock_timestamp()
         where id = 1 and (system_identifier, timeline, database_oid) <> (:system_identifier, :timeline, :database_oid)
        returning epoch"""),
        values,
    )
    if changed.first() is not None:
        return True
    session.execute(
        text("""insert into restore_epoch (id, system_identifier, timeline, database_oid, epoch)
                values (1, :system_identifier, :timeline, :database_oid, 0) on conflict do nothing"""),
        values,
    )
    return False
