"""Bills of materials, made and signed."""

from __future__ import annotations

from fastapi import APIRouter

from memoryd.access.guards import Office, ReporterCaller
from memoryd.disclosure import pki
from memoryd.disclosure.sealing import seal
from memoryd.reports.bom import making
from memoryd.reports.bom.making import BomAsked
from memoryd.reports.bom.wire import BomRequest, MadeBom
from memoryd.submission.submitting import TEXT_LIMIT

BODY_LIMIT = 2 * TEXT_LIMIT
"""Bytes of a request: a prompt inside JSON is escaped."""

router = APIRouter(tags=["reports"])


@router.post("/boms", max_body_size=BODY_LIMIT)
def make_bom(asked: BomRequest, caller: ReporterCaller, office: Office) -> MadeBom:
    """The AI bill of materials of an asset, a workflow or a project (CycloneDX), signed detached.

    Its text is the file to write, byte for byte; it is validated against its schema before it is answered.
    """
    identity = pki.signing_identity(office.keys / "pki")
    name, made = making.make_bom(
        office.database,
        caller,
        BomAsked(ref=asked.ref, workflow=asked.workflow, name=asked.name, project=asked.project, version=asked.version),
    )
    return MadeBom(
        name=name,
        bom=made.content.decode("ascii"),
        signature=seal(made.content, identity).decode("ascii"),
        models=made.models,
        unknowns=list(made.unknowns),
    )
