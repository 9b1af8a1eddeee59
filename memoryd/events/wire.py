"""The shapes of this room's HTTP: the data of server-sent events, and webhooks."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.events.facts import Happened
from memoryd.events.receivers import URL_LIMIT
from memoryd.events.webhooks import KINDS_LIMIT, DeliveryView, WebhookView

MISSED_EVENT = "missed"
"""Sent where events before these are no longer kept: the reader looks at everything anew."""


class EventShape(BaseModel):
    """Something that happened. `seq` is a string: it is also the stream's event id."""

    seq: str
    at: datetime.datetime
    kind: str
    subject: UUID | None
    body: dict[str, Any]

    @classmethod
    def of(cls, event: Happened) -> EventShape:
        """Return the shape of an event."""
        return cls(seq=str(event.seq), at=event.at, kind=event.kind, subject=event.subject, body=event.body)


def spell(event: Happened, *, named: bool = True) -> str:
    """Return an event as a stream spells it. `named` False: without its kind as the event's name, which a browser hears
    only where it knows the name beforehand. Source: WHATWG HTML, server-sent events.
    """
    name = f"event: {_one_line(event.kind)}\n" if named else ""
    return f"id: {event.seq}\n{name}data: {EventShape.of(event).model_dump_json()}\n\n"


def spell_missed(begin: int) -> str:
    """Return the line that tells a reader that events up to `begin` are gone."""
    return f'id: {begin}\nevent: {MISSED_EVENT}\ndata: {{"kind":"{MISSED_EVENT}","seq":"{begin}"}}\n\n'


KEEP_ALIVE = ": still here\n\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


class NewWebhook(BaseModel):
    """An address to be told. `kinds` empty: of everything; `job.*` is every kind that begins so."""

    url: str = Field(max_length=URL_LIMIT)
    kinds: list[str] = Field(default=[], max_length=KINDS_LIMIT)


class WebhookSecret(BaseModel):
    """What a webhook's deliveries are signed with (Standard Webhooks): shown this once."""

    id: UUID
    secret: str


class Webhook(BaseModel):
    """An address that is told. `waiting`, `failed` (given up) and `delivered` count the deliveries that are kept."""

    id: UUID
    url: str
    kinds: list[str]
    created_at: datetime.datetime
    disabled_at: datetime.datetime | None
    waiting: int
    failed: int
    delivered: int


class Webhooks(BaseModel):
    """All webhooks of one's tenant."""

    items: list[Webhook]
    next_cursor: None = None


class Delivery(BaseModel):
    """One event on its way to one address. `next_try_at` null: there is no next try."""

    seq: str
    kind: str
    at: datetime.datetime
    tries: int
    last_answer: str | None
    next_try_at: datetime.datetime | None
    delivered_at: datetime.datetime | None
    failed_at: datetime.datetime | None


class Deliveries(BaseModel):
    """A page of deliveries, newest first."""

    items: list[Delivery]
    next_cursor: str | None


class Tried(BaseModel):
    """What a receiver answered to a trial. `status` null: nothing was heard, and `detail` says why."""

    taken: bool
    status: int | None
    detail: str
    took_ms: float


def show_webhook(view: WebhookView) -> Webhook:
    """Return a webhook as its administrator reads it."""
    return Webhook(
        id=view.id,
        url=view.url,
        kinds=list(view.kinds),
        created_at=view.created_at,
        disabled_at=view.disabled_at,
        waiting=view.waiting,
        failed=view.failed,
        delivered=view.delivered,
    )


def show_delivery(view: DeliveryView) -> Delivery:
    """Return a delivery as its administrator reads it."""
    return Delivery(
        seq=str(view.seq),
        kind=view.kind,
        at=view.at,
        tries=view.tries,
        last_answer=view.last_answer,
        next_try_at=view.next_try_at,
        delivered_at=view.delivered_at,
        failed_at=view.failed_at,
    )
