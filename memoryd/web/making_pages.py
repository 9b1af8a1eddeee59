"""Making a picture again: the wish, how it goes, and what came of it: both pictures, what differs, why, the receipt."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import Office, Reader, ReaderCaller, SubmitterCaller
from memoryd.access.roles import narrowed
from memoryd.catalog.faces import list_faces
from memoryd.catalog.looking_up import check_seen
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import AssetId, ReproductionId
from memoryd.ingest.formats import recognise
from memoryd.reproduction import making
from memoryd.storage.blob_store import blob_store
from memoryd.web.asset_body import attempts_of
from memoryd.web.attempt_view import BROWSER_IMAGES, choices_of, view_attempt
from memoryd.web.attempt_words import ATTEMPT_WORDS, measured
from memoryd.web.queue_pages import WORDS
from memoryd.web.rendering import is_part, page

router = APIRouter()

_SANDBOX = "default-src 'none'; sandbox"


class NothingMade(NotFound):
    """This attempt made no picture that is still kept."""


@router.post("/assets/{asset}/reproductions")
def make_again(
    asset: UUID,
    request: Request,
    caller: SubmitterCaller,
    office: Office,
    pool: Annotated[str, Form(max_length=100)] = DEFAULT_POOL,
    worker: Annotated[UUID | None, Form()] = None,
    identical: Annotated[bool, Form()] = False,
    untested: Annotated[bool, Form()] = False,
) -> Response:
    """Begin to make the asset again; the answer looks again by itself until there is a verdict.

    `worker`: on this one alone. `identical`: only in the environment of then. `untested`: without second runs.
    """
    with office.database.tenant_work(caller.tenant) as session:
        check_seen(session, AssetId(asset), caller.sees)
    attempt = making.make_again(
        office.database,
        blob_store(office.store),
        caller,
        AssetId(asset),
        pool=pool,
        on_worker=worker,
        require_identical=identical,
        tests=not untested,
    )
    if not is_part(request):
        return RedirectResponse(f"/reproductions/{attempt}", status_code=303)
    with office.database.tenant_work(caller.tenant) as session:
        return _attempts(request, session, narrowed(caller, Scope.READ), AssetId(asset))


@router.get("/assets/{asset}/reproductions")
def attempts(asset: UUID, request: Request, work: Reader) -> Response:
    """The newest attempts to make the asset again: as a part of its page, or as a page with a form for another one."""
    check_seen(work.session, AssetId(asset), work.caller.sees)
    if is_part(request):
        return _attempts(request, work.session, work.caller, AssetId(asset))
    face = list_faces(work.session, [asset], work.caller.sees)[asset]
    return page(
        request,
        "made_again.html",
        caller=work.caller,
        attempts=attempts_of(work.session, work.caller, AssetId(asset)),
        view_id=asset,
        face=face,
        choices=choices_of(work.session, work.caller, AssetId(asset)),
        asked_pool=DEFAULT_POOL,
        **ATTEMPT_WORDS,
    )


@router.get("/reproductions/{attempt}")
def show_attempt(attempt: UUID, request: Request, work: Reader) -> Response:
    """The page of an attempt, or, for its own script, the part of it that changes."""
    caller = work.caller
    made = making.show_reproduction(work.session, ReproductionId(attempt), caller.sees)
    view = view_attempt(work.session, work.database, blob_store(work.store), caller, made)
    edges = view.original.edges
    frames = made.measures.get("frames")
    pixels = edges[0] * edges[1] if edges and frames in (None, 1) else None
    common: dict[str, Any] = {
        "caller": caller,
        "view": view,
        "made": made,
        "measures": measured(made.measures, pixels),
        **ATTEMPT_WORDS,
        **WORDS,
    }
    if is_part(request):
        return page(request, "attempt_state.html", **common)
    route = made.plan.get("route")
    asked = route.get("pool") if isinstance(route, dict) else None
    return page(
        request,
        "attempt.html",
        choices=choices_of(work.session, caller, made.asset_id) if Scope.SUBMIT in caller.scopes else None,
        asked_pool=asked or DEFAULT_POOL,
        view_id=made.asset_id,
        **common,
    )


@router.get("/reproductions/{attempt}/made")
def show_made(attempt: UUID, caller: ReaderCaller, office: Office) -> Response:
    """What an attempt made where that is no asset, since the workflow only showed it: a picture, in a sandbox."""
    with office.database.tenant_work(caller.tenant) as session:
        made = making.show_reproduction(session, ReproductionId(attempt), caller.sees)
    sha256 = made.measures.get("made_sha256")
    if not isinstance(sha256, str):
        raise NothingMade(f"attempt {attempt}", hint="its page tells what it made")
    content = blob_store(office.store).read_verified(caller.tenant.slug, bytes.fromhex(sha256))
    kind = recognise(content[:64], b"")
    shown = kind is not None and kind[1] in BROWSER_IMAGES
    return Response(
        content,
        media_type=kind[1] if kind is not None and shown else "application/octet-stream",
        headers={
            "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{sha256[:16]}"',
            "Cache-Control": "private, no-cache",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": _SANDBOX,
        },
    )


def _attempts(request: Request, session: Session, caller: Caller, asset_id: AssetId) -> Response:
    return page(
        request,
        "attempts.html",
        caller=caller,
        attempts=attempts_of(session, caller, asset_id),
        view_id=asset_id,
        **ATTEMPT_WORDS,
    )
