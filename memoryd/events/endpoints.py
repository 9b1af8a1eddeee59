"""What happens, as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from memoryd.access.facts import Caller
from memoryd.access.guards import Office, ReaderCaller
from memoryd.events import streams
from memoryd.events.wire import KEEP_ALIVE, spell, spell_missed
from memoryd.foundation.database import Database

router = APIRouter(tags=["events"])


@router.get("/events", response_class=StreamingResponse)
async def follow_events(
    caller: ReaderCaller,
    office: Office,
    after: Annotated[int | None, Query(ge=0, description="the last event you know; absent: from now on")] = None,
    kind: Annotated[list[str] | None, Query(description="only these kinds")] = None,
    wait: Annotated[bool, Query(description="false: end when all that happened was told")] = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """What happens, in order and without gaps; a browser that reconnects goes on where it was."""
    if last_event_id is not None and last_event_id.isdecimal():
        after = int(last_event_id)
    kinds = frozenset(kind or ())
    if wait:
        told = _following(office.database, caller, after, kinds)
    else:
        told = _so_far(office.database, caller, after or 0, kinds)
    return StreamingResponse(
        told, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _following(
    database: Database, caller: Caller, after: int | None, kinds: frozenset[str]
) -> AsyncIterator[str]:
    # Sent at once, so that a reader knows that the stream has begun before anything happens.
    yield KEEP_ALIVE
    async for page in streams.follow(database, caller, after, kinds=kinds):
        yield _page(page) or KEEP_ALIVE


async def _so_far(database: Database, caller: Caller, after: int, kinds: frozenset[str]) -> AsyncIterator[str]:
    while True:
        page = await asyncio.to_thread(streams.read_events, database, caller, after)
        after = page.after
        told = [event for event in page.events if not kinds or event.kind in kinds]
        yield _page(dataclasses.replace(page, events=told))
        if len(page.events) < streams.PAGE_EVENTS:
            return


def _page(page: streams.EventPage) -> str:
    return (spell_missed(page.begin) if page.missed else "") + "".join(spell(event) for event in page.events)
