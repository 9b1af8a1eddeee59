"""The queue: pools, workers and jobs, with live progress."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.guards import Reader, Submitter
from memoryd.dispatch import pools, workers
from memoryd.dispatch.states import ENDED, JobState
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import take_farm, take_tenant
from memoryd.foundation.ids import JobId
from memoryd.submission import viewing
from memoryd.web.rendering import is_part, page

SHOWN_JOBS = 50

STATE_WORDS: Mapping[JobState, str] = MappingProxyType(
    {
        JobState.READY: "waiting",
        JobState.LEASED: "running",
        JobState.DELAYED: "waits for its next try",
        JobState.SUCCEEDED: "done",
        JobState.CANCELLED: "cancelled",
        JobState.EXPIRED: "expired: nobody started it in time",
        JobState.DEAD: "given up",
    }
)
"""What people call the states of a job."""

router = APIRouter()


@router.get("/queue")
def show_queue(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """How busy each pool is, who works, and the newest jobs one may see."""
    tenant = work.caller.tenant
    take_farm(work.session)
    depths = pools.list_depths(work.session, pools.list_pools(work.session, tenant_id=tenant.id))
    present = workers.list_workers(work.session, tenant_id=tenant.id)
    take_tenant(work.session, tenant)
    jobs = viewing.list_jobs(work.session, scope=tenant, sees=work.caller.sees, cursor=cursor, limit=SHOWN_JOBS)
    return page(
        request,
        "queue_state.html" if is_part(request) else "queue.html",
        caller=work.caller,
        pools=depths,
        workers=[one for one in present if one.online or one.running],
        jobs=jobs.rows,
        cursor=cursor,
        next_cursor=jobs.next_cursor,
        state_words=STATE_WORDS,
        ended=ENDED,
        why=why_it_failed,
    )


@router.post("/queue/{job_id}/cancel")
def cancel(job_id: UUID, request: Request, work: Submitter) -> Response:
    """Cancel a job; the page's next look shows it."""
    viewing.cancel(work.session, JobId(job_id), scope=work.caller.tenant, caller=work.caller)
    return Response(status_code=204) if is_part(request) else RedirectResponse("/queue", status_code=303)


def why_it_failed(failure: Mapping[str, Json]) -> str:
    """Return why a try of a job failed, as the worker told it."""
    error = failure.get("error")
    told = error if isinstance(error, dict) else {}
    return str(told.get("message") or told.get("reason") or told.get("kind") or failure.get("cause") or "unknown")
