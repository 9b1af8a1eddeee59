"""The queue: pools, workers and jobs, with live progress."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response

from memoryd.access.guards import Reader, Submitter
from memoryd.dispatch import pools, workers
from memoryd.foundation.database import take_farm, take_tenant
from memoryd.foundation.ids import JobId
from memoryd.submission import viewing
from memoryd.web.rendering import page

SHOWN_JOBS = 50

router = APIRouter()


@router.get("/queue")
def show_queue(request: Request, work: Reader) -> Response:
    """How busy each pool is, who works, and the newest jobs one may see."""
    tenant = work.caller.tenant
    take_farm(work.session)
    depths = pools.list_depths(work.session, pools.list_pools(work.session, tenant_id=tenant.id))
    present = workers.list_workers(work.session, tenant_id=tenant.id)
    take_tenant(work.session, tenant)
    jobs = viewing.list_jobs(work.session, scope=tenant, sees=work.caller.sees, limit=SHOWN_JOBS)
    return page(
        request,
        "queue.html",
        caller=work.caller,
        pools=depths,
        workers=[one for one in present if one.online or one.running],
        jobs=jobs.rows,
    )


@router.post("/queue/{job_id}/cancel")
def cancel(job_id: UUID, work: Submitter) -> Response:
    """Cancel a job; the page's next look shows it."""
    viewing.cancel(work.session, JobId(job_id), scope=work.caller.tenant, caller=work.caller)
    return Response(status_code=204)
