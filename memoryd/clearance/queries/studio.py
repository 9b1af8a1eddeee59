"""Statements about what the studio says of itself, and what its projects are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from memoryd.clearance.tables import StudioStatement
from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id


def find_statement(session: Session) -> dict[str, object] | None:
    """Return the newest statement; None where there is none."""
    newest = select(StudioStatement.facts).order_by(StudioStatement.at.desc(), StudioStatement.id.desc()).limit(1)
    return session.execute(newest).scalar_one_or_none()


def lock_statements(session: Session) -> None:
    """Let one change of the studio's facts come after another."""
    session.execute(
        text("select pg_advisory_xact_lock(hashtext('memoryd.studio_statement'), hashtext(current_schema()))")
    )


def insert_statement(session: Session, facts: Mapping[str, object], person_id: UUID | None) -> None:
    """Write a statement, which counts from now on."""
    session.execute(insert(StudioStatement).values(id=new_id(), facts=dict(facts), person_id=person_id))


def find_policy(session: Session, project_id: UUID) -> tuple[str, Sequence[str], UUID | None] | None:
    """Return (use, territories, client) of a project's present policy; None where none was set."""
    row = session.execute(
        text(
            """
            select use, territories, client_id from project_policy
            where project_id = :project order by version desc limit 1
            """
        ),
        {"project": project_id},
    ).first()
    return None if row is None else (row.use, row.territories, row.client_id)
