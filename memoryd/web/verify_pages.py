"""A file is dropped here: what does it say of itself, is that true, and does the memory know it?"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, UploadFile

from memoryd.access.guards import Office, ReaderCaller
from memoryd.catalog.looking_up import AssetAmbiguous, AssetNotFound, find_asset
from memoryd.disclosure import pki
from memoryd.disclosure.verifying import verify_stream
from memoryd.web.rendering import is_part, page

router = APIRouter()


@router.get("/verify")
def ask_for_a_file(request: Request, caller: ReaderCaller) -> Response:
    """The page with the drop zone."""
    return page(request, "verify.html", caller=caller, verdict=None)


@router.post("/verify")
def verify_a_file(request: Request, file: UploadFile, caller: ReaderCaller, office: Office) -> Response:
    """The verdict on the file. It is kept nowhere, and nothing that it names is fetched."""
    verdict = verify_stream(file.file, pki.load_anchors(office.keys / "pki"))
    asset = None
    if verdict.sha256 is not None:
        with office.database.tenant_work(caller.tenant) as session:
            try:
                asset = find_asset(session, verdict.sha256.hex(), caller.sees)
            except (AssetNotFound, AssetAmbiguous):
                asset = None
    return page(
        request,
        "verdict.html" if is_part(request) else "verify.html",
        caller=caller,
        verdict=verdict,
        asset=asset,
        own=False,
        name=file.filename or "the file",
    )
