"""Variations of a picture from its page: a form with its parameters, what a wish would come to, and the wish itself."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access.facts import Caller
from memoryd.access.guards import Office, Reader, SubmitterCaller
from memoryd.catalog.looking_up import check_seen
from memoryd.dispatch import pools
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import AssetId
from memoryd.reproduction.variants import varying
from memoryd.reproduction.variants.facts import Varied, Wish
from memoryd.reproduction.variants.varying import SEEDS_LIMIT, NotRepeatable
from memoryd.reproduction.variants.wire import LARGE_ITEMS, VariationAnswer
from memoryd.storage.blob_store import blob_store
from memoryd.web.rendering import is_part, page
from memoryd.workflows.parameter_places import ParameterPlace

router = APIRouter()

FIELD_LIMIT = 100_000
"""Characters of one value of the form."""
FIELDS_LIMIT = 500
SHOWN_ITEMS = 50
"""Items that a look beforehand lists."""

Values = Annotated[list[Annotated[str, Form(max_length=FIELD_LIMIT)]], Form(max_length=FIELDS_LIMIT)]


@router.get("/assets/{asset}/variations")
def ask(asset: UUID, request: Request, work: Reader) -> Response:
    """The form, filled with what the picture was made with."""
    check_seen(work.session, AssetId(asset), work.caller.sees)
    try:
        places = varying.show_parameters(work.session, AssetId(asset), work.caller.sees)
    except NotRepeatable as refusal:
        return _form(request, work.session, work.caller, AssetId(asset), (), refusal=refusal)
    return _form(request, work.session, work.caller, AssetId(asset), places)


@router.post("/assets/{asset}/variations")
def vary(
    asset: UUID,
    request: Request,
    caller: SubmitterCaller,
    office: Office,
    count: Annotated[int, Form(ge=0, le=SEEDS_LIMIT)] = 0,
    pool: Annotated[str, Form(max_length=100)] = DEFAULT_POOL,
    key: Annotated[str, Form(max_length=100)] = "",
    do: Annotated[str, Form(max_length=20)] = "queue",
    place: Values = [],  # noqa: B006
    value: Values = [],  # noqa: B006
    other: Annotated[str, Form(max_length=FIELD_LIMIT)] = "",
) -> Response:
    """Queue the picture's run with other values. `do` look: only show what it would come to; large wishes are shown first."""
    asset_id, store = AssetId(asset), blob_store(office.store)
    with office.database.tenant_work(caller.tenant) as session:
        check_seen(session, asset_id, caller.sees)
    if not place and not other.strip():
        # The one button beside the picture: other seeds, nothing else.
        made = varying.vary(office.database, store, caller, asset_id, Wish(seeds=max(count, 1), pool=pool))
        return _sent(request, made)
    places: Sequence[ParameterPlace] = ()
    try:
        with office.database.tenant_work(caller.tenant) as session:
            places = varying.show_parameters(session, asset_id, caller.sees)
        wish = Wish(**_changed(places, place, value, other), seeds=count, pool=pool, key=key.strip() or None)
        seen = varying.foresee(office.database, store, caller, asset_id, wish)
        answer = VariationAnswer.of(seen)
        if do != "look" and (do == "confirmed" or not answer.large):
            return _sent(request, varying.vary(office.database, store, caller, asset_id, wish))
        seen_as: VariationAnswer | None = answer
        refusal: MemorydError | None = None
    except MemorydError as error:
        if error.status >= 500:
            raise
        seen_as, refusal = None, error
    asked = {"values": dict(zip(place, value, strict=False)), "count": count, "pool": pool, "other": other, "key": key}
    with office.database.tenant_work(caller.tenant) as session:
        return _form(request, session, caller, asset_id, places, asked=asked, seen=seen_as, refusal=refusal)


def _changed(
    places: Sequence[ParameterPlace], names: Sequence[str], values: Sequence[str], other: str
) -> dict[str, Any]:
    """Return what of a form is no longer as the picture was made, as a wish's `sets` and `grid`.

    Numbers may be several, with commas between them; a text is one value, whatever stands in it.
    """
    was = {place.address: place.value for place in places}
    sets: list[tuple[str, Json]] = []
    grid: list[tuple[str, tuple[Json, ...]]] = []
    lines = [line.partition("=") for line in other.splitlines() if line.strip()]
    # A browser sends every line end as two characters.
    given = [(name, text.replace("\r\n", "\n")) for name, text in zip(names, values, strict=False)]
    for name, text in itertools.chain(given, ((name.strip(), text.strip()) for name, _, text in lines)):
        present = was.get(name)
        if name in was and text == str(present):
            continue
        if isinstance(present, str) or (name not in was and "," not in text):
            sets.append((name, text))
            continue
        several = tuple(part.strip() for part in text.split(",") if part.strip())
        if len(several) == 1:
            sets.append((name, several[0]))
        elif several:
            grid.append((name, several))
    return {"sets": tuple(sets), "grid": tuple(grid)}


def _form(
    request: Request,
    session: Session,
    caller: Caller,
    asset_id: AssetId,
    places: Sequence[ParameterPlace],
    *,
    asked: dict[str, Any] | None = None,
    seen: VariationAnswer | None = None,
    refusal: MemorydError | None = None,
) -> Response:
    take_farm(session)
    usable = [pool.name for pool in pools.list_pools(session, tenant_id=caller.tenant.id)]
    take_tenant(session, caller.tenant)
    part = is_part(request)
    # A page's own script shows no answer but a good one.
    return page(
        request,
        "variation_form.html" if part else "variations.html",
        status=refusal.status if refusal is not None and not part else 200,
        caller=caller,
        view_id=asset_id,
        places=[_shown(place) for place in places],
        pools=usable,
        asked={"values": {}, "count": 0, "pool": DEFAULT_POOL, "other": "", **(asked or {})},
        made=varying.list_variations(session, asset_id, caller.sees),
        seen=seen,
        shown_items=SHOWN_ITEMS,
        large_items=LARGE_ITEMS,
        seeds_limit=SEEDS_LIMIT,
        refusal=refusal,
        # Seen and then queued, it is one wish with one choice of seeds.
        key=(asked or {}).get("key") or str(uuid4()),
    )


def _shown(place: ParameterPlace) -> dict[str, Any]:
    return {**dataclasses.asdict(place), "address": place.address, "is_text": place.name in ("prompt", "negative")}


def _sent(request: Request, made: Varied) -> Response:
    where = f"/queue/jobs/{made.job_id}" if made.job_id is not None else f"/queue/groups/{made.group_id}"
    if is_part(request):
        return Response(status_code=204, headers={"HX-Redirect": where})
    return RedirectResponse(where, status_code=303)
