"""Models: listed, shown, observed, scanned; licences named for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from memoryd.access.facts import Caller
from memoryd.access.guards import AdministratorCaller, Ingester, Office, Reader
from memoryd.foundation.database import Database
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.paging import BadCursor, decode_cursor, encode_cursor
from memoryd.foundation.texts import storable
from memoryd.model_registry import licences, looking_up, recording, scans
from memoryd.model_registry.wire import (
    LicenceRequest,
    LicenceShape,
    ModelDetailShape,
    ModelList,
    ModelShape,
    ObservationBatch,
    PresentNameList,
    PresentNameShape,
    RecordedShape,
    ScanEvent,
    ScanRequest,
)

router = APIRouter(tags=["model_registry"])

Ref = Annotated[
    str, Path(description="a SHA-256 or its beginning, another stated hash, `folder/path`, or a file's name")
]


@router.get("/models")
def list_models(
    work: Reader,
    kind: Annotated[str | None, Query(description="checkpoint, lora, vae …")] = None,
    folder: Annotated[str | None, Query(description="only models with a present name in this folder")] = None,
    licensed: Annotated[bool | None, Query(description="false: those nobody named a licence for")] = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> ModelList:
    """List models, the newest first."""
    page = looking_up.list_models(work.session, kind=kind, folder=folder, licensed=licensed, cursor=cursor, limit=limit)
    return ModelList(items=[ModelShape.of(model) for model in page.rows], next_cursor=page.next_cursor)


@router.get("/models/names")
def list_present_names(
    work: Reader,
    worker: Annotated[str, Query(description="the machine whose folder it is")],
    root: Annotated[str, Query(description="the models folder")],
    cursor: str | None = None,
) -> PresentNameList:
    """List a folder's names as the last scan left them: what a next scan need not hash again."""
    after = None
    if cursor is not None:
        folder, path = decode_cursor(cursor, 2)
        if not isinstance(folder, str) or not isinstance(path, str):
            raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
        after = (storable(folder)[0], storable(path)[0])
    names = recording.list_present(work.session, storable(worker)[0], storable(root)[0], after=after)
    full = len(names) == recording.PRESENT_PAGE
    return PresentNameList(
        items=[PresentNameShape.of(name) for name in names],
        next_cursor=encode_cursor(names[-1].folder, names[-1].path) if full else None,
    )


@router.post("/models/observations")
def record_observations(batch: ObservationBatch, work: Ingester) -> RecordedShape:
    """Record what a scan saw, on whatever machine it ran; repeatable."""
    recorded = recording.record_observations(
        work.session,
        work.caller,
        worker=storable(batch.worker)[0],
        root=storable(batch.root)[0],
        observations=[item.observation() for item in batch.items],
        gone=[(storable(gone.folder)[0], storable(gone.path)[0]) for gone in batch.gone],
    )
    return RecordedShape.of(recorded)


@router.post("/models/scans", response_class=StreamingResponse)
def scan_folder(request: ScanRequest, caller: AdministratorCaller, office: Office) -> StreamingResponse:
    """Scan a folder on the server's disk; the answer is a stream of progress, closed by what was recorded.

    An administrator's, since it reads wherever the server may read.
    """
    return StreamingResponse(
        _told(office.database, caller, FilePath(request.folder)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.post("/models/{ref:path}/licences", status_code=201)
def state_licence(ref: Ref, request: LicenceRequest, work: Ingester) -> list[LicenceShape]:
    """Name a licence for a model, and return all that are named for it."""
    sha256 = looking_up.find_model(work.session, ref)
    licences.state_licence(work.session, work.caller, sha256, request.name, version=request.version, url=request.url)
    return [LicenceShape.of(licence) for licence in licences.list_licences(work.session, sha256)]


@router.delete("/models/{ref:path}/licences/{grant_id}")
def withdraw_licence(ref: Ref, grant_id: UUID, work: Ingester) -> list[LicenceShape]:
    """Withdraw what a person named, and return what remains."""
    sha256 = looking_up.find_model(work.session, ref)
    licences.withdraw_licence(work.session, work.caller, sha256, grant_id)
    return [LicenceShape.of(licence) for licence in licences.list_licences(work.session, sha256)]


@router.get("/models/{ref:path}")
def show_model(ref: Ref, work: Reader) -> ModelDetailShape:
    """Show everything that is known about a model."""
    return ModelDetailShape.of_detail(looking_up.show_model(work.session, looking_up.find_model(work.session, ref)))


def _told(database: Database, caller: Caller, folder: FilePath) -> Iterator[str]:
    # The answer has begun: an error can only be told inside it.
    try:
        for told in scans.scan_folder(database, caller, folder):
            yield f"data: {ScanEvent.of(told).model_dump_json()}\n\n"
    except MemorydError as error:
        event = ScanEvent(error=f"{error.title} {error.detail}", hint=error.hint)
        yield f"data: {event.model_dump_json()}\n\n"
    except OSError as error:
        yield f"data: {ScanEvent(error=error.strerror or str(error)).model_dump_json()}\n\n"
