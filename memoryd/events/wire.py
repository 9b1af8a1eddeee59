"""The shapes of this room's HTTP: the data of server-sent events."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from memoryd.events.facts import Happened

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


def spell(event: Happened) -> str:
    """Return an event as a stream spells it. Source: WHATWG HTML, server-sent events."""
    return f"id: {event.seq}\nevent: {_one_line(event.kind)}\ndata: {EventShape.of(event).model_dump_json()}\n\n"


def spell_missed(begin: int) -> str:
    """Return the line that tells a reader that events up to `begin` are gone."""
    return f'id: {begin}\nevent: {MISSED_EVENT}\ndata: {{"kind":"{MISSED_EVENT}","seq":"{begin}"}}\n\n'


KEEP_ALIVE = ": still here\n\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
