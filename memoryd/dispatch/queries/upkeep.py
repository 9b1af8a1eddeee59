"""Every statement of upkeep: cancelling, reaping, promoting, expiring, the watermark, the leader, the epoch, pruning.

All are safe to repeat and safe for two leaders at once: rows are locked with `skip locked`, and each is guarded itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

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


def delete_waiting(session: Session, *, job_id: UUID, pool_id: UUID, class_id: int, vtag: int) -> bool:
    """Take a job out of `ready`, unless a claim has it in hand: then it is found by the claim itself."""
    held = session.execute(
        text("""select 1 from ready where pool_id = :pool_id and class_id = :class_id and vtag = :vtag and job_id = :job_id
                   for update skip locked"""),
        {"pool_id": pool_id, "class_id": class_id, "vtag": vtag, "job_id": job_id},
    )
    if held.first() is None:
        return False
    session.execute(
        text(
            "delete from ready where pool_id = :pool_id and class_id = :class_id and vtag = :vtag and job_id = :job_id"
        ),
        {"pool_id": pool_id, "class_id": class_id, "vtag": vtag, "job_id": job_id},
    )
    return True


def delete_delayed(session: Session, *, job_id: UUID) -> bool:
    """Take a job out of `delayed`."""
    return (
        session.execute(text("delete from delayed where job_id = :job_id returning 1"), {"job_id": job_id}).first()
        is not None
    )


def end_waiting_job(session: Session, *, job_id: UUID, state: str) -> None:
    """End a job that was just taken out of `ready` or `delayed`."""
    session.execute(
        text("""update job set state = :state, cancel_requested = cancel_requested or :state = 'cancelled',
                       ended_at = clock_timestamp() where id = :job_id and state in ('ready', 'delayed')"""),
        {"job_id": job_id, "state": state},
    )


def request_cancel(session: Session, *, job_id: UUID) -> bool:
    """Ask whoever has the job to stop; False where it has ended."""
    asked = session.execute(
        text("""update job set cancel_requested = true where id = :job_id and state in ('ready', 'leased', 'delayed')
                returning 1"""),
        {"job_id": job_id},
    )
    return asked.first() is not None


# --- the leader's steps


def delete_expired_leases(session: Session, *, calm_since: datetime.datetime, limit: int) -> Sequence[Found]:
    """End leases that ran out: job_id, fence, worker_id, past_deadline.

    None while the queue itself has not been calm for a whole visibility: after an outage of database or server every
    lease looks silent, and its holder must get the chance to be heard.
    """
    return session.execute(
        text("""
        with silent as (
            select l.job_id from lease l join job_class k on k.id = l.class_id
             where l.expires_at < clock_timestamp()
               and :calm_since + make_interval(secs => k.visibility_s) < clock_timestamp()
             order by l.expires_at limit :limit for update of l skip locked)
        delete from lease where job_id = any(array(select job_id from silent))
        returning job_id, fence, worker_id, deadline_at < clock_timestamp() as past_deadline"""),
        {"calm_since": calm_since, "limit": limit},
    ).all()


def delete_leases_of_earlier_starts(session: Session, *, worker_id: UUID, incarnation: UUID) -> Sequence[Found]:
    """End what a worker held before it was started anew; columns as delete_expired_leases."""
    return session.execute(
        text("""delete from lease where worker_id = :worker_id and incarnation <> :incarnation
                returning job_id, fence, worker_id, false as past_deadline"""),
        {"worker_id": worker_id, "incarnation": incarnation},
    ).all()


def delete_all_leases(session: Session) -> Sequence[Found]:
    """End every lease; columns as delete_expired_leases."""
    return session.execute(text("delete from lease returning job_id, fence, worker_id, false as past_deadline")).all()


def delete_due_delayed(session: Session, *, limit: int) -> Sequence[Found]:
    """Take out jobs whose wait is over: job_id."""
    return session.execute(
        text("""delete from delayed where job_id = any(array(
                    select job_id from delayed where run_at <= clock_timestamp() order by run_at limit :limit
                       for update skip locked))
                returning job_id"""),
        {"limit": limit},
    ).all()


def delete_expired_ready(session: Session, *, limit: int) -> Sequence[Found]:
    """Take out jobs that nobody started in time: job_id."""
    return session.execute(
        text("""delete from ready where ctid = any(array(
                    select ctid from ready where expires_at < clock_timestamp() limit :limit for update skip locked))
                returning job_id"""),
        {"limit": limit},
    ).all()


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
                 order by r.vtag, r.job_id limit :limit for update of r skip locked"""),
        {"limit": limit},
    ).all()


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
