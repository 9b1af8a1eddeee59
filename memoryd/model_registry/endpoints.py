"""Models: observed and scanned, where they lie, which version they are, what they were made from; their licences.

They are listed and shown by `catalog.models`, which knows the runs that used them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse

from memoryd.access.facts import Caller
from memoryd.access.guards import AdministratorCaller, Ingester, IngesterCaller, Office, Reader
from memoryd.foundation.database import Database
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.paging import BadCursor, decode_cursor, encode_cursor
from memoryd.foundation.texts import storable
from memoryd.model_registry import licences, looking_outside, looking_up, origins, recording, scans, versions
from memoryd.model_registry.facts import Via
from memoryd.model_registry.provenance_wire import (
    DeriveRequest,
    FamilyList,
    FamilyShape,
    LookUpShape,
    OriginsShape,
    PlaceList,
    PlaceShape,
    VersionRequest,
    VersionShape,
)
from memoryd.model_registry.wire import (
    LicenceRequest,
    LicenceShape,
    ObservationBatch,
    PresentNameList,
    PresentNameShape,
    RecordedShape,
    ScanEvent,
    ScanRequest,
)

router = APIRouter(tags=["model_registry"])

NAMES_PAGE = 20_000
"""Names of one page of a folder's: 4 MB. A scan reads them all."""

Ref = Annotated[
    str, Path(description="a SHA-256 or its beginning, another stated hash, `folder/path`, or a file's name")
]


@router.get("/models/places")
def list_places(work: Reader) -> PlaceList:
    """List the folders with models: of each, who sees it."""
    return PlaceList(items=[PlaceShape.of(place) for place in looking_up.list_places(work.session)])


@router.get("/models/families")
def list_families(
    work: Reader,
    search: Annotated[str | None, Query(description="a part of the name")] = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> FamilyList:
    """List models as people speak of them, with their versions and the files of these."""
    page = versions.list_families(work.session, search=search, cursor=cursor, limit=limit)
    return FamilyList(items=[FamilyShape.of(family) for family in page.rows], next_cursor=page.next_cursor)


@router.get("/models/names", response_model=PresentNameList)
def list_present_names(
    work: Reader,
    worker: Annotated[str, Query(description="the machine whose folder it is")],
    root: Annotated[str, Query(description="the models folder")],
    cursor: str | None = None,
) -> Response:
    """List a folder's names as the last scan left them: what a next scan need not hash again."""
    after = None
    if cursor is not None:
        folder, path = decode_cursor(cursor, 2)
        if not isinstance(folder, str) or not isinstance(path, str):
            raise BadCursor("the cursor cannot be read", hint="start again without a cursor")
        after = (storable(folder)[0], storable(path)[0])
    names = recording.list_present(work.session, storable(worker)[0], storable(root)[0], after=after, limit=NAMES_PAGE)
    full = len(names) == NAMES_PAGE
    # Written as they are: a share of 100,000 files is read with every scan, and checking each row takes seconds.
    items = [PresentNameShape.row(name) for name in names]
    last = encode_cursor(names[-1].folder, names[-1].path) if full else None
    return Response(orjson.dumps({"items": items, "next_cursor": last}), media_type="application/json")


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


@router.put("/models/{ref:path}/version")
def state_version(ref: Ref, request: VersionRequest, work: Ingester) -> list[VersionShape]:
    """Say which version of which model a file is, and return all that is said of it, what counts first."""
    sha256 = looking_up.find_model(work.session, ref)
    versions.state_version(work.session, work.caller, sha256, request.family, request.version, url=request.url)
    return [VersionShape.of(version) for version in versions.list_versions(work.session, [sha256])[sha256]]


@router.delete("/models/{ref:path}/version")
def withdraw_version(ref: Ref, work: Ingester) -> list[VersionShape]:
    """Withdraw what a person said of the version of a file, and return what remains."""
    sha256 = looking_up.find_model(work.session, ref)
    versions.withdraw_version(work.session, work.caller, sha256)
    return [VersionShape.of(version) for version in versions.list_versions(work.session, [sha256])[sha256]]


@router.get("/models/{ref:path}/origins")
def show_origins(ref: Ref, work: Reader) -> OriginsShape:
    """Show what a model was made from and what was made from it, at whatever distance."""
    sha256 = looking_up.find_model(work.session, ref)
    above = origins.ancestors(work.session, [sha256])[sha256]
    return OriginsShape.of(above, origins.descendants(work.session, sha256))


@router.post("/models/{ref:path}/origins", status_code=201)
def derive_model(ref: Ref, request: DeriveRequest, work: Ingester) -> OriginsShape:
    """Say what a model was made from; nothing can be made from what was made from it."""
    child, parent = (looking_up.find_model(work.session, one) for one in (ref, request.parent))
    origins.derive(work.session, work.caller, child, parent, request.via)
    return show_origins(child.hex(), work)


@router.delete("/models/{ref:path}/origins")
def withdraw_origin(
    ref: Ref,
    work: Ingester,
    parent: Annotated[str, Query(description="what it is not made from, named as models are")],
    via: Annotated[Via | None, Query(description="only this way")] = None,
) -> OriginsShape:
    """Withdraw what people said a model was made from."""
    child, other = (looking_up.find_model(work.session, one) for one in (ref, parent))
    origins.withdraw(work.session, work.caller, child, other, via)
    return show_origins(child.hex(), work)


@router.post("/models/{ref:path}/look-up")
def look_up_model(ref: Ref, caller: IngesterCaller, office: Office) -> LookUpShape:
    """Ask a public service about a model by its hash, where the operator turned that on, and record what it answers."""
    with office.database.tenant_work(caller.tenant) as session:
        sha256 = looking_up.find_model(session, ref)
    return LookUpShape.of(looking_outside.look_up(office.database, office.settings, caller, sha256))


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
