"""The claim, in one statement: guard, heads, affinity, lock, lease. And what follows where something holds its pick back.

Nothing here looks at a row of `ready` before the watermark, and nothing walks over rows that may not be taken but for
those that have expired or avoid this very worker: a worker that serves some tenants only reads each of their orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from memoryd.dispatch.queries.ready_rows import IN_ORDER, at_key, between_tags, by, from_tag
from memoryd.dispatch.tables.pools import NOBODY
from memoryd.foundation.database import Session
from memoryd.foundation.lean_statements import Lean

Found = Any

ONLINE_S = 60
"""A worker that was heard within this many seconds is online; it speaks at least every HEARTBEAT_S."""

CLASSES_LIMIT = 8
"""More than there are: what the planner knows of a table of three rows that nobody has analysed is a guess of 860."""

_MAY_TAKE = f"""r.expires_at > clock_timestamp() and (r.avoid_worker is distinct from :worker_id or not exists (
           select from worker_pool x join worker o on o.id = x.worker_id
            where x.pool_id = r.pool_id and o.id <> :worker_id and o.state = 'active'
              and o.seen_at > clock_timestamp() - interval '{ONLINE_S} s'
              and (cardinality(o.serves) = 0 or r.tenant_id = any(o.serves))))"""
"""Hard conditions come before any ranking: no preference may ever lead to a worker that must not have the job. Whether
there is another worker is only asked where a job avoids this one."""

_FIRST = f"{IN_ORDER} limit 1"


_HEAD_OF_ALL = f"""
    select r.vtag, r.job_id, r.model_set, r.tenant_id, r.enqueued_at from ready r
     where r.pool_id = p.id and r.class_id = k.id and r.vtag >= coalesce(m.low, -1) and {_MAY_TAKE} {_FIRST}"""
_HEAD_OF_SOME = f"""
    select x.* from unnest(cast(:serves as uuid[])) served(tenant_id) cross join lateral (
        select r.vtag, r.job_id, r.model_set, r.tenant_id, r.enqueued_at from ready r
         where {from_tag("tenant_id", "served.tenant_id", "p.id", "k.id", "coalesce(m.low, -1)")} and {_MAY_TAKE}
         {by("tenant_id")} limit 1) x
     order by x.vtag, x.job_id limit 1"""

_ROW = "r.ctid as spot, r.vtag, r.job_id, r.tenant_id, r.project_id, r.person_id, r.enqueued_at"

_WARM = f"""
    select h.pool_id, h.class_id, h.low, l.*
      from (select * from heads limit 1) h
     cross join lateral (
        select x.spot from unnest(cast(:loaded as text[])) have(model_set) cross join lateral (
            select r.ctid as spot, r.vtag, r.job_id from ready r
             where {between_tags("model_set", "have.model_set", "h.pool_id", "h.class_id", "h.low", "h.vtag + h.bonus")}
               and {{served}} {_MAY_TAKE}
             {by("model_set")} limit 1) x
         order by x.vtag, x.job_id limit 1) w
     cross join lateral (select {_ROW} from ready r where r.ctid = w.spot for update skip locked) l
     where h.model_set <> '' and h.model_set <> all(cast(:loaded as text[]))"""
"""The first job within the bonus for which a model is loaded already, if nobody else is taking it."""

_COLD = f"""
    select h.pool_id, h.class_id, h.low, l.*
      from heads h cross join lateral (
        select {_ROW} from ready r
         where {{mine}} and {_MAY_TAKE}
         {{order}} limit 1 for update skip locked) l
     {{unless_warm}} limit 1"""
"""The first job in fair order that nobody else is taking."""

_BLOCKED = """
    exists (select from cap c where (c.tenant_id is null or c.tenant_id = p.tenant_id)
               and (c.project_id is null or c.project_id = p.project_id)
               and (c.person_id is null or c.person_id = p.person_id) and (c.pool_id is null or c.pool_id = p.pool_id))
    or exists (select from paused_project q where q.tenant_id = p.tenant_id and q.project_id = p.project_id)
    or exists (select from job_group g where g.paused_at is not null
                  and g.id = (select j.group_id from job j where j.id = p.job_id))"""
"""Whether something may hold the one picked job back: looked at once a claim, never in a scan. The group is asked for by
a query of its own: as a join, the job was looked for by walking over the index of all jobs of groups."""

_TAKE = """
    taken as (
        update job j set state = 'leased', attempt = j.attempt + 1 from pick p
         where j.id = p.job_id and not p.blocked and j.state = 'ready' and not j.cancel_requested
        returning j.id, j.tenant_id, j.project_id, j.person_id, j.pool_id, j.class_id, j.vtag, j.model_set, j.attempt,
                  p.enqueued_at),
    gone as (
        delete from ready where ctid = (select p.spot from pick p where not p.blocked)),
    granted as (
        insert into lease (job_id, token_hash, worker_id, incarnation, tenant_id, project_id, person_id, pool_id, class_id,
                           vtag, waited_ms, expires_at, deadline_at)
        select t.id, cast(:token_hash as bytea), cast(:worker_id as uuid), cast(:incarnation as uuid), t.tenant_id,
               t.project_id, t.person_id, t.pool_id, t.class_id, t.vtag,
               (extract(epoch from clock_timestamp() - t.enqueued_at) * 1000)::bigint,
               clock_timestamp() + make_interval(secs => k.visibility_s),
               clock_timestamp() + make_interval(secs => q.max_run_time_s)
          from taken t join job_class k on k.id = t.class_id join pool q on q.id = t.pool_id
        returning fence, expires_at - leased_at as lasts, deadline_at - leased_at as limited)
    select p.pool_id, p.class_id, p.low, p.vtag, p.job_id, p.tenant_id, p.project_id, p.person_id, p.blocked,
           t.model_set, t.attempt, g.fence, extract(epoch from g.lasts)::float8 as lease_s,
           extract(epoch from g.limited)::float8 as deadline_s
      from pick p left join taken t on true left join granted g on true"""


def _claim(*, some: bool, warm: bool) -> Lean:
    """Return the statement for a worker that serves some tenants only, or all; and has models loaded, or none."""
    head = _HEAD_OF_SOME if some else _HEAD_OF_ALL
    # `is true`, so that no index is thought of for it: this is looked up by its model.
    served = "(r.tenant_id = any(cast(:serves as uuid[]))) is true and" if some else ""
    warm_part = f"warm as materialized ({_WARM.format(served=served)})," if warm else ""
    cold = _COLD.format(
        mine=from_tag("tenant_id", "h.tenant_id", "h.pool_id", "h.class_id", "h.low")
        if some
        else "r.pool_id = h.pool_id and r.class_id = h.class_id and r.vtag >= h.low",
        order=by("tenant_id") if some else IN_ORDER,
        unless_warm="where not exists (select from warm)" if warm else "",
    )
    return Lean(f"""
    with places as materialized (
        select p.id, p.rank, p.vram_mb, p.warm_up_s from unnest(cast(:pool_ids as uuid[])) wanted(id)
          join pool p on p.id = wanted.id
         where p.paused_at is null and exists (
               select from worker w where w.id = :worker_id and w.incarnation = :incarnation and w.state = 'active')
           and not exists (
               select from setback s where s.pool_id = p.id and s.worker_id in (:worker_id, '{NOBODY}')
                  and s.until > clock_timestamp())),
    heads as materialized (
        select p.id as pool_id, k.id as class_id, coalesce(m.low, -1) as low, head.vtag, head.model_set, head.tenant_id,
               (k.affinity * p.warm_up_s * 1000)::bigint as bonus
          from places p cross join (select * from job_class limit {CLASSES_LIMIT}) k
          left join mark m on m.pool_id = p.id and m.class_id = k.id
         cross join lateral ({head}) head
         order by p.rank desc, p.vram_mb desc nulls last, head.enqueued_at + make_interval(secs => k.age_offset_s), k.id),
    {warm_part}
    cold as materialized ({cold}),
    found as ({"select * from warm union all" if warm else ""} select * from cold),
    pick as materialized (select p.*, ({_BLOCKED}) as blocked from found p),
    {_TAKE}""")


_CLAIMS = {(some, warm): _claim(some=some, warm=warm) for some in (False, True) for warm in (False, True)}


def claim(
    session: Session, asks: Mapping[str, object], *, serves: Sequence[UUID], loaded: Sequence[str]
) -> Found | None:
    """Lease the next job for a worker that is active in this start; None where there is none for it.

    The classes and pools in which it finds something: by the pool's rank and memory, then the one whose head has waited
    longest, the class's age offset added (keys that never change: nothing is aged by update). `blocked`: something may
    hold the job back, and it was only locked. `fence` None: somebody wants it cancelled; it was only taken out.
    """
    values: dict[str, object] = dict(asks)
    if serves:
        values["serves"] = list(serves)
    if loaded:
        values["loaded"] = list(loaded)
    return _CLAIMS[bool(serves), bool(loaded)].first(session, values)


_TAKE_PICKED = Lean(f"""
    with pick as materialized (
        select r.ctid as spot, r.pool_id, r.class_id, cast(:low as bigint) as low, r.vtag, r.job_id, r.tenant_id,
               r.project_id, r.person_id, r.enqueued_at, false as blocked
          from ready r where r.pool_id = :pool_id and r.class_id = :class_id and {at_key(":vtag", ":job_id")}
         {IN_ORDER} for update),
    {_TAKE}""")


def take_picked(session: Session, asks: Mapping[str, object]) -> Found | None:
    """Lease a job that `claim` had locked as blocked, now that nothing holds it back; as claim."""
    return _TAKE_PICKED.first(session, asks)
