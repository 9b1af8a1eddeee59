"""Recalls: what a model touched, recalled, listed, lifted."""

from __future__ import annotations

import enum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from memoryd.access.guards import Discloser, DiscloserCaller, Office, Reader, ReaderCaller
from memoryd.clearance.recalls import deciding, spelling
from memoryd.clearance.recalls.radius import blast_radius
from memoryd.clearance.recalls.touched import LINES_AT_ONCE, list_touched, stream_touched
from memoryd.clearance.recalls.wire import (
    BlastRadiusShape,
    LiftRequest,
    RecalledShape,
    RecallList,
    RecallRequest,
    RecallShape,
    TouchedAssetList,
    TouchedAssetShape,
)

router = APIRouter(tags=["recalls"])

Ref = Annotated[str, Path(description="a SHA-256 or its beginning, another stated hash, `folder/path`, or a name")]


class ListFormat(enum.StrEnum):
    """How a list is written."""

    JSONL = "jsonl"
    CSV = "csv"


MEDIA = {ListFormat.JSONL: "application/jsonl", ListFormat.CSV: "text/csv; charset=utf-8"}


@router.get("/recalls")
def list_recalls(
    work: Reader,
    standing: Annotated[bool | None, Query(description="true: those that stand; false: those that were lifted")] = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> RecallList:
    """List recalls, the newest first."""
    page = deciding.list_recalls(work.session, work.caller, standing=standing, cursor=cursor, limit=limit)
    return RecallList(items=[RecallShape.of(one) for one in page.rows], next_cursor=page.next_cursor)


@router.get("/recalls/{recall_id}")
def show_recall(recall_id: UUID, work: Reader) -> RecallShape:
    """Show a recall and how far its marks are."""
    return RecallShape.of(deciding.find_recall(work.session, work.caller, recall_id))


@router.post("/recalls/{ref:path}/lift")
def lift(
    ref: Annotated[str, Path(description="a recall's id, or its model")], request: LiftRequest, work: Discloser
) -> RecallShape:
    """Lift a recall, with a reason: officers and administrators of the whole studio."""
    recall_id = deciding.find_standing(work.session, ref)
    deciding.unrecall(work.session, work.caller, recall_id, request.reason)
    return RecallShape.of(deciding.find_recall(work.session, work.caller, recall_id))


@router.post("/models/{ref:path}/recall", status_code=201)
def recall(ref: Ref, request: RecallRequest, caller: DiscloserCaller, office: Office) -> RecalledShape:
    """Recall a model, with a reason: officers and administrators of the whole studio."""
    with office.database.tenant_work(caller.tenant) as session:
        sha256 = deciding.find_weights(session, ref)
        recall_id = deciding.recall(session, caller, sha256, request.kind, request.reason)
    # Submissions waited for that commit; they wait for no counting.
    with office.database.tenant_work(caller.tenant) as session:
        return RecalledShape(
            recall=RecallShape.of(deciding.find_recall(session, caller, recall_id)),
            blast_radius=BlastRadiusShape.of(blast_radius(session, sha256, caller.sees)),
        )


@router.get("/models/{ref:path}/blast-radius")
def show_blast_radius(ref: Ref, work: Reader) -> BlastRadiusShape:
    """Count what a model touched, as far as you see. Nothing is decided by it."""
    sha256 = deciding.find_weights(work.session, ref)
    return BlastRadiusShape.of(blast_radius(work.session, sha256, work.caller.sees))


@router.get("/models/{ref:path}/blast-radius/assets", response_class=StreamingResponse)
def stream_blast_radius(
    ref: Ref, caller: ReaderCaller, office: Office, format: ListFormat = ListFormat.JSONL
) -> StreamingResponse:
    """List every asset that a model touched, newest lines first, then what was derived from them; as it is found."""
    with office.database.tenant_work(caller.tenant) as session:
        sha256 = deciding.find_weights(session, ref)
    assets = stream_touched(office.database, caller.tenant, sha256, caller.sees)
    spelled = spelling.as_csv(assets) if format is ListFormat.CSV else spelling.as_json_lines(assets)
    return StreamingResponse(spelled, media_type=MEDIA[format], headers={"Cache-Control": "no-store"})


@router.get("/models/{ref:path}/blast-radius/page")
def page_blast_radius(
    ref: Ref,
    work: Reader,
    cursor: str | None = None,
    lines: Annotated[int, Query(ge=1, le=LINES_AT_ONCE)] = 50,
) -> TouchedAssetList:
    """List a page of what a model touched: the assets of so many lines."""
    sha256 = deciding.find_weights(work.session, ref)
    page = list_touched(work.session, sha256, work.caller.sees, cursor=cursor, lines=lines)
    return TouchedAssetList(items=[TouchedAssetShape.of(one) for one in page.rows], next_cursor=page.next_cursor)
