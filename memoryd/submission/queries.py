"""Every statement of this room: what jobs ask for, and what happened to them. The session has taken the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, insert, select, text, update

from memoryd.access.changes.epoch import EPOCH
from memoryd.foundation.database import Session
from memoryd.foundation.lean_statements import Lean, jsonb
from memoryd.foundation.texts import storable
from memoryd.submission.tables import JobDetail, JobEvent

Found = Row[Any]


def storable_json(value: object) -> object:
    """Return a value whose texts, at any depth, Postgres takes: names come from graphs, people and workers."""
    if isinstance(value, str):
        return storable(value)[0]
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, dict):
        return {storable(str(name))[0]: storable_json(item) for name, item in value.items()}
    return value


_INSERT_DETAIL = Lean(
    """
    with detail as (
        insert into job_detail (job_id, project_id, person_id, kind, name, pool, urgency, prompt, extra_data, recompute,
                                inputs, pins, environments, via, workflow, clearance)
        values (:job_id, :project_id, :person_id, :kind, :name, :pool, :urgency, :prompt, :extra_data, :recompute,
                :inputs, :pins, :environments, :via, :workflow, cast(:clearance as jsonb)) returning job_id),
    told as (insert into job_event (job_id, state) select job_id, cast(:state as text) from detail),
    worded as (
        insert into job_words (job_id, words)
        select job_id, cast(cast(:words as text) as tsvector) from detail where cast(:words as text) <> '')
    select """
    + EPOCH
    + """ as epoch"""
)


def insert_detail(session: Session, values: Mapping[str, object], *, state: str, words: str) -> str:
    """Write what a job asks for, the first thing that happened to it, and its words (text of a tsvector, or empty).

    Returns the epoch of what verdicts rest on; no recall is written from here to the commit.
    """
    named = {name: storable_json(value) for name, value in values.items()}
    listed = {name: jsonb(named[name]) for name in ("inputs", "pins")}
    clearance = jsonb(named["clearance"]) if named["clearance"] is not None else None
    epoch: str = _INSERT_DETAIL.one(
        session, {**named, **listed, "clearance": clearance, "state": state, "words": words}
    ).epoch
    return epoch


def set_clearance(
    session: Session, *, job_id: UUID, clearance: Mapping[str, object] | None, pins: Sequence[Mapping[str, object]]
) -> None:
    """Write what a job's models' licences said, and the weights it was accepted for."""
    values = {"clearance": clearance, "pins": storable_json(list(pins))}
    session.execute(update(JobDetail).where(JobDetail.job_id == job_id).values(values))


def insert_details(session: Session, rows: Sequence[Mapping[str, object]], *, state: str) -> None:
    """Write what many jobs ask for, and the first thing that happened to each."""
    session.execute(
        insert(JobDetail), [{name: storable_json(value) for name, value in values.items()} for values in rows]
    )
    session.execute(insert(JobEvent), [{"job_id": values["job_id"], "state": state} for values in rows])


_INSERT_EVENT = Lean("insert into job_event (job_id, state, worker, reason) values (:job_id, :state, :worker, :reason)")
_EVENT = """
        insert into job_event (job_id, state, worker, reason)
        select job_id, cast(:state as text), cast(:worker as text), cast(:reason as text) from job_detail
         where job_id = :job_id"""
_CLAIMED = Lean(f"""
    with told as ({_EVENT})
    select d.*, exists (select from recall where lifted_at is null) as anything_recalled
      from job_detail d where job_id = :job_id""")
_ENDED = Lean(f"""
    with told as ({_EVENT}),
    ended as (
        update job_detail set result = cast(:result as jsonb) where job_id = :job_id and cast(:result as jsonb) is not null)
    select project_id from job_detail where job_id = :job_id""")


def insert_event(
    session: Session, *, job_id: UUID, state: str, worker: str | None = None, reason: str | None = None
) -> None:
    """Write that something happened to a job."""
    _INSERT_EVENT.run(session, {"job_id": job_id, "state": state, "worker": worker, "reason": reason})


def note_claim(session: Session, *, job_id: UUID, state: str, worker: str) -> Any | None:
    """Write that a worker has a job now; return what it asks for (all columns), and whether `anything_recalled` is."""
    return _CLAIMED.first(session, {"job_id": job_id, "state": state, "worker": worker, "reason": None})


def note_end(
    session: Session,
    *,
    job_id: UUID,
    state: str,
    worker: str,
    reason: str | None = None,
    result: Mapping[str, object] | None = None,
) -> Any | None:
    """Write that a run of a job came to its end, and how the job ended where it did; return whose it is: project_id."""
    told = None if result is None else jsonb(storable_json(dict(result)))
    values = {"job_id": job_id, "state": state, "worker": worker, "reason": reason, "result": told}
    return _ENDED.first(session, values)


def insert_events(session: Session, *, job_ids: Sequence[UUID], state: str) -> None:
    """Write that the same happened to many jobs."""
    session.execute(insert(JobEvent), [{"job_id": job_id, "state": state} for job_id in job_ids])


def find_detail(session: Session, *, job_id: UUID) -> Found | None:
    """What a job asks for: all columns."""
    return session.execute(select(JobDetail.__table__).where(JobDetail.job_id == job_id)).first()


def list_details(
    session: Session,
    *,
    sees: Sequence[UUID] | None,
    project_id: UUID | None,
    before: UUID | None,
    limit: int,
    alone: bool = False,
    only: Sequence[UUID] | None = None,
) -> Sequence[Found]:
    """Jobs of the projects one may see, newest first: without the texts. `alone`: those of no group; `only`: of these."""
    wanted = select(
        JobDetail.job_id,
        JobDetail.project_id,
        JobDetail.person_id,
        JobDetail.kind,
        JobDetail.name,
        JobDetail.created_at,
        JobDetail.result,
        JobDetail.clearance,
    ).order_by(JobDetail.job_id.desc())
    if sees is not None:
        wanted = wanted.where(JobDetail.project_id.in_(sees))
    if project_id is not None:
        wanted = wanted.where(JobDetail.project_id == project_id)
    if before is not None:
        wanted = wanted.where(JobDetail.job_id < before)
    if alone:
        wanted = wanted.where(JobDetail.group_id.is_(None))
    if only is not None:
        wanted = wanted.where(JobDetail.job_id.in_(only))
    return cast("Sequence[Found]", session.execute(wanted.limit(limit)).all())


def list_events(session: Session, *, job_id: UUID, after: int = 0) -> Sequence[Found]:
    """What happened to a job, in order, after a sequence number: seq, state, at, worker, reason."""
    wanted = (
        select(JobEvent.seq, JobEvent.state, JobEvent.at, JobEvent.worker, JobEvent.reason)
        .where(JobEvent.job_id == job_id, JobEvent.seq > after)
        .order_by(JobEvent.seq)
    )
    return cast("Sequence[Found]", session.execute(wanted).all())


_SLUG = Lean("select slug from project where id = :id")


def find_project_slug(session: Session, *, project_id: UUID) -> str:
    """A project's slug."""
    return str(_SLUG.one(session, {"id": project_id}).slug)


def find_ground(
    session: Session, *, slug: str | None, project_id: UUID | None, workflow: bytes | None, pool: str
) -> Found:
    """What a job stands on: its project (id, slug, pools, regions; nulls without one), and what its workflow has cost.

    `mean_ms` and `spread_ms` are null where runs of the workflow in this pool have not taught it.
    """
    return session.execute(
        text("""
        select p.id, p.slug, p.pools, p.regions, c.mean_ms, c.spread_ms from (values (1)) one(x)
          left join project p on p.slug = cast(:slug as text) or p.id = cast(:project_id as uuid)
          left join run_cost c on c.workflow = cast(:workflow as bytea) and c.pool = :pool"""),
        {"slug": slug, "project_id": project_id, "workflow": workflow, "pool": pool},
    ).one()


def list_usable_pools(session: Session, *, tenant_id: UUID) -> Sequence[Found]:
    """The farm's: pools that a tenant may use: id, name, region, vram_mb, paused."""
    return session.execute(
        text("""select p.id, p.name, p.region, p.vram_mb, p.paused_at is not null as paused from pool p
                 where p.shared or exists (select from pool_grant g where g.pool_id = p.id and g.tenant_id = :tenant_id)
                 order by p.name"""),
        {"tenant_id": tenant_id},
    ).all()


def find_in_queue(session: Session, *, job_id: UUID) -> Found | None:
    """The farm's: where a job stands in the order: tenant_id, pool_id, class_id, vtag, cost_ms, state, wait_s, left_ms.

    `wait_s`: until it may start; `left_ms`: what its run still takes, as estimated, while it runs.
    """
    return session.execute(
        text("""
        select j.tenant_id, j.pool_id, j.class_id, j.vtag, j.cost_ms, j.state,
               coalesce(extract(epoch from d.run_at - clock_timestamp()), 0)::float8 as wait_s,
               greatest(0, case when l.progress >= 0.1 then e.ms * (1 - l.progress) / l.progress
                                else j.cost_ms - e.ms end)::float8 as left_ms
          from job j left join delayed d on d.job_id = j.id left join lease l on l.job_id = j.id
         cross join lateral (select extract(epoch from clock_timestamp() - l.leased_at) * 1000 as ms) e
         where j.id = :job_id"""),
        {"job_id": job_id},
    ).first()


def learn_run_cost(session: Session, *, workflow: bytes, pool: str, took_ms: float, weight: float) -> None:
    """Move a workflow's mean and spread towards what a run took; nothing where another transaction does so just now."""
    values = {"workflow": workflow, "pool": pool, "took_ms": took_ms, "weight": weight}
    learned = session.execute(
        text("""
        update run_cost c set runs = least(c.runs, 2147483646) + 1, at = clock_timestamp(),
               mean_ms = c.mean_ms + f.w * (:took_ms - c.mean_ms),
               spread_ms = c.spread_ms + f.w * (abs(:took_ms - c.mean_ms) - c.spread_ms)
          from (select workflow, pool, greatest(:weight, 1.0 / (runs + 1)) as w from run_cost
                 where workflow = :workflow and pool = :pool for update skip locked) f
         where c.workflow = f.workflow and c.pool = f.pool returning 1"""),
        values,
    )
    if learned.first() is None:
        session.execute(
            text("""insert into run_cost (workflow, pool, runs, mean_ms, spread_ms)
                    select :workflow, :pool, 1, :took_ms, cast(:took_ms as float8) / 4
                     where not exists (select from run_cost where workflow = :workflow and pool = :pool)
                    on conflict do nothing"""),
            values,
        )


def find_person_name(session: Session, *, person_id: UUID) -> str | None:
    """What a person is called."""
    name: str | None = session.execute(
        text("select display_name from person where id = :id"), {"id": person_id}
    ).scalar()
    return name


def find_names(session: Session, *, project_id: UUID | None, person_id: UUID | None) -> Found:
    """What a project and a person are called: project (slug), person (login); null without one."""
    return session.execute(
        text("""select (select slug from project where id = :project_id) as project,
                       (select login from person where id = :person_id) as person"""),
        {"project_id": project_id, "person_id": person_id},
    ).one()


def list_projects_of(session: Session, *, job_ids: Sequence[UUID]) -> dict[UUID, UUID | None]:
    """The project of each job."""
    wanted = select(JobDetail.job_id, JobDetail.project_id).where(JobDetail.job_id.in_(job_ids))
    return {row.job_id: row.project_id for row in session.execute(wanted)}


def list_workers_of_pool(session: Session, *, pool_id: UUID, tenant_id: UUID, limit: int) -> Sequence[Found]:
    """The farm's: workers of a pool that serve a tenant and may come back, heard last first: id, registered_at, told."""
    return session.execute(
        text("""select w.id, w.registered_at, w.nodes is not null as told from worker_pool x
                  join worker w on w.id = x.worker_id
                 where x.pool_id = :pool_id and w.state in ('active', 'draining')
                   and (cardinality(w.serves) = 0 or :tenant_id = any(w.serves))
                 order by w.registered_at desc nulls last, w.id limit :limit"""),
        {"pool_id": pool_id, "tenant_id": tenant_id, "limit": limit},
    ).all()


def list_catalogues_of_workers(session: Session, *, worker_ids: Sequence[UUID]) -> Sequence[Found]:
    """The farm's: what workers told of their node classes, started last first: nodes (compressed), classes."""
    return session.execute(
        text("""select w.nodes, n.classes from worker w left join worker_nodes n on n.sha256 = w.nodes_sha256
                 where w.id = any(cast(:worker_ids as uuid[])) order by w.registered_at desc nulls last, w.id"""),
        {"worker_ids": list(worker_ids)},
    ).all()


def list_models_of_workers(session: Session, *, worker_ids: Sequence[UUID]) -> Sequence[Found]:
    """The farm's: the model files that workers have: folder, path, and sha256 where all that have it hold the same."""
    return session.execute(
        text("""select folder, path,
                       case when count(distinct sha256) = 1 and bool_and(sha256 is not null)
                            then (array_agg(sha256))[1] end as sha256
                  from worker_model where worker_id = any(cast(:worker_ids as uuid[])) group by 1, 2 order by 1, 2"""),
        {"worker_ids": list(worker_ids)},
    ).all()


def list_worker_hashes(session: Session, *, worker_id: UUID, uses: Sequence[tuple[str, str]]) -> list[bytes]:
    """The farm's: the hashes of what a worker has under these (folder, name with forward slashes), as it told them."""
    rows = session.execute(
        text("""
        select distinct m.sha256 from worker_model m
          join unnest(cast(:folders as text[]), cast(:names as text[])) as x (folder, name)
            on m.folder = x.folder and replace(m.path, chr(92), '/') = x.name
         where m.worker_id = :worker_id and m.sha256 is not null"""),
        {"worker_id": worker_id, "folders": [one for one, _ in uses], "names": [name for _, name in uses]},
    )
    return [bytes(row.sha256) for row in rows]


def list_pinning(session: Session, *, sha256s: Sequence[str], after: UUID | None, limit: int) -> Sequence[Found]:
    """Return (job_id, project_id) of jobs that have no result yet and pin one of these weights (hex), in order."""
    return session.execute(
        text("""
        select job_id, project_id from job_detail d
         where result is null and (cast(:after as uuid) is null or job_id > :after) and exists (
               select from jsonb_array_elements(d.pins) pin where pin ->> 'sha256' = any(cast(:sha256s as text[])))
         order by job_id limit :limit"""),
        {"sha256s": list(sha256s), "after": after, "limit": limit},
    ).all()
