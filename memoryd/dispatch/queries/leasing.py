"""Every statement about jobs and leases. The guard stands in the statement that changes the row, never before it.

Lock order everywhere: `ready` (or `delayed`), then `lease`, then `job`, then `flow`. Only the database's clock is ever
compared. Deletions name the full key: a join here made the planner read every dead row again.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy import Double, Row, Text, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from memoryd.foundation.database import Session

Found = Row[Any]
_DOUBLE: Double[float] = Double()
_TEXT = Text()


class Picked(TypedDict):
    """The full key of a waiting job."""

    pool_id: UUID
    class_id: int
    vtag: int
    job_id: UUID


DEPTH_LIMIT = 500
"""Rows that counting a queue's depth looks at: an exact count of a million rows takes 92 ms, this 0.5 ms."""

_LOW = "coalesce((select m.low from mark m where m.pool_id = :pool_id and m.class_id = :class_id), -1)"

_VIRTUAL_TIME = f"""greatest({_LOW}, coalesce(
    (select r.vtag from ready r where r.pool_id = :pool_id and r.class_id = :class_id and r.vtag >= {_LOW}
      order by r.vtag, r.job_id limit 1),
    (select max(f.last_finish) from flow f where f.pool_id = :pool_id and f.class_id = :class_id), 0))"""
"""The fair order's present: the smallest live tag, or the furthest finish when nothing waits."""

_MAY_TAKE = """r.expires_at > clock_timestamp()
    and (cardinality(cast(:serves as uuid[])) = 0 or r.tenant_id = any(cast(:serves as uuid[])))
    and (r.avoid_worker is distinct from :worker_id or :alone)"""
"""Hard conditions come before any ranking: no preference may ever lead to a worker that must not have the job."""


def lock_order_shared(session: Session, pool_id: UUID, class_id: int) -> None:
    """Hold off the watermark of one pool and class until commit: it must not overtake a tag that is being inserted."""
    session.execute(
        text("select pg_advisory_xact_lock_shared(hashtextextended(:name, 0))"),
        {"name": _order_name(pool_id, class_id)},
    )


def _order_name(pool_id: UUID, class_id: int) -> str:
    return f"memoryd.dispatch.order:{pool_id}:{class_id}"


# --- entering


def insert_job_key(session: Session, *, tenant_id: UUID, key: str, job_id: UUID, body_sha256: bytes) -> bool:
    """Take an idempotency key; False where it is taken. Waits for a transaction that is taking the same key."""
    inserted = session.execute(
        text("""insert into job_key (tenant_id, key, job_id, body_sha256) values (:tenant_id, :key, :job_id, :body_sha256)
                on conflict do nothing returning 1"""),
        {"tenant_id": tenant_id, "key": key, "job_id": job_id, "body_sha256": body_sha256},
    )
    return inserted.first() is not None


def find_job_key(session: Session, *, tenant_id: UUID, key: str) -> Found | None:
    """What a key names: job_id, body_sha256."""
    return session.execute(
        text("select job_id, body_sha256 from job_key where tenant_id = :tenant_id and key = :key"),
        {"tenant_id": tenant_id, "key": key},
    ).first()


def insert_job(session: Session, values: Mapping[str, object]) -> int:
    """Write a job and its place in the fair order; return its tag. Call lock_order_shared first.

    start = max(the tenant's last finish, the present); last finish = start + cost/weight.
    """
    statement = text(f"""
        with placed as (
            insert into flow as f (pool_id, class_id, tenant_id, last_finish)
            values (:pool_id, :class_id, :tenant_id, {_VIRTUAL_TIME} + :cost_ms)
            on conflict (pool_id, class_id, tenant_id, project_id) do update
               set last_finish = greatest(f.last_finish, excluded.last_finish - :cost_ms) + (:cost_ms / f.weight)::bigint
            returning last_finish - (:cost_ms / weight)::bigint as vtag),
        written as (
            insert into job (id, tenant_id, pool_id, class_id, model_set, cost_ms, vtag, state, max_attempts, follow_up,
                             expires_at)
            select :job_id, :tenant_id, :pool_id, :class_id, :model_set, :cost_ms, vtag, 'ready', :max_attempts, :follow_up,
                   clock_timestamp() + make_interval(secs => :expires_in_s)
              from placed returning *)
        insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, cost_ms, expires_at)
        select pool_id, class_id, vtag, id, model_set, tenant_id, cost_ms, expires_at from written returning vtag""")
    follow_up = bindparam("follow_up", type_=JSONB(none_as_null=True))
    vtag: int = session.execute(statement.bindparams(follow_up), dict(values)).scalar_one()
    return vtag


def count_ahead(session: Session, *, pool_id: UUID, class_id: int, vtag: int, job_id: UUID) -> Found:
    """What comes before a tag: jobs (up to DEPTH_LIMIT), cost_ms of them and of what runs, workers that are online."""
    return session.execute(
        text(f"""
        select count(*) as jobs, coalesce(sum(cost_ms), 0)::bigint
               + (select coalesce(sum(j.cost_ms), 0)::bigint / 2 from lease l join job j on j.id = l.job_id
                   where l.pool_id = :pool_id) as cost_ms,
               (select count(*) from worker_pool p join worker w on w.id = p.worker_id where p.pool_id = :pool_id
                   and w.state = 'active' and w.seen_at > clock_timestamp() - interval '60 s') as workers
          from (select r.cost_ms from ready r where r.pool_id = :pool_id and r.class_id = :class_id and r.vtag >= {_LOW}
                   and (r.vtag, r.job_id) < (:vtag, :job_id) order by r.vtag, r.job_id limit {DEPTH_LIMIT}) ahead"""),
        {"pool_id": pool_id, "class_id": class_id, "vtag": vtag, "job_id": job_id},
    ).one()


# --- claiming


def list_heads(session: Session, asks: Mapping[str, object]) -> Sequence[Found]:
    """The pools and classes in which this worker finds something, the one whose head waits longest first.

    A class's age offset is added to its head's time of entry: keys that never change, so that nothing is aged by update.
    """
    return session.execute(
        text(f"""
        select p.id as pool_id, k.id as class_id, coalesce(m.low, -1) as low,
               (k.affinity * p.warm_up_s * 1000)::bigint as bonus
          from unnest(cast(:pool_ids as uuid[])) wanted(id) join pool p on p.id = wanted.id cross join job_class k
          left join mark m on m.pool_id = p.id and m.class_id = k.id
         cross join lateral (select r.enqueued_at from ready r
               where r.pool_id = p.id and r.class_id = k.id and r.vtag >= coalesce(m.low, -1) and {_MAY_TAKE}
               order by r.vtag, r.job_id limit 1) head
         order by head.enqueued_at + make_interval(secs => k.age_offset_s), k.id"""),
        dict(asks),
    ).all()


def lock_cold(session: Session, asks: Mapping[str, object]) -> Found | None:
    """The first job in fair order that nobody else is taking: vtag, job_id, model_set."""
    return session.execute(
        text(f"""
        select r.vtag, r.job_id, r.model_set from ready r
         where r.pool_id = :pool_id and r.class_id = :class_id and r.vtag >= :low and {_MAY_TAKE}
         order by r.vtag, r.job_id limit 1 for update skip locked"""),
        dict(asks),
    ).first()


def lock_warm(session: Session, asks: Mapping[str, object]) -> Found | None:
    """The first job within the bonus for which a model is loaded already, if nobody else is taking it."""
    return session.execute(
        text(f"""
        with warm as (
            select x.vtag, x.job_id from unnest(cast(:loaded as text[])) have(model_set)
             cross join lateral (select r.vtag, r.job_id from ready r
                   where r.pool_id = :pool_id and r.class_id = :class_id and r.model_set = have.model_set
                     and r.vtag >= :low and r.vtag <= cast(:cold_vtag as bigint) + :bonus and {_MAY_TAKE}
                   order by r.vtag, r.job_id limit 1) x
             order by x.vtag, x.job_id limit 1)
        select r.vtag, r.job_id, r.model_set from ready r, warm
         where r.pool_id = :pool_id and r.class_id = :class_id and r.vtag = warm.vtag and r.job_id = warm.job_id
           for update of r skip locked"""),
        dict(asks),
    ).first()


def delete_ready(session: Session, *, pool_id: UUID, class_id: int, vtag: int, job_id: UUID) -> bool:
    """Take a job out of the waiting ones, by its full key; False where it is not there."""
    gone = session.execute(
        text("""delete from ready where pool_id = :pool_id and class_id = :class_id and vtag = :vtag and job_id = :job_id
                returning 1"""),
        {"pool_id": pool_id, "class_id": class_id, "vtag": vtag, "job_id": job_id},
    )
    return gone.first() is not None


def insert_lease(
    session: Session, *, job_id: UUID, token_hash: bytes, worker_id: UUID, incarnation: UUID
) -> Found | None:
    """Lease a job that waited and that nobody wants cancelled; None otherwise. The fence comes from the identity column."""
    return session.execute(
        text("""
        with taken as (
            update job set state = 'leased', attempt = attempt + 1
             where id = :job_id and state = 'ready' and not cancel_requested returning *),
        granted as (
            insert into lease (job_id, token_hash, worker_id, incarnation, tenant_id, project_id, person_id, pool_id,
                               class_id, vtag, expires_at, deadline_at)
            select t.id, :token_hash, :worker_id, :incarnation, t.tenant_id, t.project_id, t.person_id, t.pool_id, t.class_id, t.vtag,
                   clock_timestamp() + make_interval(secs => k.visibility_s),
                   clock_timestamp() + make_interval(secs => p.max_run_time_s)
              from taken t join job_class k on k.id = t.class_id join pool p on p.id = t.pool_id
            returning job_id, fence)
        select t.id as job_id, t.tenant_id, t.pool_id, t.model_set, t.attempt, g.fence, k.visibility_s, p.max_run_time_s
          from granted g join taken t on t.id = g.job_id join job_class k on k.id = t.class_id
          join pool p on p.id = t.pool_id"""),
        {"job_id": job_id, "token_hash": token_hash, "worker_id": worker_id, "incarnation": incarnation},
    ).first()


# --- while it runs


def extend_lease(session: Session, values: Mapping[str, object]) -> bool | None:
    """Extend a lease by its class's visibility, but past neither its deadline nor the limit without progress.

    Returns whether the job is to be cancelled; None where the lease is lost.
    """
    found = session.execute(
        text("""
        update lease l
           set progress = :progress, phase = :phase, node = :node,
               progressed_at = case when (l.progress, l.phase, l.node) is distinct from (:progress, :phase, :node)
                                    then clock_timestamp() else l.progressed_at end,
               expires_at = least(clock_timestamp() + make_interval(secs => k.visibility_s), l.deadline_at,
                                  case when (l.progress, l.phase, l.node) is distinct from (:progress, :phase, :node)
                                       then l.deadline_at
                                       else l.progressed_at + make_interval(secs => p.no_progress_limit_s) end)
          from job_class k, pool p
         where l.job_id = :job_id and l.fence = :fence and l.token_hash = :token_hash and l.worker_id = :worker_id
           and k.id = l.class_id and p.id = l.pool_id
        returning (select j.cancel_requested from job j where j.id = l.job_id) as cancel""").bindparams(
            bindparam("progress", type_=_DOUBLE), bindparam("phase", type_=_TEXT), bindparam("node", type_=_TEXT)
        ),
        dict(values),
    ).first()
    return None if found is None else bool(found.cancel)


def find_lease(session: Session, values: Mapping[str, object]) -> Found | None:
    """The lease that job, fence, token and worker name: job_id, tenant_id."""
    return session.execute(
        text("""select l.job_id, j.tenant_id from lease l join job j on j.id = l.job_id
                 where l.job_id = :job_id and l.fence = :fence and l.token_hash = :token_hash and l.worker_id = :worker_id"""),
        dict(values),
    ).first()


# --- ending


def delete_lease(session: Session, values: Mapping[str, object]) -> Found | None:
    """End the lease that job, fence, token and worker name: pool_id, class_id, leased_at; None where there is none (INV-4)."""
    return session.execute(
        text("""delete from lease where job_id = :job_id and fence = :fence and token_hash = :token_hash
                   and worker_id = :worker_id returning job_id, pool_id, class_id, worker_id, fence, leased_at"""),
        dict(values),
    ).first()


def find_result(session: Session, *, job_id: UUID, fence: int, token_hash: bytes) -> bool:
    """Tell whether this very lease's report, of success or of failure, was recorded before."""
    found = session.execute(
        text("""
        select 1 from result where job_id = :job_id and fence = :fence and token_hash = :token_hash
        union all select 1 from job where id = :job_id and failures @> :failure""").bindparams(
            bindparam("failure", type_=JSONB)
        ),
        {
            "job_id": job_id,
            "fence": fence,
            "token_hash": token_hash,
            "failure": [{"fence": fence, "token_hash": token_hash.hex()}],
        },
    )
    return found.first() is not None


def end_job(session: Session, *, job_id: UUID, state: str) -> Found:
    """End a leased job: tenant_id, cost_ms, pool_id, class_id."""
    return session.execute(
        text("""update job set state = :state, ended_at = clock_timestamp() where id = :job_id and state = 'leased'
                returning tenant_id, cost_ms, pool_id, class_id"""),
        {"job_id": job_id, "state": state},
    ).one()


def insert_result(
    session: Session, *, job_id: UUID, fence: int, token_hash: bytes, outcome: str, worker_id: UUID
) -> None:
    """Write how a job ended. The key refuses a second result."""
    session.execute(
        text("""insert into result (job_id, fence, token_hash, outcome, worker_id)
                values (:job_id, :fence, :token_hash, :outcome, :worker_id)"""),
        {"job_id": job_id, "fence": fence, "token_hash": token_hash, "outcome": outcome, "worker_id": worker_id},
    )


def correct_flow(session: Session, *, job: Found, leased_at: datetime.datetime) -> None:
    """Charge a tenant for what a job took instead of what it was estimated to take: a lie about cost does not pay."""
    session.execute(
        text("""update flow set last_finish = greatest(0, last_finish
                       + ((extract(epoch from clock_timestamp() - :leased_at) * 1000 - :cost_ms) / weight)::bigint)
                 where pool_id = :pool_id and class_id = :class_id and tenant_id = :tenant_id"""),
        {
            "leased_at": leased_at,
            "cost_ms": job.cost_ms,
            "pool_id": job.pool_id,
            "class_id": job.class_id,
            "tenant_id": job.tenant_id,
        },
    )


def end_try(session: Session, values: Mapping[str, object]) -> Found:
    """End a try that made nothing, and decide what is next: state, tenant_id, attempt, infra_attempts, backoff_s.

    `then` is where the job goes while tries are left (`delayed` or `ready`); an uncounted try gives its attempt back.
    """
    return session.execute(
        text("""
        update job j set
               failures = j.failures || jsonb_build_array(:failure || jsonb_build_object('attempt', j.attempt,
                                                                                       'at', clock_timestamp())),
               avoid_worker = case when :avoid then :worker_id else j.avoid_worker end,
               attempt = j.attempt - (not :counts)::int,
               infra_attempts = j.infra_attempts + (not :counts)::int,
               state = case when j.cancel_requested then 'cancelled'
                            when :counts and j.attempt >= j.max_attempts then 'dead'
                            when not :counts and j.infra_attempts + 1 >= :infra_limit then 'dead'
                            when j.infra_attempts >= :patience then 'delayed'
                            else :then end,
               ended_at = case when j.cancel_requested then clock_timestamp() else j.ended_at end
          from job_class k
         where j.id = :job_id and j.state = 'leased' and k.id = j.class_id
        returning j.state, j.tenant_id, j.pool_id, j.class_id, j.attempt, j.infra_attempts, k.backoff_s""").bindparams(
            bindparam("failure", type_=JSONB)
        ),
        dict(values),
    ).one()


def insert_delayed(session: Session, *, job_id: UUID, wait_s: float) -> None:
    """Let a job wait before its next try."""
    session.execute(
        text(
            "insert into delayed (job_id, run_at) values (:job_id, clock_timestamp() + make_interval(secs => :wait_s))"
        ),
        {"job_id": job_id, "wait_s": wait_s},
    )


def insert_dead(session: Session, *, job_id: UUID, tenant_id: UUID, reason: str) -> None:
    """Give a job up."""
    session.execute(
        text("insert into dead (job_id, tenant_id, reason) values (:job_id, :tenant_id, :reason)"),
        {"job_id": job_id, "tenant_id": tenant_id, "reason": reason},
    )


def requeue_job(session: Session, *, job_id: UUID, pool_id: UUID, class_id: int, fresh_budget: bool) -> None:
    """Let a job wait again under its old tag, or at the present where that has passed. Call lock_order_shared first."""
    session.execute(
        text(f"""
        with back as (
            update job set state = 'ready', vtag = greatest(vtag, {_VIRTUAL_TIME}), ended_at = null,
                   attempt = case when :fresh then 0 else attempt end,
                   infra_attempts = case when :fresh then 0 else infra_attempts end,
                   replays = replays + cast(:fresh as int), cancel_requested = cancel_requested and not :fresh,
                   expires_at = case when :fresh then clock_timestamp() + interval '72 h' else expires_at end
             where id = :job_id returning *)
        insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, avoid_worker, cost_ms, expires_at)
        select pool_id, class_id, vtag, id, model_set, tenant_id, avoid_worker, cost_ms, expires_at from back"""),
        {"job_id": job_id, "pool_id": pool_id, "class_id": class_id, "fresh": fresh_budget},
    )
