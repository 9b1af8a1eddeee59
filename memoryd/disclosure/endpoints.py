"""Signed copies of assets, and verdicts on any file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Response, UploadFile
from fastapi.responses import StreamingResponse

from memoryd.access.guards import Administrator, DiscloserCaller, Office, Offices, Reader, ReaderCaller
from memoryd.catalog import disclosing_roots
from memoryd.catalog.content import find_copies, open_copy
from memoryd.catalog.looking_up import AssetAmbiguous, AssetNotFound, find_asset
from memoryd.disclosure import disclosing, pki
from memoryd.disclosure.facts import Undecided
from memoryd.disclosure.verifying import verify_stream
from memoryd.disclosure.wire import (
    DisclosureList,
    DisclosureShape,
    RootDisclosureSwitch,
    RootDisclosureSwitched,
    VerdictShape,
)
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import AssetId
from memoryd.storage.blob_store import blob_store

router = APIRouter(tags=["disclosure"])

_PIECE = 1 << 20


class NothingToSay(NotAcceptable):
    """Nothing can be said about how this was made, and so nothing was signed."""


@router.post("/assets/{ref}/disclosures", status_code=201)
def disclose(ref: str, caller: DiscloserCaller, office: Office, response: Response) -> DisclosureShape:
    """Make a signed copy of an asset, or find the one that says the same (200). Without evidence nothing is signed."""
    identity = pki.signing_identity(pki_folder(office))
    made = disclosing.disclose_asset(office.database, blob_store(office.store), caller, ref, identity)
    if isinstance(made, Undecided):
        raise NothingToSay(made.reason, hint=made.hint)
    if not made.new:
        response.status_code = 200
    return DisclosureShape.of(made)


@router.get("/assets/{ref}/disclosures")
def disclosures(ref: str, work: Reader) -> DisclosureList:
    """The signed copies of an asset's line, newest first."""
    asset = find_asset(work.session, ref, work.caller.sees)
    made = disclosing.list_disclosures(work.session, asset, work.caller.sees)
    return DisclosureList(items=[DisclosureShape.of(one) for one in made])


@router.put("/disclosures/roots")
def switch_root(asked: RootDisclosureSwitch, work: Administrator) -> RootDisclosureSwitched:
    """Say how the new files of a watched folder are disclosed as they come: not, in a copy beside, in their place."""
    root = disclosing_roots.switch(work.session, work.caller, asked.root, asked.how)
    return RootDisclosureSwitched(root_id=root, how=asked.how)


@router.get("/disclosures/{id_}/file")
def disclosed_file(id_: UUID, caller: ReaderCaller, office: Office) -> StreamingResponse:
    """The signed copy itself."""
    with office.database.tenant_work(caller.tenant) as session:
        made = disclosing.find_disclosure(session, id_, caller.sees)
        copies = find_copies(session, AssetId(made.disclosed_id), caller.sees)
    file = open_copy(office.store, caller.tenant, copies)

    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(_PIECE):
                yield piece

    return StreamingResponse(
        pieces(),
        media_type="application/octet-stream",
        headers={"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"},
    )


@router.post("/verify")
def verify(file: UploadFile, caller: ReaderCaller, office: Office) -> VerdictShape:
    """The verdict on an uploaded file. The file is kept nowhere, and nothing it names is fetched."""
    verdict = verify_stream(file.file, pki.load_anchors(pki_folder(office)))
    assert verdict.sha256 is not None
    with office.database.tenant_work(caller.tenant) as session:
        try:
            asset = find_asset(session, verdict.sha256.hex(), caller.sees)
        except (AssetNotFound, AssetAmbiguous):
            asset = None
    return VerdictShape.of(verdict, asset_id=asset)


def pki_folder(office: Offices) -> Path:
    """Return the folder of this installation's certificates."""
    return office.keys / "pki"
