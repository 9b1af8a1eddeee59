"""Which asset is this file? Over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, UploadFile

from memoryd.access.guards import Office, ReaderCaller
from memoryd.disclosure import pki
from memoryd.reproduction.from_file.reading import BODY_LIMIT
from memoryd.reproduction.from_file.recognising import recognise
from memoryd.reproduction.from_file.wire import IdentificationShape

router = APIRouter(tags=["reproduction"])


@router.post("/assets/identify", max_body_size=BODY_LIMIT)
def identify(file: UploadFile, caller: ReaderCaller, office: Office) -> IdentificationShape:
    """The originals that an uploaded file may come from, ranked, and how sure that is.

    Of the file nothing is kept but its hash, in the audit trail; nothing that it names is fetched.
    """
    anchors = pki.load_anchors(office.keys / "pki")
    found = recognise(office.database, office.store, caller, anchors, file.file, name=file.filename or "the file")
    return IdentificationShape.of(found)
