"""Every statement about workers in doubt, and about whose canary a worker runs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from memoryd.dispatch.queries.fleet import ONLINE_S
from memoryd.foundation.database import Session

Found = Row[Any]

_SHOWN = """d.id, d.worker_id, w.label, d.tenant_id, d.project_id, d.reason, d.last_good_at, d.first_bad_at, d.change,
            d.changed, d.keeps_out, d.bad_runs, d.last_bad_at, d.good_again_at, d.raised_at, d.decided_at, d.decided_by,
            d.decision, d.note, d.closed_at"""


def raise_doubt(session: Session, values: Mapping[str, object]) -> Found:
    """Write a doubt, or count one more bad run of that which stands: id, raised (whether it is new)."""
    statement = text("""
        insert into worker_doubt as d (id, worker_id, tenant_id, project_id, reason, last_good_at, first_bad_at, change,
                                       changed, keeps_out, last_bad_at)
        values (:id, :worker_id, :tenant_id, :project_id, :reason, :last_good_at, :bad_at, :change, :changed, :keeps_out,
                :bad_at)
        on conflict (tenant_id, worker_id, project_id) where closed_at is null do update
           set bad_runs = d.bad_runs + 1, last_bad_at = greatest(d.last_bad_at, excluded.last_bad_at),
               good_again_at = null,
               -- A drift of pixels is more than one of the file around them.
               reason = case when d.reason = 'file-drifted' then excluded.reason else d.reason end,
               keeps_out = d.keeps_out or (excluded.keeps_out and d.decided_at is null)
        returning d.id, d.id = :id as raised""")
    return session.execute(statement.bindparams(bindparam("change", type_=JSONB)), dict(values)).one()


def mark_good_again(
    session: Session, *, worker_id: UUID, tenant_id: UUID, project_id: UUID, at: datetime.datetime
) -> bool:
    """Note on a standing doubt that the worker makes again what it made; False where there is none, or it was noted."""
    noted = session.execute(
        text("""update worker_doubt set good_again_at = :at
                 where worker_id = :worker_id and tenant_id = :tenant_id and project_id = :project_id
                   and closed_at is null and good_again_at is null returning 1"""),
        {"worker_id": worker_id, "tenant_id": tenant_id, "project_id": project_id, "at": at},
    )
    return noted.first() is not None


def decide(session: Session, values: Mapping[str, object]) -> Found | None:
    """Write what somebody decided of one of a tenant's doubts that stands: worker_id, closed; None where none does."""
    return session.execute(
        text("""update worker_doubt
                   set decided_at = clock_timestamp(), decided_by = :decided_by, decision = :decision, note = :note,
                       keeps_out = :keeps_out, closed_at = case when :closes then clock_timestamp() end
                 where id = :id and tenant_id = :tenant_id and closed_at is null
                returning worker_id, closed_at is not null as closed"""),
        dict(values),
    ).first()


def find_doubt(session: Session, *, doubt_id: UUID, tenant_id: UUID) -> Found | None:
    """One of a tenant's own doubts."""
    return session.execute(
        text(f"""select {_SHOWN} from worker_doubt d join worker w on w.id = d.worker_id
                  where d.id = :id and d.tenant_id = :tenant_id"""),
        {"id": doubt_id, "tenant_id": tenant_id},
    ).first()


def list_doubts(
    session: Session,
    *,
    tenant_id: UUID,
    projects: Sequence[UUID] | None,
    worker_id: UUID | None,
    standing: bool,
    limit: int,
) -> Sequence[Found]:
    """A tenant's own doubts of projects (None: all), newest first; only of one worker, or only those that stand."""
    return session.execute(
        text(f"""select {_SHOWN} from worker_doubt d join worker w on w.id = d.worker_id
                  where d.tenant_id = :tenant_id and (not :standing or (d.closed_at is null and w.state <> 'removed'))
                    and (cast(:projects as uuid[]) is null or d.project_id = any(cast(:projects as uuid[])))
                    and (cast(:worker_id as uuid) is null or d.worker_id = :worker_id)
                  order by d.closed_at is null desc, d.raised_at desc, d.id desc limit :limit"""),
        {
            "tenant_id": tenant_id,
            "projects": None if projects is None else list(projects),
            "worker_id": worker_id,
            "standing": standing,
            "limit": limit,
        },
    ).all()


def list_others(session: Session, *, tenant_id: UUID, projects: Sequence[UUID] | None, limit: int) -> Sequence[Found]:
    """The workers that serve a tenant and that somebody else doubts: worker_id, label, last_good_at, first_bad_at.

    Somebody else is another tenant, or a project not among these (None: every one is). Nothing of whom, of which project,
    of what was compared, of who decided what.
    """
    return session.execute(
        text("""select d.worker_id, w.label, max(d.last_good_at) as last_good_at, min(d.first_bad_at) as first_bad_at
                  from worker_doubt d join worker w on w.id = d.worker_id
                 where d.closed_at is null and w.state <> 'removed'
                   and (d.tenant_id <> :tenant_id or not d.project_id = any(cast(:projects as uuid[])))
                   and (cardinality(w.serves) = 0 or :tenant_id = any(w.serves))
                 group by d.worker_id, w.label order by w.label, d.worker_id limit :limit"""),
        {"tenant_id": tenant_id, "projects": None if projects is None else list(projects), "limit": limit},
    ).all()


def list_kept_out(session: Session, *, tenant_id: UUID) -> list[UUID]:
    """The workers that a tenant keeps from reproduction work."""
    return list(
        session.execute(
            text("""select distinct worker_id from worker_doubt
                     where tenant_id = :tenant_id and keeps_out and closed_at is null"""),
            {"tenant_id": tenant_id},
        ).scalars()
    )


def list_gauges(session: Session) -> Sequence[Found]:
    """The workers in doubt, for the operator: worker_id, label, gpu, doubts, undecided, keeps_out, bad_s."""
    return session.execute(
        text("""select w.id as worker_id, w.label, w.gpu_name as gpu, count(*) as doubts,
                       count(*) filter (where d.decided_at is null) as undecided, bool_or(d.keeps_out) as keeps_out,
                       extract(epoch from clock_timestamp() - min(d.first_bad_at)) as bad_s
                  from worker_doubt d join worker w on w.id = d.worker_id
                 where d.closed_at is null and w.state <> 'removed' group by w.id order by w.label, w.id""")
    ).all()


# --- trying workers


def list_servants(session: Session, *, tenant_id: UUID) -> Sequence[Found]:
    """The workers that would take a tenant's job now: id, label, environment_sha256, pools (names), by label."""
    return session.execute(
        text(f"""
        select w.id, w.label, w.environment_sha256,
               array(select p.name from worker_pool x join pool p on p.id = x.pool_id
                      where x.worker_id = w.id order by p.rank desc, p.name) as pools
          from worker w
         where w.state = 'active' and w.seen_at > clock_timestamp() - interval '{ONLINE_S} s'
           and (cardinality(w.serves) = 0 or :tenant_id = any(w.serves)) order by w.label, w.id"""),
        {"tenant_id": tenant_id},
    ).all()


def take_turn(session: Session, *, worker_id: UUID, tenant_id: UUID, run_id: UUID, term_s: float) -> bool:
    """Take or keep a worker's turn for a canary run; False where another run has it."""
    taken = session.execute(
        text("""insert into canary_turn as t (worker_id, tenant_id, run_id, until)
                values (:worker_id, :tenant_id, :run_id, clock_timestamp() + make_interval(secs => :term))
                on conflict (worker_id) do update
                   set tenant_id = excluded.tenant_id, run_id = excluded.run_id, until = excluded.until
                 where t.run_id = excluded.run_id or t.until < clock_timestamp() returning 1"""),
        {"worker_id": worker_id, "tenant_id": tenant_id, "run_id": run_id, "term": term_s},
    )
    return taken.first() is not None


def end_turn(session: Session, *, worker_id: UUID, run_id: UUID) -> None:
    """End a canary run's turn on a worker, if it has it."""
    session.execute(
        text("delete from canary_turn where worker_id = :worker_id and run_id = :run_id"),
        {"worker_id": worker_id, "run_id": run_id},
    )
