"""Every statement about jobs that are meant for particular workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, insert, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from memoryd.dispatch.queries.fleet import ONLINE_S
from memoryd.dispatch.tables.routes import Route
from memoryd.foundation.database import Session

Found = Row[Any]

_IS_THERE = f"w.state = 'active' and coalesce(w.seen_at > clock_timestamp() - interval '{ONLINE_S} s', false)"

_ORDINARY = """
    from worker w join worker_pool x on x.worker_id = w.id join pool p on p.id = x.pool_id where w.id = :worker_id"""


def upsert_private_pool(session: Session, *, pool_id: UUID, worker_id: UUID) -> UUID | None:
    """Make a worker's private pool, or make it again as its ordinary pools are now; None for a worker without any.

    It ranks as the first of them, so that between it and them the job that waits longest is next; its limits are the
    most generous of theirs, and it is paused while any of them is.
    """
    session.execute(
        text(f"""
        insert into pool as own (id, name, shared, owner_worker, vram_mb, rank, paused_at, max_run_time_s,
                                 no_progress_limit_s, warm_up_s)
        select :pool_id, '@' || left(w.label, 40) || '-' || right(w.id::text, 6), false, w.id,
               (array_agg(p.vram_mb order by p.rank desc, p.vram_mb desc nulls last))[1], max(p.rank), min(p.paused_at),
               max(p.max_run_time_s), max(p.no_progress_limit_s), max(p.warm_up_s)
          {_ORDINARY} and w.state <> 'removed' group by w.id, w.label
        on conflict (owner_worker) do update
           set vram_mb = excluded.vram_mb, rank = excluded.rank, paused_at = excluded.paused_at,
               max_run_time_s = excluded.max_run_time_s, no_progress_limit_s = excluded.no_progress_limit_s,
               warm_up_s = excluded.warm_up_s
         where (own.vram_mb, own.rank, own.paused_at, own.max_run_time_s, own.no_progress_limit_s, own.warm_up_s)
               is distinct from (excluded.vram_mb, excluded.rank, excluded.paused_at, excluded.max_run_time_s,
                                 excluded.no_progress_limit_s, excluded.warm_up_s)"""),
        {"pool_id": pool_id, "worker_id": worker_id},
    )
    return session.execute(text("select id from pool where owner_worker = :id"), {"id": worker_id}).scalar()


def pause_private_pools(session: Session, *, pool_id: UUID) -> None:
    """Pause the private pools of a pool's workers while any pool of theirs is paused, and let them go on after that."""
    session.execute(
        text("""
        update pool own set paused_at = now.paused_at
          from (select x.worker_id, min(p.paused_at) as paused_at
                  from worker_pool mine join worker_pool x on x.worker_id = mine.worker_id
                  join pool p on p.id = x.pool_id
                 where mine.pool_id = :pool_id group by x.worker_id) now
         where own.owner_worker = now.worker_id and own.paused_at is distinct from now.paused_at"""),
        {"pool_id": pool_id},
    )


def list_places(session: Session, *, worker_ids: Sequence[UUID], tenant_id: UUID, limit: int) -> Sequence[Found]:
    """Of these workers those that serve a tenant: id, there, label, waiting (its jobs in the private pool, up to `limit`)."""
    return session.execute(
        text(f"""
        select w.id, w.label, {_IS_THERE} as there,
               (select count(*) from (
                    select from ready r join pool p on p.owner_worker = w.id
                     where r.pool_id = p.id and r.tenant_id = :tenant_id limit :limit) waiting) as waiting
          from worker w where w.id = any(cast(:ids as uuid[])) and w.state <> 'removed'
           and (cardinality(w.serves) = 0 or :tenant_id = any(w.serves))"""),
        {"ids": list(worker_ids), "tenant_id": tenant_id, "limit": limit},
    ).all()


def is_limited(session: Session, *, pool_id: UUID) -> bool:
    """Whether a pool is paused, or has a cap of its own: what is meant for it then stays in it."""
    return bool(
        session.execute(
            text("""select exists (select from pool where id = :pool_id and paused_at is not null)
                        or exists (select from cap where pool_id = :pool_id)"""),
            {"pool_id": pool_id},
        ).scalar_one()
    )


def insert_route(session: Session, values: Mapping[str, object]) -> None:
    """Write where a job goes."""
    session.execute(insert(Route).values(**values))


def list_open(session: Session, *, hopeless: Sequence[str], limit: int) -> Sequence[Found]:
    """Routed jobs that may still go elsewhere, those that wait longest first: their routes, and how job and worker stand.

    Left out, so that a thousand of them hold up nobody's: those that run or are held, and those that lie in the pool that
    was asked for and failed nowhere; nothing becomes of them now.
    Columns: those of the route; tenant_id, state, pool_id, private_pool_id, paused, avoid_worker, kind (of the last
    failure), message; there, worker_state, label, waited_s, away_s; refusers (workers that gave it back for a reason in
    `hopeless`), online (workers of the pool that was asked for).
    """
    return session.execute(
        text(f"""
        select r.job_id, r.asked_pool_id, r.worker_id, r.workers, r.only_these as only, r.away_since, j.tenant_id,
               j.state, j.pool_id, j.avoid_worker, j.failures -> -1 -> 'error' ->> 'kind' as kind,
               j.failures -> -1 -> 'error' ->> 'message' as message, p.id as private_pool_id,
               p.paused_at is not null as paused, coalesce({_IS_THERE}, false) as there, w.state as worker_state, w.label,
               extract(epoch from clock_timestamp() - r.since)::float8 as waited_s,
               extract(epoch from clock_timestamp() - r.away_since)::float8 as away_s,
               case when j.failures = '[]' then 0 else (
                   select count(distinct f ->> 'worker') from jsonb_array_elements(j.failures) f
                    where f -> 'error' ->> 'kind' = any(cast(:hopeless as text[]))) end as refusers,
               case when j.failures = '[]' then 0 else (
                   select count(*) from worker_pool x join worker o on o.id = x.worker_id
                    where x.pool_id = r.asked_pool_id and (cardinality(o.serves) = 0 or j.tenant_id = any(o.serves))
                      and {_IS_THERE.replace("w.", "o.")}) end as online
          from route r join job j on j.id = r.job_id
          left join worker w on w.id = r.worker_id left join pool p on p.owner_worker = r.worker_id
         where r.open and not (j.state in ('leased', 'held') and r.away_since is null)
           and not (j.state in ('ready', 'delayed') and j.pool_id = r.asked_pool_id and j.failures = '[]')
         order by r.job_id limit :limit"""),
        {"limit": limit, "hopeless": list(hopeless)},
    ).all()


def set_away(session: Session, *, job_id: UUID, away: bool) -> None:
    """Note that a job's worker is not there any more, or is again."""
    session.execute(
        text("update route set away_since = case when :away then clock_timestamp() end where job_id = :job_id"),
        {"job_id": job_id, "away": away},
    )


def close_routes(session: Session, *, job_ids: Sequence[UUID]) -> None:
    """Note that jobs stay where they are from now on."""
    session.execute(
        text("update route set open = false where job_id = any(cast(:ids as uuid[])) and open"), {"ids": list(job_ids)}
    )


_MOVE = text("""
    with gone_on as (
        update route set worker_id = coalesce(:worker_id, worker_id), workers = :workers, since = clock_timestamp(),
               away_since = null where job_id = :job_id)
    update job set pool_id = :pool_id, vtag = 0 where id = :job_id""").bindparams(
    bindparam("worker_id", type_=Uuid()), bindparam("workers", type_=ARRAY(Uuid()))
)


def move_job(session: Session, *, job_id: UUID, pool_id: UUID, worker_id: UUID | None, workers: Sequence[UUID]) -> None:
    """Give a job that was just taken out of its place another pool: a worker's private one, or (None) the one asked for."""
    session.execute(_MOVE, {"job_id": job_id, "pool_id": pool_id, "worker_id": worker_id, "workers": list(workers)})


_GIVE_UP = text("""
    with given_up as (
        update job j set state = 'dead', failures = j.failures || jsonb_build_array(
               jsonb_build_object('attempt', j.attempt, 'cause', 'infra', 'at', clock_timestamp(), 'error', :error))
         where j.id = :job_id
        returning j.id, j.tenant_id),
    closed as (update route set open = false where job_id = :job_id)
    insert into dead (job_id, tenant_id, reason) select id, tenant_id, :reason from given_up""").bindparams(
    bindparam("error", type_=JSONB)
)


def give_up(session: Session, *, job_id: UUID, kind: str, reason: str) -> None:
    """Give up a job that was just taken out of its place: none of its workers can run it."""
    session.execute(_GIVE_UP, {"job_id": job_id, "reason": reason, "error": {"kind": kind, "message": reason}})


def find_last_failure(session: Session, *, job_id: UUID) -> Found | None:
    """Why a job's last try made nothing: state, kind, message; None for an unknown job."""
    return session.execute(
        text("""select state, failures -> -1 -> 'error' ->> 'kind' as kind,
                       failures -> -1 -> 'error' ->> 'message' as message
                  from job where id = :job_id"""),
        {"job_id": job_id},
    ).first()
