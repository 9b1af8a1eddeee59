"""Watched folders and their state; files that could not be read, and why."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.guards import IngesterCaller, Office, Reader
from memoryd.catalog import roots
from memoryd.ingest import quarantine
from memoryd.ingest.retrying import try_again
from memoryd.storage.blob_store import BlobStore
from memoryd.web.rendering import page

SHOWN_FILES = 200

router = APIRouter()


@router.get("/intake")
def show_intake(request: Request, work: Reader) -> Response:
    """The folders one may see, and what waits in quarantine."""
    sees = work.caller.sees
    watched = [root for root in roots.list_roots(work.session) if sees is None or root.project_id in sees]
    files = quarantine.list_quarantine(work.session, sees=sees, cursor=None, limit=SHOWN_FILES, resolved=False)
    return page(request, "intake.html", caller=work.caller, roots=watched, quarantined=files.rows, said=None)


@router.post("/intake/quarantine/{quarantine_id}/retry")
def retry(quarantine_id: UUID, caller: IngesterCaller, office: Office) -> Response:
    """Read a file again now, and show what is left."""
    assert isinstance(office.store, BlobStore)
    with office.database.tenant_work(caller.tenant) as session:
        file = quarantine.find(session, quarantine_id)
    try_again(office.database, caller.tenant, office.store, file, caller)
    return RedirectResponse("/intake", status_code=303)
