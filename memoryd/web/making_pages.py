"""Making a picture again, from its page: the wish, and how it goes."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import Office, Reader, SubmitterCaller
from memoryd.access.roles import narrowed
from memoryd.catalog.looking_up import check_seen
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.reproduction import making
from memoryd.storage.blob_store import blob_store
from memoryd.web.asset_body import attempts_of
from memoryd.web.rendering import is_part, page

router = APIRouter()


@router.post("/assets/{asset}/reproductions")
def make_again(asset: UUID, request: Request, caller: SubmitterCaller, office: Office) -> Response:
    """Begin to make the asset again; the answer looks again by itself until there is a verdict."""
    with office.database.tenant_work(caller.tenant) as session:
        check_seen(session, AssetId(asset), caller.sees)
    making.make_again(office.database, blob_store(office.store), caller, AssetId(asset), pool=DEFAULT_POOL)
    if not is_part(request):
        return RedirectResponse(f"/assets/{asset}", status_code=303)
    with office.database.tenant_work(caller.tenant) as session:
        return _attempts(request, session, narrowed(caller, Scope.READ), AssetId(asset))


@router.get("/assets/{asset}/reproductions")
def attempts(asset: UUID, request: Request, work: Reader) -> Response:
    """The newest attempts to make the asset again."""
    check_seen(work.session, AssetId(asset), work.caller.sees)
    if not is_part(request):
        return RedirectResponse(f"/assets/{asset}", status_code=303)
    return _attempts(request, work.session, work.caller, AssetId(asset))


def _attempts(request: Request, session: Session, caller: Caller, asset_id: AssetId) -> Response:
    return page(
        request,
        "attempts.html",
        caller=caller,
        attempts=attempts_of(session, caller, asset_id),
        view_id=asset_id,
    )
