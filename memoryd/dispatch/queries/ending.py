"""Every statement that ends a lease, a try or a job. The guard stands in the statement that changes the row (INV-4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from memoryd.dispatch.tables.pools import NOBODY
from memoryd.foundation.database import Session
from memoryd.foundation.lean_statements import Lean

Found = Row[Any]

_CAPPED = """exists (select from cap c where (c.tenant_id is null or c.tenant_id = e.tenant_id)
    and (c.project_id is null or c.project_id = e.project_id) and (c.person_id is null or c.person_id = e.person_id)
    and (c.pool_id is null or c.pool_id = e.pool_id))"""
"""Whether the end of this lease may make room under a cap."""

_FIGURES = """
    insert into run_figure (fence, job_id, tenant_id, project_id, person_id, pool_id, class_id, worker_id, model_set,
                            outcome, kind, waited_ms, leased_at)
    select e.fence, e.job_id, e.tenant_id, e.project_id, e.person_id, e.pool_id, e.class_id, e.worker_id, d.model_set,
           {outcome}, {kind}, e.waited_ms, e.leased_at from ended e join {done} d on d.id = e.job_id"""

_NAMED = "job_id = :job_id and fence = :fence and token_hash = :token_hash and worker_id = :worker_id"

_COMPLETE = Lean("select * from end_lease(:job_id, :fence, :token_hash, :worker_id, :state)")


def complete(session: Session, values: Mapping[str, object]) -> Any | None:
    """End the lease that job, fence, token and worker name, and its job, with a result; None where there is no such lease.

    The job's flow is charged for what the run took instead of what it was estimated to take, unless `followed` or
    `capped`: then the caller does that together with what enters. Columns: id, its flow, over_ms, followed, brings (a
    chore), capped.
    """
    return _COMPLETE.first(session, values)


_END_AND_CLAIM = Lean("""
    select (x.done).id, (x.done).tenant_id, (x.done).project_id, (x.done).person_id, (x.done).pool_id, (x.done).class_id,
           (x.done).followed, (x.done).brings, (x.done).over_ms, (x.done).capped, (x.got).job_id as next_job_id,
           (x.got).tenant_id as next_tenant_id, (x.got).pool_id as next_pool_id, (x.got).model_set as next_model_set,
           (x.got).attempt as next_attempt, (x.got).fence as next_fence, (x.got).lease_s as next_lease_s,
           (x.got).deadline_s as next_deadline_s
      from end_and_claim(:job_id, :fence, :token_hash, :worker_id, :state, :incarnation, cast(:loaded as text[]),
                         :next_token_hash) x""")


def complete_and_claim(session: Session, values: Mapping[str, object], *, loaded: Sequence[str]) -> Any | None:
    """As complete; and lease the next job for its worker, where that is active in this start, as a claim among others does.

    Columns: those of complete, and of the next job, null without one: next_job_id, next_tenant_id, next_pool_id,
    next_model_set, next_attempt, next_fence, next_lease_s, next_deadline_s. There is none where something held it back,
    where somebody else was at it, and where the end itself brings something.
    """
    return _END_AND_CLAIM.first(session, {**values, "loaded": list(loaded)})


_TRIED = f"""
    tried as (
        update job j set
               failures = j.failures || jsonb_build_array(:failure || jsonb_build_object(
                              'fence', e.fence, 'worker', e.worker_id, 'attempt', j.attempt, 'at', clock_timestamp())),
               avoid_worker = case when o.moved then null when :avoid then e.worker_id else j.avoid_worker end,
               attempt = j.attempt - (not o.counted)::int,
               infra_attempts = j.infra_attempts + (not o.counted)::int,
               pool_id = case when o.moved then j.bigger_pools[1] else j.pool_id end,
               vtag = case when o.moved then 0 else j.vtag end,
               bigger_pools = case when o.moved then j.bigger_pools[2:] else j.bigger_pools end,
               state = case when j.cancel_requested then 'cancelled'
                            when o.counted and j.attempt >= j.max_attempts then 'dead'
                            when not o.counted and j.infra_attempts + 1 >= :infra_limit then 'dead'
                            when o.moved then 'ready'
                            when j.infra_attempts >= :patience then 'delayed'
                            else :then end,
               ended_at = case when j.cancel_requested then clock_timestamp() else j.ended_at end
          from ended e join job b on b.id = e.job_id cross join lateral (
               select :moves and cardinality(b.bigger_pools) > 0 as moved,
                      case when :moves then cardinality(b.bigger_pools) = 0 else :counts end as counted) o,
               job_class k
         where j.id = e.job_id and j.state = 'leased' and k.id = j.class_id
        returning j.id, j.state, j.tenant_id, j.project_id, j.person_id, j.pool_id, j.class_id, j.model_set, j.followed,
                  j.follow_up is not null as brings, o.moved, o.counted,
                  k.backoff_s * 2 ^ least(greatest(j.attempt + j.infra_attempts - 1, 0), :doublings) as longest_s,
                  {_CAPPED} as capped),
    waits as (
        -- Full jitter: jobs that failed together do not come back together.
        insert into delayed (job_id, run_at)
        select id, clock_timestamp() + make_interval(secs => random() * longest_s) from tried where state = 'delayed'),
    given_up as (
        insert into dead (job_id, tenant_id, reason) select id, tenant_id, :reason from tried where state = 'dead'),
    told as ({
    _FIGURES.format(
        outcome="case when d.state = 'cancelled' then 'cancelled' when d.counted then 'failed' else 'lost' end",
        kind="cast(:kind as text)",
        done="tried",
    )
})
    select t.*, e.worker_id, e.pool_id as left_pool_id from ended e left join tried t on true"""

_TRY_NAMED = text(f"with ended as (delete from lease where {_NAMED} returning *), {_TRIED}").bindparams(
    bindparam("failure", type_=JSONB)
)
_TRY_FENCED = text(
    f"with ended as (delete from lease where job_id = :job_id and fence = :fence returning *), {_TRIED}"
).bindparams(bindparam("failure", type_=JSONB))


def end_try(session: Session, values: Mapping[str, object]) -> Found | None:
    """End a lease that made nothing, and decide what is next; None where the lease is not there.

    Named by job and fence, and by token and worker too where `values` has them. `then` is where the job goes while tries
    are left (`delayed` or `ready`; to `ready` the caller lets it in); an uncounted try gives its attempt back. `moves`:
    it goes to the first of its bigger pools, uncounted, and where it has none the try counts.
    """
    return session.execute(_TRY_NAMED if "token_hash" in values else _TRY_FENCED, dict(values)).first()


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


# --- what an end brings


def insert_follow_ups(session: Session, *, job_ids: Sequence[UUID], chore_ids: Sequence[UUID]) -> None:
    """Write the chores that these jobs' ends bring, of those that asked for one."""
    session.execute(
        text("""insert into chore (id, tenant_id, kind, recipe, subjects, priority)
                select x.chore_id, j.tenant_id, j.follow_up ->> 'kind', j.follow_up ->> 'recipe',
                       array[(j.follow_up ->> 'subject')::uuid], 1
                  from unnest(cast(:job_ids as uuid[]), cast(:chore_ids as uuid[])) x(job_id, chore_id)
                  join job j on j.id = x.job_id where j.follow_up is not null"""),
        {"job_ids": list(job_ids), "chore_ids": list(chore_ids)},
    )


def list_brought(session: Session, *, job_ids: Sequence[UUID]) -> Sequence[Found]:
    """What these jobs' ends bring: id, followed, brings (a chore)."""
    return session.execute(
        text("""select id, followed, follow_up is not null as brings from job
                 where id = any(cast(:ids as uuid[])) and (followed or follow_up is not null)"""),
        {"ids": list(job_ids)},
    ).all()


_FOLLOWERS = text("""
    with freed as (
        delete from held where job_id = any(array(
            select job_id from held where reason = 'after' and waits_for = any(cast(:ids as uuid[]))
             order by job_id for update))
        returning job_id, waits_for)
    select f.job_id, f.waits_for from freed f order by f.job_id""").bindparams(bindparam("ids", type_=ARRAY(Uuid())))


def delete_followers(session: Session, *, job_ids: Sequence[UUID]) -> Sequence[Found]:
    """Take the jobs that wait for these out of the held ones: job_id, waits_for."""
    return session.execute(_FOLLOWERS, {"ids": list(job_ids)}).all()


_CANCEL_AFTER = text("""
    update job j set state = 'cancelled', cancel_requested = true, ended_at = clock_timestamp(),
           failures = j.failures || jsonb_build_array(jsonb_build_object(
               'attempt', j.attempt, 'cause', 'after', 'at', clock_timestamp(), 'error', jsonb_build_object(
               'kind', 'predecessor-' || x.state,
               'message', 'job ' || x.before || ', which it was to follow, is ' || x.state)))
      from unnest(cast(:ids as uuid[]), cast(:befores as uuid[]), cast(:states as text[])) x(id, before, state)
     where j.id = x.id and j.state = 'held'""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid())), bindparam("befores", type_=ARRAY(Uuid()))
)


def cancel_followers(
    session: Session, *, job_ids: Sequence[UUID], befores: Sequence[UUID], states: Sequence[str]
) -> None:
    """End jobs, just taken out of the held ones, because the job each was to follow ended without success."""
    session.execute(_CANCEL_AFTER, {"ids": list(job_ids), "befores": list(befores), "states": list(states)})


# --- setbacks


def note_setback(session: Session, *, pool_id: UUID, worker_id: UUID, kind: str, limit_s: float) -> None:
    """Note that a run failed for a reason of the farm: this worker waits before its next claim in the pool, twice as long
    each time, up to `limit_s`. Where every worker that is online has its setback, or several do, so does the pool.
    """
    session.execute(
        text(f"""
        with mine as (
            insert into setback as s (pool_id, worker_id, streak, kind, until)
            values (:pool_id, :worker_id, 1, :kind, clock_timestamp())
            on conflict (pool_id, worker_id) do update
               set streak = least(s.streak + 1, 30), kind = excluded.kind, at = clock_timestamp(),
                   until = clock_timestamp() + make_interval(secs => least(:limit_s, 2 ^ (s.streak - 1))
                                                                     * (0.5 + random() / 2))
            returning streak),
        others as (
            select count(*) as jobs from setback s
             where s.pool_id = :pool_id and s.worker_id not in (:worker_id, '{NOBODY}')
               and s.at > clock_timestamp() - interval '10 min')
        insert into setback as s (pool_id, worker_id, streak, kind, until)
        select :pool_id, '{NOBODY}', 1, :kind, clock_timestamp() from mine, others where others.jobs > 0
        on conflict (pool_id, worker_id) do update
           set streak = least(s.streak + 1, 30), kind = excluded.kind, at = clock_timestamp(),
               until = clock_timestamp() + make_interval(secs => least(:limit_s, 2 ^ (s.streak - 1))
                                                                 * (0.5 + random() / 2))"""),
        {"pool_id": pool_id, "worker_id": worker_id, "kind": kind, "limit_s": limit_s},
    )
