"""Every statement about pools, workers, their keys, and what people see of the queue."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from memoryd.dispatch.tables.pools import JobClass, Pool
from memoryd.dispatch.tables.workers import JoinToken, Worker, WorkerKey, WorkerModel, WorkerNodes, WorkerPool
from memoryd.foundation.database import Session

Found = Row[Any]

ONLINE_S = 60
"""A worker that was heard within this many seconds is online; it speaks at least every HEARTBEAT_S."""

DEPTH_LIMIT = 500

# --- pools and classes


def insert_classes(session: Session, classes: Sequence[Mapping[str, object]]) -> None:
    """Write the job classes that are not there."""
    session.execute(upsert(JobClass).values([dict(one) for one in classes]).on_conflict_do_nothing())


def insert_pool(session: Session, values: Mapping[str, object]) -> bool:
    """Write a pool; False where its name is taken."""
    made = session.execute(
        upsert(Pool).values(**values).on_conflict_do_nothing(index_elements=[Pool.name]).returning(Pool.id)
    )
    return made.first() is not None


def insert_grant(session: Session, *, tenant_id: UUID, pool_id: UUID) -> None:
    """Let a tenant use a pool that is not shared."""
    session.execute(
        text("insert into pool_grant (tenant_id, pool_id) values (:tenant_id, :pool_id) on conflict do nothing"),
        {"tenant_id": tenant_id, "pool_id": pool_id},
    )


def list_depths(session: Session, *, pool_ids: Sequence[UUID], tenant_id: UUID) -> Sequence[Found]:
    """How busy pools are: pool, waiting (up to DEPTH_LIMIT per class), waiting_ms, running; and of the tenant: delayed,
    held, workers that serve it.
    """
    return session.execute(
        text(f"""
        select p.name as pool, w.waiting, w.waiting_ms,
               (select count(*) from lease l where l.pool_id = p.id) as running,
               (select count(*) from delayed d join job j on j.id = d.job_id where j.pool_id = p.id
                   and j.tenant_id = :tenant_id) as delayed,
               (select count(*) from (select from held h join job j on j.id = h.job_id where j.pool_id = p.id
                                         and h.tenant_id = :tenant_id limit {DEPTH_LIMIT}) x) as held,
               (select count(*) from worker_pool x join worker k on k.id = x.worker_id where x.pool_id = p.id
                   and k.state = 'active' and k.seen_at > clock_timestamp() - interval '{ONLINE_S} s'
                   and (cardinality(k.serves) = 0 or :tenant_id = any(k.serves))) as workers
          from pool p cross join lateral (
               select coalesce(sum(q.jobs), 0)::bigint as waiting, coalesce(sum(q.cost), 0)::bigint as waiting_ms
                 from job_class k left join mark m on m.pool_id = p.id and m.class_id = k.id
                cross join lateral (select count(*) as jobs, sum(h.cost_ms) as cost from (
                      select r.cost_ms from ready r
                       where r.pool_id = p.id and r.class_id = k.id and r.vtag >= coalesce(m.low, -1)
                       order by r.vtag, r.job_id limit {DEPTH_LIMIT}) h) q) w
         where p.id = any(cast(:pool_ids as uuid[])) order by p.name"""),
        {"pool_ids": list(pool_ids), "tenant_id": tenant_id},
    ).all()


# --- joining, and proving oneself


def insert_join_token(session: Session, values: Mapping[str, object]) -> None:
    """Write a one-time token's hash."""
    session.execute(insert(JoinToken).values(**values))


def use_join_token(session: Session, *, token_hash: bytes) -> Found | None:
    """Use a token up, if it is valid now: pool_ids, serves, label."""
    return session.execute(
        text("""update join_token set used_at = clock_timestamp()
                 where token_hash = :token_hash and used_at is null and expires_at > clock_timestamp()
                returning pool_ids, serves, label"""),
        {"token_hash": token_hash},
    ).first()


def insert_worker(session: Session, values: Mapping[str, object], *, pool_ids: Sequence[UUID]) -> None:
    """Write a worker and the pools it serves."""
    session.execute(insert(Worker).values(**values))
    session.execute(insert(WorkerPool), [{"worker_id": values["id"], "pool_id": pool_id} for pool_id in pool_ids])


def insert_worker_key(session: Session, *, prefix: str, worker_id: UUID, secret_hash: bytes) -> None:
    """Write the hash of a worker's key."""
    session.execute(insert(WorkerKey).values(prefix=prefix, worker_id=worker_id, secret_hash=secret_hash))


_IDENTITY = """w.id as worker_id, w.label, w.state, w.incarnation, w.serves,
               array(select p.name from worker_pool x join pool p on p.id = x.pool_id
                      where x.worker_id = w.id order by p.name) as pools,
               array(select p.id from worker_pool x join pool p on p.id = x.pool_id
                      where x.worker_id = w.id order by p.name)
               || array(select o.id from pool o where o.owner_worker = w.id) as pool_ids"""


def find_worker_key(session: Session, *, prefix: str) -> Found | None:
    """A key that is in force, and its worker: secret_hash, worker_id, label, state, incarnation, serves, pools, pool_ids."""
    return session.execute(
        text(f"""select k.secret_hash, {_IDENTITY} from worker_key k join worker w on w.id = k.worker_id
                  where k.prefix = :prefix and k.revoked_at is null"""),
        {"prefix": prefix},
    ).first()


def find_worker(session: Session, *, worker_id: UUID) -> Found | None:
    """A worker as find_worker_key shows it, without the key."""
    return session.execute(
        text(f"select {_IDENTITY} from worker w where w.id = :worker_id"), {"worker_id": worker_id}
    ).first()


# --- what a worker states about itself


def update_worker_start(session: Session, values: Mapping[str, object]) -> bool:
    """Write a start of a worker; False where it was removed. A worker that is drained stays so until the next start."""
    statement = text("""
        update worker set state = case when state = 'draining' and incarnation = :incarnation then state else 'active' end,
               incarnation = :incarnation, label = :label, host = :host, protocol = :protocol,
               gpu_uuid = :gpu_uuid, gpu_name = :gpu_name, gpu_driver = :gpu_driver, vram_mb = :vram_mb,
               node_packs = :node_packs, launch_flags = cast(:launch_flags as text[]),
               fetches_models = :fetches_models,
               environment = :environment, environment_sha256 = :environment_sha256,
               nodes = case when nodes_sha256 = :nodes_sha256 then nodes end, nodes_sha256 = :nodes_sha256,
               registered_at = clock_timestamp(), seen_at = clock_timestamp()
         where id = :worker_id and state <> 'removed' returning 1""")
    written = session.execute(statement.bindparams(bindparam("node_packs", type_=JSONB)), dict(values))
    return written.first() is not None


def find_warm_up_graph(session: Session, *, worker_id: UUID) -> bytes | None:
    """The graph (compressed) that a worker runs before its first claim: of the pool that it tries first."""
    return session.execute(
        text("""select p.warm_up_graph from worker_pool x join pool p on p.id = x.pool_id
                 where x.worker_id = :worker_id and p.warm_up_graph is not null
                 order by p.rank desc, p.vram_mb desc nulls last, p.name limit 1"""),
        {"worker_id": worker_id},
    ).scalar()


def insert_nodes(session: Session, *, sha256: bytes, classes: Sequence[str]) -> None:
    """Write a node catalogue that is not there."""
    session.execute(upsert(WorkerNodes).values(sha256=sha256, classes=list(classes)).on_conflict_do_nothing())


def has_specs(session: Session, *, worker_id: UUID) -> bool:
    """Whether a worker's node specifications are there."""
    has: bool = session.execute(
        text("select nodes is not null from worker where id = :worker_id"), {"worker_id": worker_id}
    ).scalar_one()
    return has


def update_specs(session: Session, *, worker_id: UUID, sha256: bytes, document: bytes) -> bool:
    """Write a worker's node specifications; False where it stated another catalogue."""
    written = session.execute(
        text("update worker set nodes = :document where id = :worker_id and nodes_sha256 = :sha256 returning 1"),
        {"worker_id": worker_id, "sha256": sha256, "document": document},
    )
    return written.first() is not None


def list_specs(session: Session, *, tenant_id: UUID, limit: int) -> Sequence[bytes]:
    """The node specifications of the workers that serve a tenant, of the one heard last first."""
    return list(
        session.execute(
            text("""select nodes from worker
                     where nodes is not null and (serves = '{}' or :tenant_id = any(serves))
                     order by seen_at desc nulls last, id limit :limit"""),
            {"tenant_id": tenant_id, "limit": limit},
        ).scalars()
    )


def replace_models(session: Session, *, worker_id: UUID, models: Sequence[Mapping[str, object]]) -> None:
    """Write which model files a worker has, instead of what it stated before."""
    session.execute(text("delete from worker_model where worker_id = :worker_id"), {"worker_id": worker_id})
    if models:
        session.execute(insert(WorkerModel), [{"worker_id": worker_id, **model} for model in models])


def update_worker_state(
    session: Session, *, worker_id: UUID, state: str, incarnation: UUID | None = None, tenant_id: UUID | None = None
) -> bool:
    """Change what a worker is willing to do, of this incarnation and serving this tenant if given; False where none is it."""
    changed = session.execute(
        text("""update worker set state = :state where id = :worker_id
                   and (cast(:incarnation as uuid) is null or incarnation = :incarnation)
                   and (cast(:tenant_id as uuid) is null or cardinality(serves) = 0 or :tenant_id = any(serves))
                   and state <> 'removed' returning 1"""),
        {"worker_id": worker_id, "state": state, "incarnation": incarnation, "tenant_id": tenant_id},
    )
    return changed.first() is not None


def find_environment(session: Session, *, sha256: bytes) -> bytes | None:
    """An environment's document (compressed), by its hash, as some worker stated it, now or before."""
    return session.execute(
        text("""select coalesce((select document from worker_environment where sha256 = :sha256 limit 1),
                                (select environment from worker where environment_sha256 = :sha256 limit 1))"""),
        {"sha256": sha256},
    ).scalar()


def list_workers(
    session: Session, *, tenant_id: UUID, worker_id: UUID | None = None, counted: bool = True
) -> Sequence[Found]:
    """The workers that serve a tenant, by label; only this one if given. Those that were removed are left out.

    Without `counted` running and models are 0: a worker may have stated fifty thousand models.
    """
    return session.execute(
        text(f"""
        select w.id, w.label, w.host, w.gpu_uuid, w.state, w.protocol, w.seen_at,
               coalesce(w.seen_at > clock_timestamp() - interval '{ONLINE_S} s', false) and w.state <> 'left' as online,
               array(select p.name from worker_pool x join pool p on p.id = x.pool_id
                      where x.worker_id = w.id order by 1) as pools,
               case when :counted then (select count(*) from lease l where l.worker_id = w.id) else 0 end as running,
               case when :counted then (select count(*) from worker_model m where m.worker_id = w.id) else 0 end as models
          from worker w where (cardinality(w.serves) = 0 or :tenant_id = any(w.serves)) and w.state <> 'removed'
           and (cast(:worker_id as uuid) is null or w.id = :worker_id) order by w.label, w.id"""),
        {"tenant_id": tenant_id, "worker_id": worker_id, "counted": counted},
    ).all()


def list_catalogues(session: Session, *, pool_id: UUID) -> Sequence[Found]:
    """The node catalogues of a pool's workers that may come back: sha256, classes."""
    return session.execute(
        text("""select distinct n.sha256, n.classes from worker_pool x join worker w on w.id = x.worker_id
                  join worker_nodes n on n.sha256 = w.nodes_sha256
                 where x.pool_id = :pool_id and w.state in ('active', 'draining')"""),
        {"pool_id": pool_id},
    ).all()


def list_hashed_models(session: Session, *, worker_id: UUID, paths: Sequence[str]) -> Sequence[Found]:
    """The model files of these names that a worker has hashed: folder, path, sha256."""
    return session.execute(
        text("""select folder, path, sha256 from worker_model
                 where worker_id = :worker_id and path = any(cast(:paths as text[])) and sha256 is not null"""),
        {"worker_id": worker_id, "paths": list(paths)},
    ).all()


# --- how jobs stand


def list_standings(session: Session, *, job_ids: Sequence[UUID]) -> Sequence[Found]:
    """How jobs stand now, newest first."""
    return session.execute(
        text("""
        select j.id as job_id, j.tenant_id, k.name as urgency, j.state,
               coalesce((select a.name from route o join pool a on a.id = o.asked_pool_id where o.job_id = j.id),
                        p.name) as pool, j.attempt, j.max_attempts,
               j.cancel_requested, j.failures, j.created_at, j.ended_at, w.label as worker, l.leased_at, l.progress, l.phase,
               l.node, j.pool_id, j.class_id, j.vtag, j.group_id, j.after_job_id, j.starts_after, j.expires_at,
               h.reason as held_by, h.waits_for
          from job j join pool p on p.id = j.pool_id join job_class k on k.id = j.class_id
          left join lease l on l.job_id = j.id left join worker w on w.id = l.worker_id
          left join held h on h.job_id = j.id
         where j.id = any(cast(:job_ids as uuid[])) order by j.id desc"""),
        {"job_ids": list(job_ids)},
    ).all()


def read_clock(session: Session) -> datetime.datetime:
    """The database's clock."""
    now: datetime.datetime = session.execute(text("select clock_timestamp()")).scalar_one()
    return now
