"""What happens: a stream of server-sent events, and the webhooks that are told of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.access.guards import Administrator, AdministratorCaller, Office, ReaderCaller
from memoryd.events import streams, trying, webhooks, wire
from memoryd.events.receivers import reach_of
from memoryd.events.wire import KEEP_ALIVE, spell, spell_missed
from memoryd.foundation.database import Database

router = APIRouter(tags=["events"])


@router.get("/events", response_class=StreamingResponse)
async def follow_events(
    caller: ReaderCaller,
    office: Office,
    after: Annotated[int | None, Query(ge=0, description="the last event you know; absent: from now on")] = None,
    kind: Annotated[list[str] | None, Query(description="only these kinds; `job.*` is all that begin so")] = None,
    wait: Annotated[bool, Query(description="false: end when all that happened was told")] = True,
    named: Annotated[bool, Query(description="false: events carry their kind in their data alone")] = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """What happens, in order and without gaps; a browser that reconnects goes on where it was."""
    if last_event_id is not None and last_event_id.isdecimal():
        after = int(last_event_id)
    kinds = frozenset(kind or ())
    if wait:
        told = _following(office.database, caller, after, kinds, named=named)
    else:
        told = _so_far(office.database, caller, after or 0, kinds, named=named)
    return StreamingResponse(
        told, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _following(
    database: Database, caller: Caller, after: int | None, kinds: frozenset[str], *, named: bool
) -> AsyncIterator[str]:
    # Sent at once, so that a reader knows that the stream has begun before anything happens.
    yield KEEP_ALIVE
    async for page in streams.follow(database, caller, after, kinds=kinds):
        yield _page(page, named=named) or KEEP_ALIVE


async def _so_far(
    database: Database, caller: Caller, after: int, kinds: frozenset[str], *, named: bool
) -> AsyncIterator[str]:
    while True:
        page = await asyncio.to_thread(streams.read_events, database, caller, after)
        after = page.after
        told = [event for event in page.events if streams.is_of_kind(event, kinds)]
        yield _page(dataclasses.replace(page, events=told), named=named)
        if len(page.events) < streams.PAGE_EVENTS:
            return


def _page(page: streams.EventPage, *, named: bool) -> str:
    events = "".join(spell(event, named=named) for event in page.events)
    return (spell_missed(page.begin) if page.missed else "") + events


# --- webhooks


@router.get("/webhooks")
def list_webhooks(work: Administrator) -> wire.Webhooks:
    """The addresses that are told of events."""
    return wire.Webhooks(items=[wire.show_webhook(one) for one in webhooks.list_webhooks(work.session)])


@router.post("/webhooks", status_code=201)
def add_webhook(work: Administrator, office: Office, asked: wire.NewWebhook) -> wire.WebhookSecret:
    """Tell an address of what happens from now on. The secret that signs it is shown this once."""
    webhook, secret = webhooks.add_webhook(work.session, asked.url, asked.kinds, office.keys)
    audit.note(work.session, work.caller, "webhook.add", f"webhook:{webhook}", {"kinds": list(asked.kinds)})
    return wire.WebhookSecret(id=webhook, secret=secret)


@router.get("/webhooks/{webhook_id}")
def show_webhook(work: Administrator, webhook_id: UUID) -> wire.Webhook:
    """One webhook."""
    return wire.show_webhook(webhooks.find_webhook(work.session, webhook_id))


@router.delete("/webhooks/{webhook_id}", status_code=204)
def remove_webhook(work: Administrator, webhook_id: UUID) -> Response:
    """Tell this address nothing any more, and forget what was to be sent."""
    webhooks.remove_webhook(work.session, webhook_id)
    audit.note(work.session, work.caller, "webhook.remove", f"webhook:{webhook_id}", {})
    return Response(status_code=204)


@router.post("/webhooks/{webhook_id}/secret")
def renew_secret(work: Administrator, office: Office, webhook_id: UUID) -> wire.WebhookSecret:
    """Give a webhook a fresh secret; the old one signs nothing any more."""
    secret = webhooks.renew_secret(work.session, webhook_id, office.keys)
    audit.note(work.session, work.caller, "webhook.secret", f"webhook:{webhook_id}", {})
    return wire.WebhookSecret(id=webhook_id, secret=secret)


@router.post("/webhooks/{webhook_id}/disable", status_code=204)
def disable_webhook(work: Administrator, webhook_id: UUID) -> Response:
    """Tell this address nothing for now; what happens meanwhile is sent when it is enabled again."""
    return _switch(work, webhook_id, on=False)


@router.post("/webhooks/{webhook_id}/enable", status_code=204)
def enable_webhook(work: Administrator, webhook_id: UUID) -> Response:
    """Go on telling this address, from where it stopped."""
    return _switch(work, webhook_id, on=True)


@router.post("/webhooks/{webhook_id}/test")
def try_webhook(caller: AdministratorCaller, office: Office, webhook_id: UUID) -> wire.Tried:
    """Send a signed event of kind `webhook.test` now, and say what the receiver answered."""
    answer = trying.try_webhook(office.database, caller.tenant, webhook_id, office.keys, reach_of(office.settings))
    return wire.Tried(taken=answer.taken, status=answer.status, detail=answer.detail, took_ms=answer.took_s * 1000)


@router.get("/webhooks/{webhook_id}/deliveries")
def list_deliveries(
    work: Administrator, webhook_id: UUID, cursor: str | None = None, limit: int | None = None
) -> wire.Deliveries:
    """What was sent to an address, newest first, with what it answered."""
    page = webhooks.list_deliveries(work.session, webhook_id, cursor=cursor, limit=limit)
    return wire.Deliveries(items=[wire.show_delivery(one) for one in page.rows], next_cursor=page.next_cursor)


@router.post("/webhooks/{webhook_id}/deliveries/{seq}/retry", status_code=204)
def retry_delivery(work: Administrator, webhook_id: UUID, seq: int) -> Response:
    """Send an event to an address again."""
    webhooks.retry(work.session, webhook_id, seq)
    audit.note(work.session, work.caller, "webhook.retry", f"webhook:{webhook_id}", {"seq": seq})
    return Response(status_code=204)


def _switch(work: Administrator, webhook_id: UUID, *, on: bool) -> Response:
    webhooks.switch(work.session, webhook_id, on=on)
    audit.note(work.session, work.caller, "webhook.enable" if on else "webhook.disable", f"webhook:{webhook_id}", {})
    return Response(status_code=204)
