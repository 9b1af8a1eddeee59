"""The AI bill of materials of a picture or a project, to take along."""

from __future__ import annotations

import io
import zipfile

from fastapi import APIRouter, Response

from memoryd.access.facts import Caller
from memoryd.access.guards import Office, ReporterCaller
from memoryd.disclosure import pki
from memoryd.disclosure.sealing import seal
from memoryd.reports.bom.making import BomAsked, make_bom
from memoryd.reports.sealing import SUFFIX

router = APIRouter()


@router.post("/assets/{ref}/bom")
def take_bom_of_asset(ref: str, caller: ReporterCaller, office: Office) -> Response:
    """The bill of materials of a picture with its signature, as one archive."""
    return _taken(caller, office, BomAsked(ref=ref))


@router.post("/projects/{slug}/bom")
def take_bom_of_project(slug: str, caller: ReporterCaller, office: Office) -> Response:
    """The bill of materials of all that a project's runs used, as one archive."""
    return _taken(caller, office, BomAsked(project=slug))


def _taken(caller: Caller, office: Office, asked: BomAsked) -> Response:
    identity = pki.signing_identity(office.keys / "pki")
    name, made = make_bom(office.database, caller, asked)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, made.content)
        packed.writestr(f"{name}{SUFFIX}", seal(made.content, identity))
    return Response(
        archive.getvalue(),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}.zip"', "Cache-Control": "no-store"},
    )
