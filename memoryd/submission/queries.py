"""Every statement of this room: what jobs ask for, and what happened to them. The session has taken the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, insert, select, text, update

from memoryd.foundation.database import Session
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


def insert_detail(session: Session, values: Mapping[str, object]) -> None:
    """Write what a job asks for."""
    session.execute(insert(JobDetail).values({name: storable_json(value) for name, value in values.items()}))


def insert_event(
    session: Session, *, job_id: UUID, state: str, worker: str | None = None, reason: str | None = None
) -> None:
    """Write that something happened to a job."""
    session.execute(insert(JobEvent).values(job_id=job_id, state=state, worker=worker, reason=reason))


def find_detail(session: Session, *, job_id: UUID) -> Found | None:
    """What a job asks for: all columns."""
    return session.execute(select(JobDetail.__table__).where(JobDetail.job_id == job_id)).first()


def list_details(
    session: Session, *, sees: Sequence[UUID] | None, project_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[Found]:
    """Jobs of the projects one may see, newest first: without the texts."""
    wanted = select(
        JobDetail.job_id,
        JobDetail.project_id,
        JobDetail.person_id,
        JobDetail.kind,
        JobDetail.name,
        JobDetail.created_at,
        JobDetail.result,
    ).order_by(JobDetail.job_id.desc())
    if sees is not None:
        wanted = wanted.where(JobDetail.project_id.in_(sees))
    if project_id is not None:
        wanted = wanted.where(JobDetail.project_id == project_id)
    if before is not None:
        wanted = wanted.where(JobDetail.job_id < before)
    return cast("Sequence[Found]", session.execute(wanted.limit(limit)).all())


def list_events(session: Session, *, job_id: UUID, after: int = 0) -> Sequence[Found]:
    """What happened to a job, in order, after a sequence number: seq, state, at, worker, reason."""
    wanted = (
        select(JobEvent.seq, JobEvent.state, JobEvent.at, JobEvent.worker, JobEvent.reason)
        .where(JobEvent.job_id == job_id, JobEvent.seq > after)
        .order_by(JobEvent.seq)
    )
    return cast("Sequence[Found]", session.execute(wanted).all())


def update_result(session: Session, *, job_id: UUID, result: Mapping[str, object]) -> None:
    """Write how a job ended."""
    session.execute(update(JobDetail).where(JobDetail.job_id == job_id).values(result=storable_json(dict(result))))


def find_project_slug(session: Session, *, project_id: UUID) -> str:
    """A project's slug."""
    slug: str = session.execute(text("select slug from project where id = :id"), {"id": project_id}).scalar_one()
    return slug


def find_pools_of_project(session: Session, *, project_id: UUID) -> Sequence[str] | None:
    """The names of the pools that a project's jobs may use; None for all."""
    pools: Sequence[str] | None = session.execute(
        text("select pools from project where id = :id"), {"id": project_id}
    ).scalar_one()
    return pools


def find_person_name(session: Session, *, person_id: UUID) -> str | None:
    """What a person is called."""
    name: str | None = session.execute(
        text("select display_name from person where id = :id"), {"id": person_id}
    ).scalar()
    return name


def list_projects_of(session: Session, *, job_ids: Sequence[UUID]) -> dict[UUID, UUID | None]:
    """The project of each job."""
    wanted = select(JobDetail.job_id, JobDetail.project_id).where(JobDetail.job_id.in_(job_ids))
    return {row.job_id: row.project_id for row in session.execute(wanted)}
