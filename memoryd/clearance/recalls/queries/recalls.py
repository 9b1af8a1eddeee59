"""Every statement about recalls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from memoryd.access.tables import Person
from memoryd.clearance.recalls.tables import Recall, RecalledModel, TouchModel
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def list_standing(session: Session, sha256s: Sequence[bytes]) -> Sequence[AnyRow]:
    """Return (sha256, via, recall_id, model, kind, reason, at) of those of these weights that are recalled, oldest first."""
    return session.execute(
        select(
            RecalledModel.sha256,
            RecalledModel.via,
            Recall.id.label("recall_id"),
            Recall.model,
            Recall.kind,
            Recall.reason,
            Recall.at,
        )
        .join(Recall, Recall.id == RecalledModel.recall_id)
        .where(RecalledModel.sha256.in_(sha256s), Recall.lifted_at.is_(None))
        .order_by(Recall.at)
    ).all()


def list_recalled_numbers(session: Session, numbers: Sequence[int]) -> set[int]:
    """Return those of these numbers of weights (touch_model) that are recalled."""
    return set(
        session.scalars(
            select(TouchModel.no)
            .join(RecalledModel, RecalledModel.sha256 == TouchModel.sha256)
            .join(Recall, Recall.id == RecalledModel.recall_id)
            .where(TouchModel.no.in_(numbers), Recall.lifted_at.is_(None))
        )
    )


def is_any_standing(session: Session) -> bool:
    """Tell whether anything is recalled at all."""
    return bool(session.scalar(select(exists().where(Recall.lifted_at.is_(None)))))


def insert_recall(session: Session, **values: object) -> bool:
    """Write a recall; False where one of this model stands."""
    made = insert(Recall).values(**values).on_conflict_do_nothing().returning(Recall.id)
    return session.scalar(made) is not None


def insert_recalled(session: Session, recall_id: UUID, models: Mapping[bytes, str | None]) -> int:
    """Write which weights a recall concerns, and how they came from its model; return how many it did not concern before."""
    rows = [{"recall_id": recall_id, "sha256": sha256, "via": via} for sha256, via in models.items()]
    made = insert(RecalledModel).on_conflict_do_nothing().returning(RecalledModel.sha256)
    return len(session.scalars(made, rows).all())


def lock_standing(session: Session, recall_id: UUID) -> bool:
    """Tell whether a recall stands, and keep it so until this transaction ends."""
    wanted = select(Recall.id).where(Recall.id == recall_id, Recall.lifted_at.is_(None)).with_for_update()
    return session.scalar(wanted) is not None


def restart_marking(session: Session, recall_id: UUID, *, marking: str) -> None:
    """Let the marks of a recall be set from the beginning: it concerns more weights than before."""
    session.execute(
        update(Recall).where(Recall.id == recall_id).values(marking=marking, mark_cursor=None, lines_marked=0)
    )


def lift_recall(session: Session, recall_id: UUID, *, person_id: UUID | None, reason: str, marking: str) -> bool:
    """End a recall and let its marks be taken away; False where it does not stand."""
    lifted = (
        update(Recall)
        .where(Recall.id == recall_id, Recall.lifted_at.is_(None))
        .values(
            lifted_at=func.clock_timestamp(),
            lifted_by=person_id,
            lifted_reason=reason,
            marking=marking,
            mark_cursor=None,
        )
        .returning(Recall.id)
    )
    return session.scalar(lifted) is not None


def find_standing(session: Session, sha256: bytes) -> UUID | None:
    """Return the recall of a model that stands."""
    return session.scalar(select(Recall.id).where(Recall.model == sha256, Recall.lifted_at.is_(None)))


def list_recalls(
    session: Session, *, recall_id: UUID | None, standing: bool | None, before: UUID | None, limit: int
) -> Sequence[AnyRow]:
    """Return recalls with who decided, newest first."""
    lifter = aliased(Person)
    wanted = (
        select(
            Recall.__table__,
            Person.display_name.label("by_name"),
            lifter.display_name.label("lifted_by_name"),
            select(func.count())
            .where(RecalledModel.recall_id == Recall.id, RecalledModel.via.is_not(None))
            .scalar_subquery()
            .label("made_of_it"),
            select(func.sum(TouchModel.lines))
            .join(RecalledModel, RecalledModel.sha256 == TouchModel.sha256)
            .where(RecalledModel.recall_id == Recall.id)
            .scalar_subquery()
            .label("lines"),
        )
        .outerjoin(Person, Person.id == Recall.by_person)
        .outerjoin(lifter, lifter.id == Recall.lifted_by)
        .order_by(Recall.id.desc())
        .limit(limit)
    )
    if recall_id is not None:
        wanted = wanted.where(Recall.id == recall_id)
    if standing is not None:
        wanted = wanted.where(Recall.lifted_at.is_(None) if standing else Recall.lifted_at.is_not(None))
    if before is not None:
        wanted = wanted.where(Recall.id < before)
    return session.execute(wanted).all()


def list_concerned(session: Session, recall_id: UUID) -> dict[bytes, str | None]:
    """Return which weights a recall concerns, and how they came from its model."""
    rows = session.execute(select(RecalledModel.sha256, RecalledModel.via).where(RecalledModel.recall_id == recall_id))
    return {bytes(row.sha256): row.via for row in rows}


def lock_marking(session: Session, recall_id: UUID) -> AnyRow | None:
    """Return (marking, mark_cursor) of a recall, locked until this transaction ends."""
    return session.execute(
        select(Recall.marking, Recall.mark_cursor).where(Recall.id == recall_id).with_for_update()
    ).first()


def update_marking(session: Session, recall_id: UUID, *, marking: str, cursor: UUID | None, lines: int) -> None:
    """Note how far the marks of a recall are; `lines` more have theirs (or, below zero, have it no more)."""
    session.execute(
        update(Recall)
        .where(Recall.id == recall_id)
        .values(marking=marking, mark_cursor=cursor, lines_marked=Recall.lines_marked + lines)
    )


def add_jobs_ended(session: Session, recall_id: UUID, jobs: int) -> None:
    """Note that jobs were ended for a recall."""
    session.execute(update(Recall).where(Recall.id == recall_id).values(jobs_ended=Recall.jobs_ended + jobs))
