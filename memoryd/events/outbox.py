"""The outbox: what happened is written down in the transaction in which it happens."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.events import queries
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.foundation.database import Session
from memoryd.foundation.errors import TooLarge
from memoryd.foundation.ids import parse_id

BODY_LIMIT = 64 * 1024
"""Bytes of an event's body: it says what to look at, it does not carry it."""


class EventTooLarge(TooLarge):
    """An event cannot carry this much."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """Something that happened at a moment of the database's clock."""

    kind: str
    subject: UUID | None
    body: Mapping[str, Json]
    at: datetime.datetime


def announce(session: Session, kind: str, subject: UUID | None, body: Mapping[str, Json]) -> None:
    """Announce that something happened; it is told if and only if this transaction commits.

    `kind` reads `job.finished`. A `project_id` in the body decides who is told: people who see that project; without
    one, people who see the whole tenant, and of workers and pools everybody. Raises: EventTooLarge beyond BODY_LIMIT
    bytes.
    """
    queries.insert_outbox(session, [_row(kind, subject, body)])


def announce_many(session: Session, announcements: Sequence[Announcement]) -> None:
    """Announce what happened a moment ago, in this order; otherwise as announce."""
    if announcements:
        rows = [{**_row(one.kind, one.subject, one.body), "at": one.at} for one in announcements]
        queries.insert_outbox(session, rows)


def _row(kind: str, subject: UUID | None, body: Mapping[str, Json]) -> dict[str, object]:
    spelled = canonical_bytes(body)
    if len(spelled) > BODY_LIMIT:
        raise EventTooLarge(f"{kind}: {len(spelled)} bytes (BODY_LIMIT is {BODY_LIMIT})")
    project = body.get("project_id")
    return {
        "kind": kind,
        "subject": subject,
        "project_id": parse_id(project) if isinstance(project, str) else None,
        "body": spelled.decode("ascii"),
    }
