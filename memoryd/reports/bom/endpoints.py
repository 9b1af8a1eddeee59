"""Bills of materials, made and signed."""

from __future__ import annotations

import datetime

from fastapi import APIRouter

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.access.guards import Office, ReporterCaller
from memoryd.disclosure import pki
from memoryd.disclosure.sealing import seal
from memoryd.foundation.database import Session
from memoryd.foundation.ids import new_id
from memoryd.foundation.texts import storable
from memoryd.reports.bom import gathering
from memoryd.reports.bom.composing import compose
from memoryd.reports.bom.facts import BomContent
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
    bom_id = new_id()
    with office.database.tenant_work(caller.tenant) as session:
        content = _content(session, caller, asked)
        facts = {"subject": content.subject.value, "models": len(content.models)}
        audit.note(session, caller, "bom.make", str(bom_id), facts)
    made = compose(content, asked.version)
    return MadeBom(
        name=f"bom-{bom_id}.cdx.json",
        bom=made.content.decode("ascii"),
        signature=seal(made.content, identity).decode("ascii"),
        models=made.models,
        unknowns=list(made.unknowns),
    )


def _content(session: Session, caller: Caller, asked: BomRequest) -> BomContent:
    now = datetime.datetime.now(datetime.UTC)
    if asked.ref is not None:
        return gathering.of_asset(session, caller, asked.ref, now)
    if asked.project is not None:
        return gathering.of_project(session, caller, asked.project, now)
    return gathering.of_workflow(session, asked.workflow or "", storable(asked.name)[0], now)
