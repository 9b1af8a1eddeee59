"""Enlargements over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response

from memoryd.access.guards import Office, Reader, SubmitterCaller
from memoryd.catalog.looking_up import find_asset
from memoryd.foundation.ids import ReproductionId
from memoryd.reproduction.enlargements import enlarging
from memoryd.reproduction.enlargements.wire import (
    EnlargementAnswer,
    EnlargementRequest,
    Enlargements,
    EnlargementShape,
)
from memoryd.storage.blob_store import blob_store
from memoryd.submission.wire import BODY_LIMIT

router = APIRouter(tags=["reproduction"])


@router.post("/assets/{ref}/enlargements", status_code=202, max_body_size=BODY_LIMIT)
def enlarge(
    ref: str,
    asked: EnlargementRequest,
    caller: SubmitterCaller,
    office: Office,
    response: Response,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> EnlargementAnswer:
    """The picture larger: a larger copy that is known (200), else an upscale of the original is begun (202)."""
    with office.database.tenant_work(caller.tenant) as session:
        asset_id = find_asset(session, ref, caller.sees)
    answer = enlarging.enlarge(
        office.database, blob_store(office.store), caller, asset_id, asked.as_wish(idempotency_key)
    )
    if answer.enlargement is None:
        response.status_code = 200
    return EnlargementAnswer.of(answer)


@router.get("/assets/{ref}/enlargements")
def list_enlargements(ref: str, work: Reader) -> Enlargements:
    """The newest enlargements of the asset."""
    asset_id = find_asset(work.session, ref, work.caller.sees)
    found = enlarging.list_enlargements(work.session, asset_id, work.caller.sees)
    return Enlargements(items=[EnlargementShape.of(each) for each in found])


@router.get("/enlargements/{enlargement_id}")
def show_enlargement(enlargement_id: UUID, work: Reader) -> EnlargementShape:
    """An enlargement as it stands; poll until `state` is `decided`."""
    found = enlarging.show_enlargement(work.session, ReproductionId(enlargement_id), work.caller.sees)
    return EnlargementShape.of(found)
