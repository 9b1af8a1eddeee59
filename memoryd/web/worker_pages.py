"""One worker: its card, its ComfyUI, what it runs; and taking it out of service."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response

from memoryd.access.guards import Administrator, Reader
from memoryd.dispatch import farm_changes, worker_details
from memoryd.foundation.database import take_farm, take_tenant
from memoryd.foundation.ids import WorkerId
from memoryd.reproduction.canaries import showing
from memoryd.submission import viewing
from memoryd.web.queue_pages import WORDS, done
from memoryd.web.queue_rows import job_rows
from memoryd.web.rendering import is_part, page

router = APIRouter()


@router.get("/queue/workers/{worker_id}")
def show_worker(worker_id: UUID, request: Request, work: Reader) -> Response:
    """The page of a worker that serves one's tenant."""
    caller = work.caller
    take_farm(work.session)
    found = worker_details.find_worker(work.session, WorkerId(worker_id), tenant_id=caller.tenant.id)
    take_tenant(work.session, caller.tenant)
    views = viewing.list_these(work.session, found.job_ids, scope=caller.tenant, sees=caller.sees)
    rows = job_rows(work.session, work.database, views, caller)
    doubts, others = showing.in_doubt(work.session, caller, worker_id=WorkerId(worker_id))
    return page(
        request,
        "worker_state.html" if is_part(request) else "worker.html",
        caller=caller,
        worker=found,
        doubts=doubts,
        others=others,
        rows=rows,
        hidden=max(0, found.view.running - len(rows)),
        **WORDS,
    )


@router.post("/queue/workers/{worker_id}/drain")
def drain(worker_id: UUID, request: Request, work: Administrator) -> Response:
    """Let a worker finish what it has and take nothing new."""
    farm_changes.drain_worker(work.session, work.caller, WorkerId(worker_id))
    return done(request, f"/queue/workers/{worker_id}")


@router.post("/queue/workers/{worker_id}/undrain")
def undrain(worker_id: UUID, request: Request, work: Administrator) -> Response:
    """Let a drained worker take work again."""
    farm_changes.undrain_worker(work.session, work.caller, WorkerId(worker_id))
    return done(request, f"/queue/workers/{worker_id}")


@router.post("/queue/workers/{worker_id}/remove")
def remove(worker_id: UUID, work: Administrator, request: Request) -> Response:
    """Revoke a worker's key for good; what it runs waits again."""
    farm_changes.remove_worker(work.session, work.caller, WorkerId(worker_id))
    return done(request, "/queue")
