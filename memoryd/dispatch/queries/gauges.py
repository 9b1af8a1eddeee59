"""Every statement about the state of the whole farm as its operator watches it: over all tenants, and no tenant's data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from memoryd.dispatch.queries.fleet import ONLINE_S
from memoryd.foundation.database import Session

Found = Row[Any]


def list_orders(session: Session) -> Sequence[Found]:
    """What waits, by pool and class: pool, urgency, waiting, waiting_s, oldest_s, lag.

    Counts every row: 0.1 s at a million of them, and asked for a few times a minute. `lag` is how far the smallest live
    tag is ahead of the watermark, in seconds of work.
    """
    return session.execute(
        text("""
        select p.name as pool, k.name as urgency, coalesce(q.waiting, 0) as waiting,
               coalesce(q.cost_ms, 0) / 1000.0 as waiting_s,
               coalesce(extract(epoch from clock_timestamp() - q.oldest), 0) as oldest_s,
               greatest(coalesce(q.first - m.low, 0), 0) / 1000.0 as lag
          from pool p cross join job_class k
          left join mark m on m.pool_id = p.id and m.class_id = k.id
          left join (select r.pool_id, r.class_id, count(*) as waiting, sum(r.cost_ms)::bigint as cost_ms,
                            min(r.enqueued_at) as oldest, min(r.vtag) as first
                       from ready r group by 1, 2) q on q.pool_id = p.id and q.class_id = k.id
         order by 1, k.id""")
    ).all()


def list_pools(session: Session) -> Sequence[Found]:
    """How each pool stands: pool, paused, running, delayed, held, dead."""
    return session.execute(
        text("""
        select p.name as pool, p.paused_at is not null as paused,
               (select count(*) from lease l where l.pool_id = p.id) as running,
               (select count(*) from delayed d join job j on j.id = d.job_id where j.pool_id = p.id) as delayed,
               (select count(*) from held h join job j on j.id = h.job_id where j.pool_id = p.id) as held,
               (select count(*) from dead d join job j on j.id = d.job_id where j.pool_id = p.id) as dead
          from pool p order by 1""")
    ).all()


def list_workers(session: Session) -> Sequence[Found]:
    """How each worker stands that has not left: id, label, gpu, state, online, silent_s, pools, running, memory in MiB."""
    return session.execute(
        text(f"""
        select w.id, w.label, w.gpu_name as gpu, w.state, w.vram_mb, w.vram_used_mb,
               coalesce(w.seen_at > clock_timestamp() - interval '{ONLINE_S} s', false) as online,
               extract(epoch from clock_timestamp() - w.seen_at) as silent_s,
               array(select p.name from worker_pool x join pool p on p.id = x.pool_id where x.worker_id = w.id
                      order by 1) || array(select o.name from pool o where o.owner_worker = w.id) as pools,
               (select count(*) from lease l where l.worker_id = w.id) as running
          from worker w where w.state in ('active', 'draining') order by w.label, w.id""")
    ).all()


def find_upkeep(session: Session) -> Found:
    """How the database fares under the queue: ready_live, ready_dead, snapshot_s (None where this role may not see it)."""
    return session.execute(
        text("""
        select s.n_live_tup as ready_live, s.n_dead_tup as ready_dead,
               (select extract(epoch from clock_timestamp() - min(a.xact_start)) from pg_stat_activity a
                 where a.datname = current_database() and a.backend_xmin is not null
                   and a.pid <> pg_backend_pid()) as snapshot_s
          from pg_stat_user_tables s where s.schemaname = current_schema() and s.relname = 'ready'""")
    ).one()


def count_chores(session: Session) -> Sequence[Found]:
    """The server's own follow-up work: kind, waiting, given_up, oldest_s."""
    return session.execute(
        text("""
        select kind, count(*) filter (where gave_up_at is null) as waiting,
               count(*) filter (where gave_up_at is not null) as given_up,
               coalesce(extract(epoch from clock_timestamp() - min(created_at) filter (where gave_up_at is null)), 0)
                   as oldest_s
          from chore group by 1 order by 1""")
    ).all()


def list_runs(session: Session, *, within_s: float) -> Sequence[Found]:
    """What ended lately, by pool and outcome: pool, outcome, kind, runs, gpu_s, waited_s, loads, warm."""
    return session.execute(
        text("""
        select p.name as pool, f.outcome, coalesce(f.kind, '') as kind, count(*) as runs,
               sum(extract(epoch from f.ended_at - f.leased_at)) as gpu_s, sum(f.waited_ms) / 1000.0 as waited_s,
               count(*) filter (where f.model_loaded) as loads, count(*) filter (where not f.model_loaded) as warm
          from tenant t cross join lateral (
               -- now(), not clock_timestamp(): what may change within a statement is compared row by row, without an index.
               select * from run_figure r where r.tenant_id = t.id and r.ended_at > now() - make_interval(secs => :within)) f
          join pool p on p.id = f.pool_id
         group by 1, 2, 3 order by 1, 2, 3"""),
        {"within": within_s},
    ).all()
