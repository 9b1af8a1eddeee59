"""Every statement with which jobs enter the queue, and come back to it after a wait.

Lock order everywhere: `ready`, `held` or `delayed`, then `lease`, then `job`, then what may hold a job back (group,
paused project), then `flow`. Only the database's clock is ever compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, String, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from memoryd.dispatch.tables.pools import NOBODY
from memoryd.foundation.database import Session
from memoryd.foundation.lean_statements import Lean, jsonb

Found = Row[Any]

DEPTH_LIMIT = 500
"""Rows that counting a queue's depth looks at: an exact count of a million rows takes 92 ms, this 0.5 ms."""

_LOW = "coalesce((select m.low from mark m where m.pool_id = :pool_id and m.class_id = :class_id), -1)"

VIRTUAL_TIME = f"""greatest(1, {_LOW}, coalesce(
    (select r.vtag from ready r where r.pool_id = :pool_id and r.class_id = :class_id and r.vtag >= {_LOW}
      order by r.vtag, r.job_id limit 1),
    (select max(f.last_finish) from flow f where f.pool_id = :pool_id and f.class_id = :class_id), 1))"""
"""The fair order's present: the smallest live tag, or the furthest finish when nothing waits. Never 0: that is no tag."""

_WEIGHTS = f"""
    coalesce((select w.weight from tenant_weight w where w.tenant_id = :tenant_id), 1) as tenant_weight,
    coalesce((select w.weight from project_weight w
               where w.tenant_id = :tenant_id and w.project_id = :project_id), 1) as project_weight,
    coalesce((select sum(coalesce(w.weight, 1)) from flow f
                left join project_weight w on w.tenant_id = f.tenant_id and w.project_id = f.project_id
               where f.pool_id = :pool_id and f.class_id = :class_id and f.tenant_id = :tenant_id
                 and f.project_id <> coalesce(cast(:project_id as uuid), '{NOBODY}')
                 and f.last_finish > present.now), 0) as others"""


_LOCK_ORDER = Lean("select pg_advisory_xact_lock_shared(hashtextextended(:name, 0))")


def lock_order_shared(session: Session, pool_id: UUID, class_id: int) -> None:
    """Hold off the watermark of one pool and class until commit: it must not overtake a tag that is being inserted."""
    _LOCK_ORDER.run(session, {"name": order_name(pool_id, class_id)})


def order_name(pool_id: UUID, class_id: int) -> str:
    """The name of the lock on one pool's and class's watermark."""
    return f"memoryd.dispatch.order:{pool_id}:{class_id}"


# --- idempotency keys


_TAKE_KEY = Lean("""
    insert into job_key (tenant_id, key, job_id, body_sha256) values (:tenant_id, :key, :job_id, :body_sha256)
    on conflict do nothing returning job_id""")


def insert_job_key(session: Session, *, tenant_id: UUID, key: str, job_id: UUID, body_sha256: bytes) -> bool:
    """Take an idempotency key; False where it is taken. Waits for a transaction that is taking the same key."""
    values = {"tenant_id": tenant_id, "key": key, "job_id": job_id, "body_sha256": body_sha256}
    return _TAKE_KEY.first(session, values) is not None


def find_job_key(session: Session, *, tenant_id: UUID, key: str) -> Found | None:
    """What a key names: job_id, body_sha256."""
    return session.execute(
        text("select job_id, body_sha256 from job_key where tenant_id = :tenant_id and key = :key"),
        {"tenant_id": tenant_id, "key": key},
    ).first()


# --- entering for the first time

_INSERT_JOB = Lean(f"""
    with paused as (
        select p.project_id from paused_project p where p.tenant_id = :tenant_id and p.project_id = :project_id for share),
    present as materialized (select {VIRTUAL_TIME} as now),
    part as materialized (select now, {_WEIGHTS} from present),
    place as materialized (
        select now, tenant_weight * project_weight / (project_weight + others) as share,
               trunc(:cost_ms * (project_weight + others) / (tenant_weight * project_weight))::bigint as step,
               trunc(:cost_ms * others / (tenant_weight * project_weight))::bigint as behind
          from part),
    placed as (
        insert into flow as f (pool_id, class_id, tenant_id, project_id, weight, last_finish)
        select :pool_id, :class_id, :tenant_id, coalesce(cast(:project_id as uuid), '{NOBODY}'), share, now + step
          from place where not exists (select from paused)
        on conflict (pool_id, class_id, tenant_id, project_id) do update
           set last_finish = greatest(f.last_finish, (select now from place)) + (select step from place),
               weight = excluded.weight
        returning last_finish),
    written as (
        insert into job (id, tenant_id, project_id, person_id, pool_id, class_id, model_set, cost_ms, vtag, state,
                         max_attempts, follow_up, bigger_pools, expires_at)
        select :job_id, :tenant_id, cast(:project_id as uuid), cast(:person_id as uuid), :pool_id, :class_id,
               cast(:model_set as text), cast(:cost_ms as bigint),
               coalesce(placed.last_finish - step + behind, 0),
               case when placed.last_finish is null then 'held' else 'ready' end,
               :max_attempts, cast(:follow_up as jsonb), cast(:bigger_pools as uuid[]),
               clock_timestamp() + make_interval(secs => :expires_in_s)
          from place left join placed on true
        returning *),
    holding as (
        insert into held (job_id, tenant_id, project_id, reason, waits_for, vtag, expires_at)
        select id, tenant_id, project_id, 'project', project_id, vtag, expires_at from written where state = 'held'),
    waiting as (
        insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, project_id, person_id, cost_ms, expires_at)
        select pool_id, class_id, vtag, id, model_set, tenant_id, project_id, person_id, cost_ms, expires_at
          from written where state = 'ready')
    select vtag, state from written""")


def insert_job(session: Session, values: Mapping[str, object]) -> Any:
    """Write a job and its place in the fair order, or among the held where its project is paused: vtag, state.

    Call lock_order_shared first. The recipe is fair_order.place_new's.
    """
    follow_up = values["follow_up"]
    return _INSERT_JOB.one(session, {**values, "follow_up": None if follow_up is None else jsonb(follow_up)})


_INSERT_JOBS = text("""
    insert into job (id, tenant_id, project_id, person_id, pool_id, class_id, model_set, cost_ms, vtag, state, max_attempts,
                     follow_up, bigger_pools, group_id, after_job_id, approval_id, starts_after, expires_at)
    select x.id, x.tenant_id, x.project_id, x.person_id, x.pool_id, x.class_id, x.model_set, x.cost_ms, 0, 'held',
           x.max_attempts, x.follow_up, x.bigger_pools, x.group_id, x.after_job_id, x.approval_id, x.starts_after,
           greatest(clock_timestamp(), x.starts_after) + make_interval(secs => x.expires_in_s)
      from jsonb_to_recordset(:rows) as x(id uuid, tenant_id uuid, project_id uuid, person_id uuid, pool_id uuid,
           class_id smallint, model_set text, cost_ms bigint, max_attempts smallint, follow_up jsonb, bigger_pools uuid[],
           group_id uuid, after_job_id uuid, approval_id uuid, starts_after timestamptz,
           expires_in_s double precision)""").bindparams(bindparam("rows", type_=JSONB))


def insert_jobs(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Write jobs that lie nowhere yet: let them in within the same transaction."""
    session.execute(_INSERT_JOBS, {"rows": [dict(row) for row in rows]})


def lock_followed(session: Session, *, job_ids: Sequence[UUID]) -> Sequence[Found]:
    """Note that other jobs wait for these, and keep them from ending until commit: id, tenant_id, state."""
    return session.execute(
        text("""
        with locked as (
            select id from job where id = any(cast(:ids as uuid[])) order by id for no key update)
        update job j set followed = true from locked where j.id = locked.id returning j.id, j.tenant_id, j.state"""),
        {"ids": list(job_ids)},
    ).all()


# --- coming back

_ENTRANTS = text("""
    select j.id, j.tenant_id, j.project_id, j.person_id, j.pool_id, j.class_id, j.model_set, j.vtag, j.cost_ms, j.state,
           j.cancel_requested, j.avoid_worker, j.group_id, j.after_job_id, j.approval_id, j.starts_after, j.expires_at,
           j.starts_after > clock_timestamp() as early
      from job j where j.id = any(cast(:ids as uuid[])) order by j.id for no key update""")


def lock_entrants(session: Session, *, job_ids: Sequence[UUID]) -> Sequence[Found]:
    """Jobs that were just taken out of their place, in order of their ids."""
    return session.execute(_ENTRANTS, {"ids": list(job_ids)}).all()


def lock_groups(session: Session, *, group_ids: Sequence[UUID]) -> Sequence[Found]:
    """Groups, which neither pause nor are cancelled until commit: id, paused_at, cancelled_at."""
    return session.execute(
        text("""select id, paused_at, cancelled_at from job_group where id = any(cast(:ids as uuid[]))
                 order by id for share"""),
        {"ids": list(group_ids)},
    ).all()


def lock_paused_projects(session: Session, *, project_ids: Sequence[UUID]) -> Sequence[Found]:
    """Those of these projects that are paused, and stay so until commit: tenant_id, project_id."""
    return session.execute(
        text("""select tenant_id, project_id from paused_project where project_id = any(cast(:ids as uuid[]))
                 order by tenant_id, project_id for share"""),
        {"ids": list(project_ids)},
    ).all()


def lock_approvals(session: Session, *, approval_ids: Sequence[UUID]) -> Sequence[Found]:
    """Those of these approvals that were not given, and are not until commit: id, refused."""
    return session.execute(
        text("""select id, refused from approval_hold where id = any(cast(:ids as uuid[])) order by id for share"""),
        {"ids": list(approval_ids)},
    ).all()


def note_refusals(session: Session, *, job_ids: Sequence[UUID]) -> None:
    """Let jobs that were just ended say why, those of them whose approval was refused."""
    session.execute(
        text("""
        update job j set failures = j.failures || jsonb_build_array(jsonb_build_object(
               'attempt', j.attempt, 'cause', 'approval', 'at', clock_timestamp(), 'error', jsonb_build_object(
               'kind', 'approval-refused', 'message', 'its models were not approved: ' || a.refused)))
          from approval_hold a
         where a.id = j.approval_id and a.refused is not null and j.id = any(cast(:ids as uuid[]))"""),
        {"ids": list(job_ids)},
    )


def lock_predecessors(session: Session, *, job_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The states of jobs that others wait for, which do not end until commit."""
    rows = session.execute(
        text("select id, state from job where id = any(cast(:ids as uuid[])) order by id for share"),
        {"ids": list(job_ids)},
    )
    return {row.id: row.state for row in rows}


_LOCK_FLOW = text(f"""
    with present as materialized (select {VIRTUAL_TIME} as now),
    part as materialized (select now, {_WEIGHTS} from present),
    flown as (
        insert into flow as f (pool_id, class_id, tenant_id, project_id, last_finish)
        select :pool_id, :class_id, :tenant_id, coalesce(cast(:project_id as uuid), '{NOBODY}'), 0
        on conflict (pool_id, class_id, tenant_id, project_id) do update set last_finish = f.last_finish
        returning last_finish, last_back)
    select part.now as present, part.tenant_weight, part.project_weight, part.others, flown.last_finish, flown.last_back
      from part, flown""").bindparams(bindparam("project_id", type_=Uuid()))


def lock_flow(session: Session, *, pool_id: UUID, class_id: int, tenant_id: UUID, project_id: UUID | None) -> Found:
    """A flow, which nobody else moves until commit: what fair_order.FlowState has. Call lock_order_shared first."""
    return session.execute(
        _LOCK_FLOW, {"pool_id": pool_id, "class_id": class_id, "tenant_id": tenant_id, "project_id": project_id}
    ).one()


def charge_flow(session: Session, *, key: Mapping[str, object], over_ms: float) -> None:
    """Charge a flow for what a job took beyond its estimate (or give back what it did not take)."""
    session.execute(
        text(f"""update flow set last_finish = greatest(0, last_finish + (:over_ms / weight)::bigint)
                  where pool_id = :pool_id and class_id = :class_id and tenant_id = :tenant_id
                    and project_id = coalesce(cast(:project_id as uuid), '{NOBODY}')"""),
        {**key, "over_ms": over_ms},
    )


def update_flow(session: Session, values: Mapping[str, object]) -> None:
    """Write how far a flow reaches: last_finish, last_back, weight."""
    session.execute(
        text(f"""update flow set last_finish = :last_finish, last_back = :last_back, weight = :weight
                  where pool_id = :pool_id and class_id = :class_id and tenant_id = :tenant_id
                    and project_id = coalesce(cast(:project_id as uuid), '{NOBODY}')"""),
        dict(values),
    )


_INSERT_READY = text("""
    with back as (
        update job j set state = 'ready', vtag = x.vtag, ended_at = null
          from unnest(cast(:ids as uuid[]), cast(:vtags as bigint[])) x(id, vtag) where j.id = x.id returning j.*)
    insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, project_id, person_id, avoid_worker, cost_ms,
                       expires_at)
    select pool_id, class_id, vtag, id, model_set, tenant_id, project_id, person_id, avoid_worker, cost_ms, expires_at
      from back""").bindparams(bindparam("ids", type_=ARRAY(Uuid())), bindparam("vtags", type_=ARRAY(BigInteger)))


def insert_ready(session: Session, *, job_ids: Sequence[UUID], vtags: Sequence[int]) -> None:
    """Let jobs wait for a worker at these tags. Call lock_order_shared first."""
    session.execute(_INSERT_READY, {"ids": list(job_ids), "vtags": list(vtags)})


_INSERT_HELD = text("""
    with holding as (
        update job j set state = 'held', ended_at = null
          from unnest(cast(:ids as uuid[]), cast(:reasons as text[]), cast(:waits_for as uuid[])) x(id, reason, waits_for)
         where j.id = x.id
        returning j.id, j.tenant_id, j.project_id, x.reason, x.waits_for, j.vtag, j.expires_at)
    insert into held (job_id, tenant_id, project_id, reason, waits_for, vtag, expires_at)
    select * from holding""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("reasons", type_=ARRAY(String)),
    bindparam("waits_for", type_=ARRAY(Uuid())),
)


def insert_held(
    session: Session, *, job_ids: Sequence[UUID], reasons: Sequence[str], waits_for: Sequence[UUID]
) -> None:
    """Let jobs wait for what holds them back."""
    session.execute(_INSERT_HELD, {"ids": list(job_ids), "reasons": list(reasons), "waits_for": list(waits_for)})


def insert_early(session: Session, *, job_ids: Sequence[UUID]) -> None:
    """Let jobs wait for the start they were asked for."""
    session.execute(
        text("""
        with early as (
            update job set state = 'delayed', ended_at = null where id = any(cast(:ids as uuid[]))
            returning id, starts_after)
        insert into delayed (job_id, run_at) select id, starts_after from early"""),
        {"ids": list(job_ids)},
    )


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
