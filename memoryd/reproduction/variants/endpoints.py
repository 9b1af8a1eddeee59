"""Variations over HTTP: what can be varied, asking for it, and what was asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from memoryd.access.guards import Office, Reader, SubmitterCaller
from memoryd.catalog.looking_up import find_asset
from memoryd.reproduction.variants import varying
from memoryd.reproduction.variants.wire import (
    Parameters,
    ParameterShape,
    VariationAnswer,
    VariationRequest,
    Variations,
    VariationShape,
)
from memoryd.storage.blob_store import blob_store

router = APIRouter(tags=["reproduction"])


@router.get("/assets/{ref}/parameters")
def list_parameters(ref: str, work: Reader) -> Parameters:
    """What of the asset's run can be varied by name, and where in its graph it stands."""
    asset_id = find_asset(work.session, ref, work.caller.sees)
    places = varying.show_parameters(work.session, asset_id, work.caller.sees)
    return Parameters(items=[ParameterShape.of(place) for place in places])


@router.post("/assets/{ref}/variations", status_code=201)
def vary(
    ref: str,
    asked: VariationRequest,
    caller: SubmitterCaller,
    office: Office,
    response: Response,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> VariationAnswer:
    """Queue the asset's run with other values: one item as a job, more as a group. `dry_run`: only what it comes to."""
    with office.database.tenant_work(caller.tenant) as session:
        asset_id = find_asset(session, ref, caller.sees)
    do = varying.foresee if asked.dry_run else varying.vary
    made = do(office.database, blob_store(office.store), caller, asset_id, asked.as_wish(idempotency_key))
    if asked.dry_run:
        response.status_code = 200
    return VariationAnswer.of(made)


@router.get("/assets/{ref}/variations")
def list_variations(ref: str, work: Reader) -> Variations:
    """The newest wishes for variations of the asset."""
    asset_id = find_asset(work.session, ref, work.caller.sees)
    found = varying.list_variations(work.session, asset_id, work.caller.sees)
    return Variations(items=[VariationShape.of(each) for each in found])
