"""Groups over HTTP: asked for, followed, paused, cancelled, completed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from memoryd.access import projects
from memoryd.access.facts import Caller
from memoryd.access.guards import Office, Offices, Reader, ReaderCaller, Submitter, SubmitterCaller
from memoryd.dispatch.states import ENDED
from memoryd.foundation.ids import GroupId
from memoryd.submission.grouping import asking, viewing
from memoryd.submission.grouping import wire as shown
from memoryd.submission.wire import BODY_LIMIT

router = APIRouter(tags=["groups"])

STREAM_STEP_S = 1.0
"""How often a group's stream looks: counting its items costs what they are many."""


@router.post("/groups", status_code=201, max_body_size=BODY_LIMIT)
def submit_group(
    office: Office,
    caller: SubmitterCaller,
    asked: shown.GroupRequest,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> shown.GroupAnswer:
    """Queue a group: a template, and a grid or rows of values. Sent again with its key it is completed, never doubled."""
    made = asking.submit_group(
        office.database,
        asked.as_group(project=asked.project or projects.DEFAULT_PROJECT, key=idempotency_key),
        scope=caller.tenant,
        caller=caller,
        store=office.store,
    )
    return shown.show_submitted(made)


@router.get("/groups")
def list_groups(
    work: Reader, project: str | None = None, mine: bool = False, cursor: str | None = None, limit: int | None = None
) -> shown.Groups:
    """Groups of the projects one sees, newest first."""
    sees = work.caller.sees
    project_id = projects.find_project(work.session, project, sees) if project else None
    page = viewing.list_groups(
        work.session,
        scope=work.caller.tenant,
        sees=frozenset() if mine else sees,
        project_id=project_id,
        person_id=work.caller.person_id if mine else None,
        cursor=cursor,
        limit=limit,
    )
    return shown.Groups(items=[shown.show_group(view) for view in page.rows], next_cursor=page.next_cursor)


@router.get("/groups/{group_id}")
def show_group(work: Reader, group_id: UUID) -> shown.GroupProgress:
    """A group, and how far it is."""
    found = viewing.show_group(work.session, GroupId(group_id), scope=work.caller.tenant, sees=work.caller.sees)
    return shown.show_progress(found)


@router.get("/groups/{group_id}/items")
def list_items(work: Reader, group_id: UUID, cursor: str | None = None, limit: int | None = None) -> shown.Items:
    """A group's items in order: their values, states, and what they made."""
    page = viewing.list_items(
        work.session,
        GroupId(group_id),
        scope=work.caller.tenant,
        sees=work.caller.sees,
        cursor=cursor,
        limit=limit,
    )
    return shown.Items(items=[shown.show_item(item) for item in page.rows], next_cursor=page.next_cursor)


@router.get("/groups/{group_id}/events")
async def follow_group(office: Office, caller: ReaderCaller, group_id: UUID) -> StreamingResponse:
    """How far a group is, as server-sent events, until nothing of it is left to run."""
    first = await run_in_threadpool(_look, office, caller, GroupId(group_id))
    return StreamingResponse(
        _follow(office, caller, GroupId(group_id), first),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _look(office: Offices, caller: Caller, group_id: GroupId) -> shown.GroupProgress:
    with office.database.tenant_work(caller.tenant) as session:
        return shown.show_progress(viewing.show_group(session, group_id, scope=caller.tenant, sees=caller.sees))


async def _follow(office: Offices, caller: Caller, group_id: GroupId, first: shown.GroupProgress) -> AsyncIterator[str]:
    told, now = "", first
    while True:
        body = json.dumps(now.model_dump(mode="json"))
        if body != told:
            told = body
            yield f"event: group\ndata: {body}\n\n"
        if now.there >= now.total and all(state in ENDED for state, count in now.counts.items() if count):
            return
        await asyncio.sleep(STREAM_STEP_S)
        now = await run_in_threadpool(_look, office, caller, group_id)


@router.post("/groups/{group_id}/pause")
def pause_group(work: Submitter, group_id: UUID) -> shown.GroupChanged:
    """Let a group's jobs wait; what runs goes on."""
    return shown.GroupChanged(changed=viewing.pause(work.session, GroupId(group_id), caller=work.caller))


@router.post("/groups/{group_id}/resume")
def resume_group(work: Submitter, group_id: UUID) -> shown.GroupChanged:
    """Let a paused group's jobs go on."""
    return shown.GroupChanged(changed=viewing.resume(work.session, GroupId(group_id), caller=work.caller))


@router.post("/groups/{group_id}/cancel")
def cancel_group(office: Office, caller: SubmitterCaller, group_id: UUID) -> shown.GroupStepped:
    """Cancel what of a group has not ended."""
    return shown.GroupStepped(items=viewing.cancel(office.database, GroupId(group_id), caller=caller))


@router.post("/groups/{group_id}/retry-missing")
def retry_group(office: Office, caller: SubmitterCaller, group_id: UUID) -> shown.GroupStepped:
    """Let the items of a group run again that ended without a result."""
    return shown.GroupStepped(items=viewing.retry_missing(office.database, GroupId(group_id), caller=caller))
