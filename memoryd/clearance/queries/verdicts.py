"""Statements about verdicts that are kept: written, superseded, reopened, listed."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.clearance.tables import AssetModelSet, LicenceVerdict
from memoryd.foundation.database import Session

STANDING, REOPENED, SUPERSEDED = "standing", "reopened", "superseded"


def find_standing(
    session: Session, kind: str, subject: bytes, occasion: bytes, project_id: UUID | None
) -> LicenceVerdict | None:
    """Return the standing answer to this very question."""
    return session.scalars(
        select(LicenceVerdict)
        .where(*_question(kind, subject, occasion, project_id), LicenceVerdict.state == STANDING)
        .execution_options(populate_existing=True)
    ).one_or_none()


def list_standing_sets(session: Session, digests: Collection[bytes], occasion: bytes) -> Sequence[LicenceVerdict]:
    """Return the standing verdicts of sets of models on one occasion."""
    return session.scalars(
        select(LicenceVerdict)
        .where(
            LicenceVerdict.kind == "set",
            LicenceVerdict.subject.in_(digests),
            LicenceVerdict.occasion == occasion,
            LicenceVerdict.state == STANDING,
        )
        .execution_options(populate_existing=True)
    ).all()


def supersede(
    session: Session, kind: str, subject: bytes, occasion: bytes, project_id: UUID | None, states: Collection[str]
) -> None:
    """End what was answered to this question before and is in one of these states."""
    session.execute(
        update(LicenceVerdict)
        .where(
            *_question(kind, subject, occasion, project_id),
            LicenceVerdict.state.in_(states),
        )
        .values(state=SUPERSEDED)
        .execution_options(synchronize_session=False)
    )


def insert_verdict(session: Session, row: dict[str, object]) -> bool:
    """Write a verdict; False where another transaction has just answered the same question."""
    statement = insert(LicenceVerdict).values(row).on_conflict_do_nothing().returning(LicenceVerdict.id)
    return session.execute(statement).first() is not None


def list_resting_on(
    session: Session,
    *,
    licences: Collection[UUID] = (),
    models: Collection[bytes] = (),
    client: str | None = None,
    everything: bool = False,
    after: UUID | None,
    limit: int,
) -> Sequence[LicenceVerdict]:
    """Return standing verdicts that rest on one of these licences or models, or on this client's facts, by id."""
    rests: list[ColumnElement[bool]] = []
    if licences:
        rests.append(LicenceVerdict.licences.overlap(list(licences)))
    if models:
        rests.append(LicenceVerdict.models.overlap(list(models)))
    if client is not None:
        rests.append(LicenceVerdict.facts["occasion"]["client"].astext == client)
    statement = select(LicenceVerdict).where(LicenceVerdict.state == STANDING)
    if not everything:
        statement = statement.where(or_(*rests))
    if after is not None:
        statement = statement.where(LicenceVerdict.id > after)
    statement = statement.order_by(LicenceVerdict.id).limit(limit)
    return session.scalars(statement.execution_options(populate_existing=True)).all()


def reopen(session: Session, verdict_id: UUID, *, why: str, to: str | None) -> bool:
    """Reopen a standing verdict; False where it stands no more."""
    reopened = (
        update(LicenceVerdict)
        .where(LicenceVerdict.id == verdict_id, LicenceVerdict.state == STANDING)
        .values(state=REOPENED, reopened_at=func.clock_timestamp(), reopened_why=why, reopened_to=to)
        .returning(LicenceVerdict.id)
        .execution_options(synchronize_session=False)
    )
    return session.execute(reopened).first() is not None


def list_verdicts(
    session: Session,
    sees: Collection[UUID] | None,
    *,
    state: str | None = None,
    kind: str | None = None,
    subject: bytes | None = None,
    before: tuple[datetime.datetime, UUID] | None = None,
    limit: int,
) -> Sequence[LicenceVerdict]:
    """Return kept verdicts of subjects in these projects, the last changed first.

    Sets of models, which are nobody's, come only reopened, and where these projects have an asset of theirs.
    """
    moment = func.coalesce(LicenceVerdict.reopened_at, LicenceVerdict.at)
    made = exists().where(AssetModelSet.digest == LicenceVerdict.subject)
    own: ColumnElement[bool] = true()
    if sees is not None:
        made = made.where(AssetModelSet.project_id.in_(sees))
        own = LicenceVerdict.project_id.in_(sees)
    of_sets = and_(LicenceVerdict.kind == "set", LicenceVerdict.state == REOPENED, made)
    statement = select(LicenceVerdict).where(or_(and_(LicenceVerdict.kind != "set", own), of_sets))
    for column, value in (
        (LicenceVerdict.state, state),
        (LicenceVerdict.kind, kind),
        (LicenceVerdict.subject, subject),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if before is not None:
        statement = statement.where(tuple_(moment, LicenceVerdict.id) < before)
    statement = statement.order_by(moment.desc(), LicenceVerdict.id.desc()).limit(limit)
    return session.scalars(statement.execution_options(populate_existing=True)).all()


def _question(kind: str, subject: bytes, occasion: bytes, project_id: UUID | None) -> tuple[ColumnElement[bool], ...]:
    return (
        and_(LicenceVerdict.kind == kind, LicenceVerdict.subject == subject, LicenceVerdict.occasion == occasion),
        LicenceVerdict.project_id.is_not_distinct_from(project_id),
    )
