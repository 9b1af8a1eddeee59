"""A client's file is dropped here: which picture is it, or of which a copy? The original first, making it again second."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, UploadFile

from memoryd.access.guards import Office, ReaderCaller
from memoryd.disclosure import pki
from memoryd.reproduction.from_file.reading import BODY_LIMIT
from memoryd.reproduction.from_file.recognising import recognise
from memoryd.web.rendering import is_part, page

router = APIRouter()


@router.get("/identify")
def ask_for_a_file(request: Request, caller: ReaderCaller) -> Response:
    """The page with the drop zone."""
    return page(request, "identify.html", caller=caller, found=None)


@router.post("/identify", max_body_size=BODY_LIMIT)
def identify_a_file(request: Request, file: UploadFile, caller: ReaderCaller, office: Office) -> Response:
    """The originals that the file may come from, side by side. The file is kept nowhere."""
    anchors = pki.load_anchors(office.keys / "pki")
    found = recognise(office.database, office.store, caller, anchors, file.file, name=file.filename or "the file")
    return page(request, "identified.html" if is_part(request) else "identify.html", caller=caller, found=found)
