"""Making an asset again, over HTTP."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from memoryd.access.guards import Office, Reader, ReaderCaller, SubmitterCaller
from memoryd.catalog.looking_up import find_asset
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import ReproductionId
from memoryd.reproduction import making, receipts
from memoryd.reproduction.wire import ReproductionList, ReproductionRequest, ReproductionShape
from memoryd.storage.blob_store import blob_store

router = APIRouter(tags=["reproduction"])

_FOR_GOOD = "private, max-age=31536000, immutable"
"""A difference picture never changes: its verdict is written once."""
RECEIPT_TYPE = "application/vnd.memoryd.reproduction-receipt+json"


class NoDifference(NotFound):
    """This attempt has no difference picture."""


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
        tests=asked.tests,
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


@router.get(
    "/reproductions/{reproduction_id}/difference",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The difference picture."}},
)
def show_difference(reproduction_id: UUID, caller: ReaderCaller, office: Office) -> Response:
    """Where what came out differs from the original: black is equal; its own description says what white is."""
    with office.database.tenant_work(caller.tenant) as session:
        attempt = making.show_reproduction(session, ReproductionId(reproduction_id), caller.sees)
    if attempt.difference is None:
        raise NoDifference(
            f"attempt {reproduction_id}",
            hint="there is one where pixels were compared and differ; `memoryd receipt show` tells what was compared",
        )
    content = blob_store(office.store).read_verified(caller.tenant.slug, attempt.difference)
    return Response(
        content,
        media_type="image/png",
        headers={
            "Cache-Control": _FOR_GOOD,
            "Content-Disposition": f'inline; filename="{reproduction_id}.difference.png"',
        },
    )


@router.get(
    "/reproductions/{reproduction_id}/receipt",
    response_class=Response,
    responses={200: {"content": {RECEIPT_TYPE: {}}, "description": "The signed receipt."}},
)
def show_receipt(reproduction_id: UUID, caller: ReaderCaller, office: Office) -> Response:
    """The signed verdict, which anybody can verify offline: `memoryd receipt verify FILE`, or by its JSON schema."""
    receipt = receipts.get_receipt(
        office.database, caller.tenant, ReproductionId(reproduction_id), office.keys, sees=caller.sees
    )
    name = f"{reproduction_id}.receipt.json"
    return Response(
        receipt,
        media_type=RECEIPT_TYPE,
        headers={"Cache-Control": "private, no-store", "Content-Disposition": f'attachment; filename="{name}"'},
    )
