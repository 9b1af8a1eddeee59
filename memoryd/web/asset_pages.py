"""One picture: how it was made, what it was made from, what it says of itself; and what people do with it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from memoryd.access.facts import Caller
from memoryd.access.guards import Annotator, Approver, DiscloserCaller, Office, Reader, SubmitterCaller
from memoryd.catalog import annotations as attached
from memoryd.catalog.annotations import ApprovalState
from memoryd.catalog.looking_up import check_seen, find_asset
from memoryd.catalog.showing import show_asset
from memoryd.disclosure import disclosing, pki
from memoryd.disclosure.facts import Undecided
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.reproduction import making
from memoryd.storage.blob_store import BlobStore
from memoryd.web.rendering import page

router = APIRouter()


@router.get("/assets/{ref}")
def show(ref: str, request: Request, work: Reader) -> Response:
    """The page of an asset, by id or the first digits of its SHA-256."""
    asset_id = find_asset(work.session, ref, work.caller.sees)
    return _page(request, work.session, work.caller, asset_id)


@router.post("/assets/{asset}/tags")
def tag(
    asset: UUID, request: Request, work: Annotator, tag: Annotated[str, Form()], project: Annotated[str, Form()]
) -> Response:
    """Hang a tag on the picture."""
    attached.tag(work.session, work.caller, AssetId(asset), [tag], project)
    return _page(request, work.session, work.caller, AssetId(asset), said="Tagged.")


@router.post("/assets/{asset}/rating")
def rate(
    asset: UUID, request: Request, work: Annotator, stars: Annotated[int, Form()], project: Annotated[str, Form()]
) -> Response:
    """Give the picture stars."""
    attached.rate(work.session, work.caller, AssetId(asset), stars, project)
    return _page(request, work.session, work.caller, AssetId(asset), said="Rated.")


@router.post("/assets/{asset}/notes")
def note(
    asset: UUID, request: Request, work: Annotator, text: Annotated[str, Form()], project: Annotated[str, Form()]
) -> Response:
    """Add a remark."""
    attached.note(work.session, work.caller, AssetId(asset), text, project)
    return _page(request, work.session, work.caller, AssetId(asset), said="Noted.")


@router.post("/assets/{asset}/approval")
def approve(
    asset: UUID,
    request: Request,
    work: Approver,
    state: Annotated[ApprovalState, Form()],
    project: Annotated[str, Form()],
) -> Response:
    """Approve or reject exactly this asset."""
    attached.approve(work.session, work.caller, AssetId(asset), state, project=project)
    return _page(request, work.session, work.caller, AssetId(asset), said=f"Recorded: {state.value}.")


@router.post("/assets/{asset}/disclosures")
def disclose(asset: UUID, request: Request, caller: DiscloserCaller, office: Office) -> Response:
    """Make a signed copy, or say why nothing can be said."""
    identity = pki.signing_identity(office.keys / "pki")
    made = disclosing.disclose_asset(office.database, _store(office), caller, str(asset), identity)
    if isinstance(made, Undecided):
        said = f"Nothing was signed: {made.reason} Next: {made.hint}"
    else:
        said = "A signed copy was made." if made.new else "The same signed copy was there already."
    with office.database.tenant_work(caller.tenant) as session:
        return _page(request, session, caller, AssetId(asset), said=said)


@router.post("/assets/{asset}/reproductions")
def make_again(asset: UUID, request: Request, caller: SubmitterCaller, office: Office) -> Response:
    """Begin to make the asset again; the answer looks again by itself until there is a verdict."""
    with office.database.tenant_work(caller.tenant) as session:
        check_seen(session, AssetId(asset), caller.sees)
    making.make_again(office.database, _store(office), caller, AssetId(asset), pool=DEFAULT_POOL)
    with office.database.tenant_work(caller.tenant) as session:
        return _attempts(request, session, caller, AssetId(asset))


@router.get("/assets/{asset}/reproductions")
def attempts(asset: UUID, request: Request, work: Reader) -> Response:
    """The newest attempts to make the asset again."""
    check_seen(work.session, AssetId(asset), work.caller.sees)
    return _attempts(request, work.session, work.caller, AssetId(asset))


def _attempts(request: Request, session: Session, caller: Caller, asset_id: AssetId) -> Response:
    made = making.list_reproductions(session, asset_id)
    return page(request, "attempts.html", caller=caller, attempts=made, view_id=asset_id)


def _page(
    request: Request, session: Session, caller: Caller, asset_id: AssetId, *, said: str | None = None
) -> Response:
    template = "asset_body.html" if request.headers.get("HX-Request") == "true" else "asset.html"
    return page(
        request,
        template,
        caller=caller,
        view=show_asset(session, asset_id, caller.sees),
        view_id=asset_id,
        attempts=making.list_reproductions(session, asset_id),
        disclosures=disclosing.list_disclosures(session, asset_id, caller.sees),
        said=said,
    )


def _store(office: Office) -> BlobStore:
    assert isinstance(office.store, BlobStore)
    return office.store
