"""The queue: pools, workers, groups and jobs, as they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.guards import Administrator, Reader
from memoryd.dispatch import farm_changes
from memoryd.dispatch.states import ENDED, WAITING
from memoryd.submission import viewing
from memoryd.web.queue_rows import faces_of, job_rows, read_farm, read_groups
from memoryd.web.queue_words import CAUSE_WORDS, EVENT_WORDS, HELD_WORDS, WORKER_WORDS, state_of, why_it_failed
from memoryd.web.rendering import is_part, page

SHOWN_JOBS = 50

WORDS: Mapping[str, Any] = {
    "ended": ENDED,
    "waiting_states": WAITING,
    "state_of": state_of,
    "held_words": HELD_WORDS,
    "event_words": EVENT_WORDS,
    "cause_words": CAUSE_WORDS,
    "worker_words": WORKER_WORDS,
    "why": why_it_failed,
}
"""What every template of the queue speaks with."""

router = APIRouter()


@router.get("/queue")
def show_queue(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """How busy each pool is, who works at what, and the newest groups and jobs one may see."""
    seen, workers = read_farm(work.session, work.database, work.caller)
    groups = read_groups(work.session, work.caller) if cursor is None else []
    jobs = viewing.list_jobs(
        work.session, scope=work.caller.tenant, sees=work.caller.sees, cursor=cursor, limit=SHOWN_JOBS, alone=True
    )
    return page(
        request,
        "queue_state.html" if is_part(request) else "queue.html",
        caller=work.caller,
        pools=seen.pools,
        workers=workers,
        groups=groups,
        jobs=job_rows(work.session, work.database, jobs.rows, work.caller),
        faces=faces_of(work.session, (view.result for view in jobs.rows), work.caller),
        cursor=cursor,
        next_cursor=jobs.next_cursor,
        **WORDS,
    )


@router.post("/queue/pools/{name}/pause")
def pause_pool(name: str, request: Request, work: Administrator) -> Response:
    """Let nothing be claimed from a pool from now on; what runs goes on."""
    farm_changes.pause_pool(work.session, work.caller, name)
    return done(request, "/queue")


@router.post("/queue/pools/{name}/resume")
def resume_pool(name: str, request: Request, work: Administrator) -> Response:
    """Let a pool be claimed from again."""
    farm_changes.resume_pool(work.session, work.caller, name)
    return done(request, "/queue")


def done(request: Request, back: str) -> Response:
    """Return what follows a change: the page looks again by itself; without a script, the way back to one."""
    return Response(status_code=204) if is_part(request) else RedirectResponse(back, status_code=303)
