"""Every statement of this room."""

from __future__ import annotations

import datetime
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from sqlalchemy import Row, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from memoryd.events.tables import Event, Outbox
from memoryd.foundation.database import Database, Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
"""A row whose columns are read by name."""

WAKE_CHANNEL = "memoryd_events"
"""What is notified carries a tenant's schema and no content."""

RELAY_LOCK = 0x6D656D65
"""First half of the advisory lock's number; the second is the tenant's. Any number that nobody else uses."""


def insert_outbox(session: Session, *, kind: str, subject: UUID | None, project_id: UUID | None, body: str) -> None:
    session.execute(insert(Outbox).values(kind=kind, subject=subject, project_id=project_id, body=body))


def try_relay_lock(session: Session, schema: str) -> bool:
    """Return whether this transaction is now the one that may relay for the tenant."""
    statement = text("select pg_try_advisory_xact_lock(:first, hashtext(:schema))")
    return bool(session.execute(statement, {"first": RELAY_LOCK, "schema": schema}).scalar_one())


def list_outbox(session: Session, limit: int) -> Sequence[AnyRow]:
    return session.execute(select(*Outbox.__table__.c).order_by(Outbox.id).limit(limit)).all()


def delete_outbox(session: Session, ids: Sequence[int]) -> None:
    session.execute(delete(Outbox).where(Outbox.id.in_(ids)))


def insert_events(session: Session, events: Sequence[dict[str, object]]) -> None:
    session.execute(insert(Event), events)


def find_bounds(session: Session) -> tuple[int, int]:
    """Return the first and the last number that are kept; (1, 0) where there is none."""
    statement = select(func.coalesce(func.min(Event.seq), 1), func.coalesce(func.max(Event.seq), 0))
    first, last = session.execute(statement).one()
    return first, last


def list_events(
    session: Session, *, after: int, up_to: int, projects: Sequence[UUID] | None, limit: int
) -> Sequence[AnyRow]:
    """Return events in their order. `projects` None is all of the tenant."""
    statement = select(*Event.__table__.c).where(Event.seq > after, Event.seq <= up_to)
    if projects is not None:
        statement = statement.where(Event.project_id.in_(projects))
    return session.execute(statement.order_by(Event.seq).limit(limit)).all()


def delete_old_events(session: Session, before: datetime.datetime) -> int:
    """Delete what is older, the last event apart: its number continues the order. Return how many."""
    last = select(func.max(Event.seq)).scalar_subquery()
    gone = session.execute(delete(Event).where(Event.at < before, Event.seq < last).returning(Event.seq))
    return len(gone.all())


def wake_readers(session: Session, schema: str) -> None:
    """Wake every process that follows events, when this transaction commits."""
    session.execute(text("select pg_notify(:channel, :schema)"), {"channel": WAKE_CHANNEL, "schema": schema})


def listening_url(database: Database) -> str:
    """Return the address, with its password, for the process's one listening connection."""
    return database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def listen(url: str, pause_s: float) -> Generator[list[str] | None, None, None]:
    """Yield the schemas that were woken, at least every `pause_s` seconds (an empty list when none was).

    First comes None: what happened before we listened was not heard, so everybody looks once. Uses a connection of
    its own. Raises: LostListener.
    """
    with psycopg.connect(url, autocommit=True, application_name="memoryd events") as connection:
        connection.execute(f"listen {WAKE_CHANNEL}")
        yield None
        while True:
            yield [notice.payload for notice in connection.notifies(timeout=pause_s, stop_after=1)]


LostListener = psycopg.Error
