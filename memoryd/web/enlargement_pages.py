"""A picture larger, from its page: a form, larger copies that are known, and how far an enlargement is."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import Office, Reader, SubmitterCaller
from memoryd.access.roles import narrowed
from memoryd.catalog.looking_up import check_seen
from memoryd.dispatch import pools
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import AssetId
from memoryd.reproduction.enlargements import enlarging
from memoryd.reproduction.enlargements.facts import ANOTHER_PICTURE, Answer, Fit, Method, Wish
from memoryd.reproduction.facts import State
from memoryd.storage.blob_store import blob_store
from memoryd.web.rendering import is_part, page

router = APIRouter()

Short = Annotated[str, Form(max_length=300)]


@router.get("/assets/{asset}/enlargements")
def ask(asset: UUID, request: Request, work: Reader) -> Response:
    """The form, and what was enlarged before; asks again by itself while something runs."""
    check_seen(work.session, AssetId(asset), work.caller.sees)
    return _form(request, work.session, work.caller, AssetId(asset))


@router.post("/assets/{asset}/enlargements")
def enlarge(
    asset: UUID,
    request: Request,
    caller: SubmitterCaller,
    office: Office,
    to: Short = "",
    by: Annotated[Method, Form()] = Method.LANCZOS,
    model: Short = "",
    fit: Annotated[Fit, Form()] = Fit.SAME,
    colour: Annotated[str, Form(pattern=r"^#[0-9a-fA-F]{6}$")] = "#000000",
    render: Annotated[bool, Form()] = False,
    pool: Annotated[str, Form(max_length=100)] = DEFAULT_POOL,
) -> Response:
    """Show what is known that large, else begin to enlarge it; where that is refused, say why beside the form."""
    asset_id = AssetId(asset)
    asked = {"to": to, "by": by.value, "model": model, "fit": fit.value, "colour": colour, "pool": pool}
    wish = Wish(
        to=to,
        method=by,
        model=model.strip() or None,
        fit=fit,
        colour=int(colour[1:], 16),
        render=render,
        pool=pool,
    )
    answer: Answer | None = None
    refusal: MemorydError | None = None
    try:
        answer = enlarging.enlarge(office.database, blob_store(office.store), caller, asset_id, wish)
    except MemorydError as error:
        if error.status >= 500:
            raise
        refusal = error
    if answer is not None and answer.enlargement is not None and not is_part(request):
        return RedirectResponse(f"/assets/{asset_id}/enlargements", status_code=303)
    with office.database.tenant_work(caller.tenant) as session:
        check_seen(session, asset_id, caller.sees)
        return _form(
            request, session, narrowed(caller, Scope.READ), asset_id, asked=asked, answer=answer, refusal=refusal
        )


def _form(
    request: Request,
    session: Session,
    caller: Caller,
    asset_id: AssetId,
    *,
    asked: dict[str, Any] | None = None,
    answer: Answer | None = None,
    refusal: MemorydError | None = None,
) -> Response:
    take_farm(session)
    usable = [pool.name for pool in pools.list_pools(session, tenant_id=caller.tenant.id)]
    take_tenant(session, caller.tenant)
    made = enlarging.list_enlargements(session, asset_id, caller.sees)
    part = is_part(request)
    # A page's own script shows no answer but a good one.
    return page(
        request,
        "enlargement_form.html" if part else "enlargements.html",
        status=refusal.status if refusal is not None and not part else 200,
        caller=caller,
        view_id=asset_id,
        methods=list(Method),
        fits=list(Fit),
        pools=usable,
        asked=asked
        or {"to": "4k", "by": "lanczos", "model": "", "fit": "same", "colour": "#000000", "pool": DEFAULT_POOL},
        made=made,
        under_way=any(each.state is State.RUNNING for each in made),
        answer=answer,
        refusal=refusal,
        said=ANOTHER_PICTURE,
    )
