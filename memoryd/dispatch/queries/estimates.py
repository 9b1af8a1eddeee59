"""Every statement of the estimates: what waits, what runs, and who works. Read aside, never by whoever submits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from memoryd.dispatch.queries.fleet import ONLINE_S
from memoryd.foundation.database import Session

Found = Row[Any]

HEAD_LIMIT = 500
"""Waiting jobs of one pool and class that are looked at one by one: reading them takes under a millisecond."""

BUCKETS = 64
"""Parts into which what waits behind the head is divided."""


def list_classes(session: Session) -> Sequence[Found]:
    """The job classes: id, age_offset_s."""
    return session.execute(text("select id, age_offset_s from job_class order by id")).all()


def list_presence(session: Session) -> Sequence[Found]:
    """Workers that are online and take work, by pool and by whom they serve: pool_id, serves, workers."""
    return session.execute(
        text(f"""select x.pool_id, w.serves, count(*) as workers from worker_pool x join worker w on w.id = x.worker_id
                  where w.state = 'active' and w.seen_at > clock_timestamp() - interval '{ONLINE_S} s'
                  group by x.pool_id, w.serves""")
    ).all()


def list_pools(session: Session) -> Sequence[Found]:
    """Pools that do not hand out work now: pool_id."""
    return session.execute(text("select id as pool_id from pool where paused_at is not null")).all()


def list_running(session: Session) -> Sequence[Found]:
    """What the runs of each pool still take, in milliseconds as estimated, the shortest first: pool_id, left_ms."""
    return session.execute(
        text("""
        select pool_id, array_agg(left_ms order by left_ms) as left_ms from (
               select l.pool_id, greatest(0, case when l.progress >= 0.1 then e.ms * (1 - l.progress) / l.progress
                                                  else j.cost_ms - e.ms end)::bigint as left_ms
                 from lease l join job j on j.id = l.job_id
                cross join lateral (select extract(epoch from clock_timestamp() - l.leased_at) * 1000 as ms) e) r
         group by pool_id""")
    ).all()


def list_heads(session: Session) -> Sequence[Found]:
    """The first HEAD_LIMIT waiting jobs of each pool and class, in order: pool_id, class_id, tags[], costs[]."""
    return session.execute(
        text(f"""
        select m.pool_id, m.class_id, array_agg(h.vtag order by h.vtag, h.job_id) as tags,
               array_agg(h.cost_ms order by h.vtag, h.job_id) as costs
          from (select p.id as pool_id, k.id as class_id, coalesce(m.low, -1) as low
                  from pool p cross join job_class k left join mark m on m.pool_id = p.id and m.class_id = k.id) m
         cross join lateral (select r.vtag, r.job_id, r.cost_ms from ready r
               where r.pool_id = m.pool_id and r.class_id = m.class_id and r.vtag >= m.low
               order by r.vtag, r.job_id limit {HEAD_LIMIT}) h
         group by m.pool_id, m.class_id""")
    ).all()


def list_spread(session: Session) -> Sequence[Found]:
    """How what waits spreads over the tags: pool_id, class_id, low, high, jobs, cost_ms, oldest_s, newest_s (their ages).

    Reads every waiting row, 0.4 µs each, so that it is not asked for every second.
    """
    return session.execute(
        text(f"""
        with waiting as materialized (
            select r.pool_id, r.class_id, r.vtag, r.cost_ms, r.enqueued_at from ready r
              left join mark m on m.pool_id = r.pool_id and m.class_id = r.class_id where r.vtag >= coalesce(m.low, -1)),
        ends as (select pool_id, class_id, min(vtag) as low, max(vtag) + 1 as high from waiting group by 1, 2)
        select w.pool_id, w.class_id, min(w.vtag) as low, max(w.vtag) as high, count(*) as jobs,
               sum(w.cost_ms)::bigint as cost_ms,
               extract(epoch from now() - min(w.enqueued_at))::float8 as oldest_s,
               extract(epoch from now() - max(w.enqueued_at))::float8 as newest_s
          from waiting w join ends e on e.pool_id = w.pool_id and e.class_id = w.class_id
         group by w.pool_id, w.class_id, width_bucket(w.vtag, e.low, e.high, {BUCKETS})
         order by 1, 2, 3""")
    ).all()
