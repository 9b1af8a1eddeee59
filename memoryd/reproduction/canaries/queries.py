"""Every statement about canaries. Reads the catalogue's and the attempts' tables, writes its own."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session
from memoryd.reproduction.canaries.tables import CanaryPolicy, CanaryRun

Found = Row[Any]

# --- policies


def write_policy(session: Session, values: Mapping[str, object]) -> None:
    """Write how a project keeps canaries; what was said before is replaced."""
    stated = upsert(CanaryPolicy).values(**values)
    kept = {name: value for name, value in values.items() if name != "project_id"}
    session.execute(
        stated.on_conflict_do_update(
            index_elements=[CanaryPolicy.project_id], set_={**kept, "set_at": func.clock_timestamp()}
        )
    )


def delete_policy(session: Session, project_id: UUID) -> bool:
    """Let a project keep no canaries any more, and forget what is due and not begun; False where it kept none."""
    session.execute(
        delete(CanaryRun).where(
            CanaryRun.project_id == project_id, CanaryRun.state == "due", CanaryRun.begun_at.is_(None)
        )
    )
    gone = session.execute(
        delete(CanaryPolicy).where(CanaryPolicy.project_id == project_id).returning(CanaryPolicy.project_id)
    )
    return gone.first() is not None


def list_policies(session: Session, sees: Sees) -> Sequence[Found]:
    """The policies of projects that the caller may see, by project: with its slug, places, and the collection's name."""
    return session.execute(
        text("""select c.project_id, p.slug as project, p.pools, p.regions, c.every_s, c.after_change, c.assets_limit,
                       c.collection_id, n.name as collection, c.keep_out, c.set_at
                  from canary_policy c join project p on p.id = c.project_id
                  left join collection n on n.id = c.collection_id
                 where cast(:sees as uuid[]) is null or c.project_id = any(cast(:sees as uuid[]))
                 order by p.slug"""),
        {"sees": _listed(sees)},
    ).all()


def find_collection(session: Session, project_id: UUID, name: str) -> UUID | None:
    """A project's collection of this name."""
    found: UUID | None = session.execute(
        text("select id from collection where project_id = :project and name = :name"),
        {"project": project_id, "name": name},
    ).scalar()
    return found


# --- which assets


def choose_assets(session: Session, *, project_id: UUID, collection_id: UUID | None, limit: int) -> list[UUID]:
    """The approved assets that a project's canaries make: of each workflow the cheapest, that of most approvals first.

    Of a named collection every asset may come, the first of each workflow before the second. What has no graph is left
    out: there is nothing to make it from.
    """
    rows = session.execute(
        text("""
        with approved as (
            select a.asset_id, a.at, coalesce(i.digest, g.exact, cast('' as bytea)) as workflow,
                   coalesce(extract(epoch from g.ended_at - g.started_at), 1e6)
                       + coalesce(x.width, 0)::float8 * coalesce(x.height, 0) / 1e12 as cost
              from approval a join asset x on x.id = a.asset_id and x.erased_at is null
             cross join lateral (
                   select g.exact, g.started_at, g.ended_at
                     from asset y join generation_output o on o.asset_id = y.id
                     join generation g on g.id = o.generation_id and g.adopted_by is null
                          and g.prompt_document is not null and (g.project_id is null or g.project_id = :project)
                    where y.root_id = x.root_id
                    order by y.id = x.id desc, (g.origin = 'job') desc, o.certain desc, g.recorded_at, g.id limit 1) g
              left join graph_identity i on i.exact = g.exact and i.level = 'workflow'
             where a.project_id = :project and a.state = 'approved'
               and (cast(:collection as uuid) is null or exists (
                    select 1 from collection_item c where c.collection_id = :collection and c.root_id = a.root_id))),
        placed as (
            select asset_id, cost, row_number() over (partition by workflow order by cost, at, asset_id) as place,
                   count(*) over (partition by workflow) as many
              from approved)
        select asset_id from placed where place = 1 or cast(:collection as uuid) is not null
         order by place, many desc, cost, asset_id limit :limit"""),
        {"project": project_id, "collection": collection_id, "limit": limit},
    )
    return list(rows.scalars())


# --- runs


def insert_due(session: Session, rows: Sequence[Mapping[str, object]]) -> int:
    """Note runs that are due; where one of the same worker and asset is open, it is that one. Returns how many are new."""
    if not rows:
        return 0
    made = session.execute(
        upsert(CanaryRun).values([dict(row) for row in rows]).on_conflict_do_nothing().returning(CanaryRun.id)
    )
    return len(made.all())


def list_last(
    session: Session, *, project_id: UUID, worker_ids: Sequence[UUID], asset_ids: Sequence[UUID]
) -> Sequence[Found]:
    """The newest run of each worker and asset: worker_id, asset_id, state, outcome, stated, environment, at."""
    return session.execute(
        text("""select distinct on (worker_id, asset_id) worker_id, asset_id, state, outcome, stated, environment, at
                  from canary_run
                 where project_id = :project and worker_id = any(cast(:workers as uuid[]))
                   and asset_id = any(cast(:assets as uuid[]))
                 order by worker_id, asset_id, id desc"""),
        {"project": project_id, "workers": list(worker_ids), "assets": list(asset_ids)},
    ).all()


def list_due(session: Session, *, retry_s: float, limit: int) -> Sequence[Found]:
    """The runs that wait to be begun, the oldest first; one that somebody began in vain waits `retry_s` seconds."""
    return session.execute(
        text("""select id, project_id, asset_id, worker_id, pool, reproduction_id from canary_run
                 where state = 'due'
                   and (begun_at is null or begun_at < clock_timestamp() - make_interval(secs => :retry))
                 order by id limit :limit"""),
        {"retry": retry_s, "limit": limit},
    ).all()


def count_running(session: Session) -> int:
    """How many runs are under way."""
    return int(session.execute(text("select count(*) from canary_run where state = 'running'")).scalar_one())


def begin(session: Session, run_id: UUID, *, retry_s: float) -> bool:
    """Note that a run is being begun; False where somebody else just did."""
    begun = session.execute(
        text("""update canary_run set begun_at = clock_timestamp() where id = :id and state = 'due'
                   and (begun_at is null or begun_at < clock_timestamp() - make_interval(secs => :retry)) returning 1"""),
        {"id": run_id, "retry": retry_s},
    )
    return begun.first() is not None


def set_running(session: Session, run_id: UUID) -> None:
    """Note that a run's attempt is recorded."""
    session.execute(update(CanaryRun).where(CanaryRun.id == run_id, CanaryRun.state == "due").values(state="running"))


def has_attempt(session: Session, reproduction_id: UUID) -> bool:
    """Whether an attempt of this id is recorded."""
    found: bool = session.execute(
        text("select exists (select 1 from reproduction where id = :id)"), {"id": reproduction_id}
    ).scalar_one()
    return found


def list_decided(session: Session, *, limit: int) -> list[UUID]:
    """The runs under way whose attempt has a verdict."""
    return list(
        session.execute(
            text("""select c.id from canary_run c join reproduction r on r.id = c.reproduction_id
                     where c.state = 'running' and r.state = 'decided' order by c.id limit :limit"""),
            {"limit": limit},
        ).scalars()
    )


def list_forgotten(session: Session, *, older_s: float, limit: int) -> Sequence[Found]:
    """Runs that wait in vain for their worker: id, worker_id."""
    return session.execute(
        text("""select id, worker_id from canary_run
                 where state = 'due' and at < clock_timestamp() - make_interval(secs => :older) order by id limit :limit"""),
        {"older": older_s, "limit": limit},
    ).all()


def find_run(session: Session, run_id: UUID, *, lock: bool = False) -> Found | None:
    """A run as it is stored; `lock` keeps it for the transaction."""
    statement = select(*CanaryRun.__table__.columns).where(CanaryRun.id == run_id)
    return session.execute(statement.with_for_update() if lock else statement).first()


def find_attempt(session: Session, reproduction_id: UUID) -> Found | None:
    """What a run's attempt came to: state, verdict, measures, causes, made_asset_id, made_sha256, original (SHA-256),
    original_asset, worker_id, worker (label), environment, decided_at.
    """
    return session.execute(
        text("""select r.state, r.verdict, r.measures, r.causes, r.made_asset_id, m.sha256 as made_sha256,
                       x.sha256 as original, x.id as original_asset, r.worker_id, d.result ->> 'worker' as worker,
                       coalesce(r.environment, decode(d.result ->> 'environment_sha256', 'hex')) as environment,
                       d.result -> 'outputs' as outputs, r.decided_at
                  from reproduction r
                  left join asset m on m.id = r.made_asset_id
                  left join asset x on x.id = coalesce(cast(r.plan ->> 'of_asset' as uuid), r.asset_id)
                  left join job_detail d on d.job_id = r.job_id
                 where r.id = :id"""),
        {"id": reproduction_id},
    ).first()


def find_pixels(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, tuple[str | None, bytes | None]]:
    """The pixel digests that are known of contents: SHA-256 -> (recipe, digest)."""
    rows = session.execute(
        text("select sha256, pixel_recipe, pixel_digest from asset where sha256 = any(:d)"), {"d": list(sha256s)}
    )
    return {bytes(row.sha256): (row.pixel_recipe, row.pixel_digest) for row in rows}


def find_asset_of(session: Session, sha256: bytes) -> UUID | None:
    """The asset of a content."""
    found: UUID | None = session.execute(text("select id from asset where sha256 = :s"), {"s": sha256}).scalar()
    return found


def find_baseline(session: Session, *, worker_id: UUID, asset_id: UUID, project_id: UUID) -> Found | None:
    """What a worker is measured by for an asset: made_sha256, environment, ended_at."""
    return session.execute(
        text("""select made_sha256, environment, ended_at from canary_run
                 where worker_id = :worker and asset_id = :asset and project_id = :project and is_baseline
                 order by id desc limit 1"""),
        {"worker": worker_id, "asset": asset_id, "project": project_id},
    ).first()


def find_last_good(
    session: Session, *, worker_id: UUID, asset_id: UUID, project_id: UUID, before: UUID
) -> Found | None:
    """A worker's last run of an asset that was as it should be: environment, ended_at."""
    return session.execute(
        text("""select environment, ended_at from canary_run
                 where worker_id = :worker and asset_id = :asset and project_id = :project and id < :before
                   and (outcome in ('good', 'first') or is_baseline) order by id desc limit 1"""),
        {"worker": worker_id, "asset": asset_id, "project": project_id, "before": before},
    ).first()


def find_making(session: Session, asset_id: UUID, *, worker: str) -> Found | None:
    """The last job of a worker (by label) that made exactly this asset: environment (hash), ended_at; None: none did."""
    return session.execute(
        text("""select g.environment, coalesce(g.ended_at, g.recorded_at) as ended_at
                  from generation_output o join generation g on g.id = o.generation_id and g.adopted_by is null
                  join job_detail d on d.job_id = g.job_id and d.result ->> 'worker' = :worker
                 where o.asset_id = :asset order by g.recorded_at desc, g.id desc limit 1"""),
        {"asset": asset_id, "worker": worker},
    ).first()


def end(session: Session, run_id: UUID, values: Mapping[str, object], now: datetime.datetime) -> None:
    """Write what a run showed."""
    session.execute(update(CanaryRun).where(CanaryRun.id == run_id).values(state="over", ended_at=now, **values))


def set_doubt(session: Session, run_id: UUID, doubt_id: UUID) -> None:
    """Note the doubt that a run raised or bore out."""
    session.execute(update(CanaryRun).where(CanaryRun.id == run_id).values(doubt_id=doubt_id))


_LATEST = """select distinct on (c.worker_id, c.asset_id) c.id, c.outcome, c.made_sha256, c.is_baseline
               from canary_run c where c.worker_id = :worker and c.project_id = :project and c.state = 'over'
                and c.outcome <> 'not attempted' order by c.worker_id, c.asset_id, c.id desc"""


def drifts_still(session: Session, *, worker_id: UUID, project_id: UUID) -> bool:
    """Whether the newest run of any of a project's assets on a worker is not as it should be."""
    found: bool = session.execute(
        text(
            f"select exists (select 1 from ({_LATEST}) l where l.outcome not in ('good', 'first') and not l.is_baseline)"
        ),
        {"worker": worker_id, "project": project_id},
    ).scalar_one()
    return found


def accept_latest(session: Session, *, worker_id: UUID, project_id: UUID) -> int:
    """Let what a worker made last be what later runs are compared with, where it had drifted; return of how many assets."""
    changed = session.execute(
        text(f"""update canary_run set is_baseline = true
                  where id in (select l.id from ({_LATEST}) l where l.outcome not in ('good', 'first'))
                    and made_sha256 is not null returning 1"""),
        {"worker": worker_id, "project": project_id},
    )
    return len(changed.all())


_SHOWN = """c.id, c.project_id, p.slug as project, c.asset_id, c.worker_id, c.worker, c.reason, c.state,
            c.reproduction_id, c.outcome, c.verdict, c.made_asset_id, c.made_sha256, c.baseline_sha256, c.is_baseline,
            c.environment, c.measures, c.causes, c.doubt_id, c.at, c.ended_at"""


def list_runs(
    session: Session,
    *,
    sees: Sees,
    project_id: UUID | None,
    worker_id: UUID | None,
    asset_id: UUID | None,
    doubt_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Found]:
    """Runs that the caller may see, newest first."""
    return session.execute(
        text(f"""select {_SHOWN} from canary_run c join project p on p.id = c.project_id
                  where (cast(:sees as uuid[]) is null or c.project_id = any(cast(:sees as uuid[])))
                    and (cast(:project as uuid) is null or c.project_id = :project)
                    and (cast(:worker as uuid) is null or c.worker_id = :worker)
                    and (cast(:asset as uuid) is null or c.asset_id = :asset)
                    and (cast(:doubt as uuid) is null or c.doubt_id = :doubt)
                    and (cast(:before as uuid) is null or c.id < :before)
                  order by c.id desc limit :limit"""),
        {
            "sees": _listed(sees),
            "project": project_id,
            "worker": worker_id,
            "asset": asset_id,
            "doubt": doubt_id,
            "before": before,
            "limit": limit,
        },
    ).all()


def list_standing(session: Session, *, sees: Sees, limit: int) -> Sequence[Found]:
    """The newest run of each project, worker and asset that the caller may see."""
    return session.execute(
        text(f"""select distinct on (p.slug, c.worker, c.worker_id, c.asset_id) {_SHOWN}
                   from canary_run c join project p on p.id = c.project_id join canary_policy k on k.project_id = p.id
                  where cast(:sees as uuid[]) is null or c.project_id = any(cast(:sees as uuid[]))
                  order by p.slug, c.worker, c.worker_id, c.asset_id, c.id desc limit :limit"""),
        {"sees": _listed(sees), "limit": limit},
    ).all()


def _listed(sees: Sees) -> list[UUID] | None:
    return None if sees is None else list(sees)
