"""Every statement about dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Row, String, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from memoryd.dispatch.facts import DeadFilter
from memoryd.foundation.database import Session

Found = Row[Any]

_LIST = text("""
    select d.job_id, p.name as pool, d.reason, d.at, j.failures
      from dead d join job j on j.id = d.job_id join pool p on p.id = j.pool_id
     where d.tenant_id = :tenant_id and (:before is null or d.job_id < :before)
       and (:pool is null or p.name = :pool) and (:since is null or d.at >= :since)
       and (:model_set is null or j.model_set = :model_set) and (:project_id is null or j.project_id = :project_id)
       and (:person_id is null or j.person_id = :person_id)
     order by d.job_id desc limit :limit""").bindparams(
    *(bindparam(name, type_=Uuid()) for name in ("before", "project_id", "person_id")),
    *(bindparam(name, type_=String()) for name in ("pool", "model_set")),
    bindparam("since", type_=DateTime(timezone=True)),
)


def list_dead(
    session: Session, *, tenant_id: UUID, only: DeadFilter, before: UUID | None, limit: int
) -> Sequence[Found]:
    """A tenant's dead letters that fit, newest first: job_id, pool, reason, at, failures."""
    return session.execute(
        _LIST,
        {
            "tenant_id": tenant_id,
            "before": before,
            "pool": only.pool,
            "since": only.since,
            "model_set": only.model_set,
            "project_id": only.project_id,
            "person_id": only.person_id,
            "limit": limit,
        },
    ).all()


def is_dead(session: Session, *, tenant_id: UUID, job_id: UUID) -> bool:
    """Whether a job is among a tenant's dead letters; it stays there until commit, or goes by this transaction."""
    found = session.execute(
        text("select 1 from dead where tenant_id = :tenant_id and job_id = :job_id for update"),
        {"tenant_id": tenant_id, "job_id": job_id},
    )
    return found.first() is not None


_DISCARD = text("""
    with gone as (
        delete from dead where tenant_id = :tenant_id and job_id = any(array(
            select job_id from dead where job_id = any(cast(:ids as uuid[])) order by job_id for update))
        returning job_id)
    update job j set state = 'cancelled', cancel_requested = true, ended_at = clock_timestamp(),
           failures = j.failures || jsonb_build_array(jsonb_build_object(
               'attempt', j.attempt, 'cause', 'discarded', 'at', clock_timestamp(),
               'error', jsonb_build_object('kind', 'discarded', 'message', 'given up for good by ' || cast(:by as text))))
      from gone where j.id = gone.job_id returning j.id""").bindparams(bindparam("ids", type_=ARRAY(Uuid())))


def discard(session: Session, *, job_ids: Sequence[UUID], tenant_id: UUID, by: str) -> list[UUID]:
    """Take jobs out of a tenant's dead letters and end them for good: their ids."""
    return list(session.execute(_DISCARD, {"ids": list(job_ids), "tenant_id": tenant_id, "by": by}).scalars())
