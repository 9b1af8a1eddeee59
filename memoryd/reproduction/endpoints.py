"""Making an asset again, over HTTP."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from memoryd.access.guards import Office, Reader, SubmitterCaller
from memoryd.catalog.looking_up import find_asset
from memoryd.foundation.ids import ReproductionId
from memoryd.reproduction import making
from memoryd.reproduction.wire import ReproductionList, ReproductionRequest, ReproductionShape
from memoryd.storage.blob_store import blob_store

router = APIRouter(tags=["reproduction"])


@router.post("/assets/{ref}/reproductions", status_code=202)
def make_again(ref: str, asked: ReproductionRequest, caller: SubmitterCaller, office: Office) -> ReproductionShape:
    """Begin an attempt: computed for real, then compared. What is missing decides it at once as *not attempted*."""
    with office.database.tenant_work(caller.tenant) as session:
        asset_id = find_asset(session, ref, caller.sees)
    attempt = making.make_again(
        office.database,
        blob_store(office.store),
        caller,
        asset_id,
        pool=asked.pool,
        require_identical=asked.require is not None,
        on_worker=asked.worker,
    )
    with office.database.tenant_work(caller.tenant) as session:
        return ReproductionShape.of(making.show_reproduction(session, attempt, caller.sees))


@router.get("/assets/{ref}/reproductions")
def list_attempts(ref: str, work: Reader) -> ReproductionList:
    """The newest attempts to make an asset again."""
    asset_id = find_asset(work.session, ref, work.caller.sees)
    return ReproductionList(
        items=[
            ReproductionShape.of(each) for each in making.list_reproductions(work.session, asset_id, work.caller.sees)
        ]
    )


@router.get("/reproductions/{reproduction_id}")
def show_attempt(reproduction_id: UUID, work: Reader) -> ReproductionShape:
    """An attempt as it stands; poll until `state` is `decided`."""
    return ReproductionShape.of(
        making.show_reproduction(work.session, ReproductionId(reproduction_id), work.caller.sees)
    )
