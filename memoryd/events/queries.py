"""Every statement of this room."""

from __future__ import annotations

import datetime
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, cast
from uuid import UUID

import psycopg
from sqlalchemy import Row, Table, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.events.tables import Event, Outbox, Webhook
from memoryd.foundation.database import Database, Session
from memoryd.foundation.lean_statements import Lean

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
"""A row whose columns are read by name."""

WAKE_CHANNEL = "memoryd_events"
"""What is notified carries a tenant's schema and no content."""

OF_THE_FARM = ("worker.", "pool.")
"""How kinds begin that everybody of a tenant hears: whoever reads anything sees its workers and pools."""

RELAY_LOCK = 0x6D656D65
"""First half of the advisory lock's number; the second is the tenant's. Any number that nobody else uses."""


_INSERT_OUTBOX = insert(cast("Table", Outbox.__table__))
_INSERT_ONE = Lean(
    "insert into outbox (kind, subject, project_id, body) values (:kind, :subject, :project_id, cast(:body as text))"
)


def insert_outbox(session: Session, rows: Sequence[dict[str, object]]) -> None:
    if len(rows) == 1 and "at" not in rows[0]:
        _INSERT_ONE.run(session, rows[0])
    else:
        session.execute(_INSERT_OUTBOX, rows)


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
    """Return events in their order. `projects` None is all of the tenant; of the farm everybody hears (OF_THE_FARM)."""
    statement = select(*Event.__table__.c).where(Event.seq > after, Event.seq <= up_to)
    if projects is not None:
        farm = (Event.kind.startswith(begin) for begin in OF_THE_FARM)
        statement = statement.where(or_(Event.project_id.in_(projects), *farm))
    return session.execute(statement.order_by(Event.seq).limit(limit)).all()


def delete_old_events(session: Session, before: datetime.datetime) -> int:
    """Delete what is older, the last event apart: its number continues the order. Return how many."""
    last = select(func.max(Event.seq)).scalar_subquery()
    session.execute(
        text("""delete from webhook_delivery d using event e where e.seq = d.seq and e.at < :before
                   and e.seq < (select max(seq) from event)"""),
        {"before": before},
    )
    gone = session.execute(delete(Event).where(Event.at < before, Event.seq < last).returning(Event.seq))
    return len(gone.all())


# --- webhooks


def count_webhooks(session: Session) -> int:
    return session.execute(select(func.count()).select_from(Webhook)).scalar_one()


def insert_webhook(session: Session, *, id: UUID, url: str, kinds: list[str] | None, secret_sealed: bytes) -> None:
    """Write a webhook that is told of what comes after the last event."""
    last = select(func.coalesce(func.max(Event.seq), 0)).scalar_subquery()
    session.execute(insert(Webhook).values(id=id, url=url, kinds=kinds, secret_sealed=secret_sealed, after=last))


def update_webhook_secret(session: Session, *, webhook: UUID, secret_sealed: bytes) -> bool:
    """Exchange a webhook's secret; False where there is none."""
    changed = session.execute(
        update(Webhook).where(Webhook.id == webhook).values(secret_sealed=secret_sealed).returning(Webhook.id)
    )
    return changed.first() is not None


def update_webhook_disabled(session: Session, *, webhook: UUID, disabled: bool) -> bool:
    """Switch a webhook off or on; False where there is none."""
    at = func.coalesce(Webhook.disabled_at, func.now()) if disabled else None
    changed = session.execute(update(Webhook).where(Webhook.id == webhook).values(disabled_at=at).returning(Webhook.id))
    return changed.first() is not None


def list_webhooks(session: Session, *, webhook: UUID | None = None) -> Sequence[AnyRow]:
    """The webhooks, oldest first, with what waits, was given up and was delivered; only `webhook` if given."""
    return session.execute(
        text("""
        select w.id, w.url, w.kinds, w.created_at, w.disabled_at,
               count(d.seq) filter (where d.delivered_at is null and d.failed_at is null) as waiting,
               count(d.failed_at) as failed, count(d.delivered_at) as delivered
          from webhook w left join webhook_delivery d on d.webhook_id = w.id
         where cast(:webhook as uuid) is null or w.id = :webhook group by w.id order by w.created_at, w.id"""),
        {"webhook": webhook},
    ).all()


def find_webhook_secret(session: Session, *, webhook: UUID) -> AnyRow | None:
    """Where a webhook goes and what signs it: url, secret_sealed."""
    return session.execute(select(Webhook.url, Webhook.secret_sealed).where(Webhook.id == webhook)).first()


def delete_webhook(session: Session, *, webhook: UUID) -> bool:
    """Delete a webhook and its deliveries; False where there is none."""
    session.execute(text("delete from webhook_delivery where webhook_id = :webhook"), {"webhook": webhook})
    return session.execute(delete(Webhook).where(Webhook.id == webhook).returning(Webhook.id)).first() is not None


def lock_webhooks_behind(session: Session) -> list[UUID]:
    """The webhooks in use that were not told of every event yet, locked; those that another process has are left out."""
    return list(
        session.execute(
            text("""select id from webhook where disabled_at is null
                       and after <> (select coalesce(max(seq), 0) from event) order by id for update skip locked""")
        ).scalars()
    )


def fan_out(session: Session, *, webhook: UUID, limit: int) -> int:
    """Turn the next events into a locked webhook's deliveries; return how many.

    A webhook that is ahead of the events, as after a restored backup, goes on from their end.
    """
    made = session.execute(
        text("""
        with next as (select e.seq, e.kind from event e, webhook w
                       where w.id = :webhook and e.seq > w.after order by e.seq limit :limit),
        moved as (update webhook set after = coalesce((select max(seq) from next),
                                                     least(after, (select coalesce(max(seq), 0) from event)))
                   where id = :webhook returning kinds)
        insert into webhook_delivery (webhook_id, seq)
        select :webhook, n.seq from next n, moved m
         where m.kinds is null or n.kind = any(m.kinds)
            or exists (select from unnest(m.kinds) k where right(k, 2) = '.*' and starts_with(n.kind, left(k, -1)))
        on conflict do nothing returning 1"""),
        {"webhook": webhook, "limit": limit},
    )
    return len(made.all())


def take_due(session: Session, *, limit: int, taken_for_s: float) -> Sequence[AnyRow]:
    """Take deliveries whose time has come, for a while: the delivery, its webhook and its event."""
    return session.execute(
        text("""
        with due as (
            select d.webhook_id, d.seq from webhook_delivery d join webhook w on w.id = d.webhook_id
             where d.delivered_at is null and d.failed_at is null and d.next_try_at <= clock_timestamp()
               and w.disabled_at is null
             order by d.next_try_at, d.seq limit :limit for update of d skip locked),
        taken as (
            update webhook_delivery d set tries = d.tries + 1,
                   next_try_at = clock_timestamp() + make_interval(secs => :taken_for)
              from due where d.webhook_id = due.webhook_id and d.seq = due.seq returning d.webhook_id, d.seq, d.tries)
        select t.webhook_id, t.tries, w.url, w.secret_sealed, e.*
          from taken t join webhook w on w.id = t.webhook_id join event e on e.seq = t.seq"""),
        {"limit": limit, "taken_for": taken_for_s},
    ).all()


def note_delivery(
    session: Session, *, webhook: UUID, seq: int, answer: str, delivered: bool, wait_s: float | None
) -> None:
    """Write what became of a try; with neither `delivered` nor a time to wait it is given up."""
    session.execute(
        text("""
        update webhook_delivery set last_answer = :answer,
               delivered_at = case when :delivered then clock_timestamp() end,
               failed_at = case when not :delivered and cast(:wait as double precision) is null
                                then clock_timestamp() end,
               next_try_at = clock_timestamp() + make_interval(secs => coalesce(cast(:wait as double precision), 0))
         where webhook_id = :webhook and seq = :seq and delivered_at is null"""),
        {"webhook": webhook, "seq": seq, "answer": answer, "delivered": delivered, "wait": wait_s},
    )


def retry_delivery(session: Session, *, webhook: UUID, seq: int) -> bool:
    """Let a delivery be tried again now; False where there is none."""
    found = session.execute(
        text("""update webhook_delivery set tries = 0, next_try_at = clock_timestamp(), delivered_at = null, failed_at = null
                 where webhook_id = :webhook and seq = :seq returning 1"""),
        {"webhook": webhook, "seq": seq},
    )
    return found.first() is not None


def list_deliveries(session: Session, *, webhook: UUID, before: int | None, limit: int) -> Sequence[AnyRow]:
    """A webhook's deliveries with their events' kind and time, newest first."""
    return session.execute(
        text("""select d.*, e.kind, e.at from webhook_delivery d join event e on e.seq = d.seq
                 where d.webhook_id = :webhook and (cast(:before as bigint) is null or d.seq < :before)
                 order by d.seq desc limit :limit"""),
        {"webhook": webhook, "before": before, "limit": limit},
    ).all()


# --- waking


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
