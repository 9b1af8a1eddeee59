"""One group: how far it is, its items, and what can be done to all of them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from memoryd.access.guards import Office, Reader, Submitter, SubmitterCaller
from memoryd.dispatch.states import ENDED
from memoryd.foundation.ids import GroupId
from memoryd.submission.grouping import viewing
from memoryd.web.queue_pages import WORDS, done
from memoryd.web.queue_rows import faces_of
from memoryd.web.queue_words import STATE_WORDS
from memoryd.web.rendering import is_part, page

SHOWN_ITEMS = 60

router = APIRouter()

Back = Annotated[str, Form(max_length=20)]


@router.get("/queue/groups/{group_id}")
def show_group(group_id: UUID, request: Request, work: Reader, cursor: str | None = None) -> Response:
    """The page of a group, or the part of it that changes."""
    caller = work.caller
    shown = viewing.show_group(work.session, GroupId(group_id), scope=caller.tenant, sees=caller.sees)
    items = viewing.list_items(
        work.session, GroupId(group_id), scope=caller.tenant, sees=caller.sees, cursor=cursor, limit=SHOWN_ITEMS
    )
    return page(
        request,
        "group_state.html" if is_part(request) else "group.html",
        caller=caller,
        group=shown,
        items=items.rows,
        faces=faces_of(work.session, (item.result for item in items.rows), caller),
        cursor=cursor,
        next_cursor=items.next_cursor,
        state_words={state.value: words for state, words in STATE_WORDS.items()},
        open=any(count for state, count in shown.progress.counts.items() if state not in ENDED),
        **WORDS,
    )


@router.post("/queue/groups/{group_id}/pause")
def pause(group_id: UUID, request: Request, work: Submitter, back: Back = "") -> Response:
    """Let a group's jobs wait; what runs goes on."""
    viewing.pause(work.session, GroupId(group_id), caller=work.caller)
    return done(request, _way(back, group_id))


@router.post("/queue/groups/{group_id}/resume")
def resume(group_id: UUID, request: Request, work: Submitter, back: Back = "") -> Response:
    """Let a paused group's jobs go on."""
    viewing.resume(work.session, GroupId(group_id), caller=work.caller)
    return done(request, _way(back, group_id))


@router.post("/queue/groups/{group_id}/cancel")
def cancel(group_id: UUID, request: Request, office: Office, caller: SubmitterCaller, back: Back = "") -> Response:
    """Cancel what of a group has not ended."""
    viewing.cancel(office.database, GroupId(group_id), caller=caller)
    return done(request, _way(back, group_id))


@router.post("/queue/groups/{group_id}/retry-missing")
def retry_missing(
    group_id: UUID, request: Request, office: Office, caller: SubmitterCaller, back: Back = ""
) -> Response:
    """Let the items of a group run again that ended without a result."""
    viewing.retry_missing(office.database, GroupId(group_id), caller=caller)
    return done(request, _way(back, group_id))


def _way(back: str, group_id: UUID) -> str:
    return "/queue" if back == "queue" else f"/queue/groups/{group_id}"
