"""The report about a model's blast radius, made and signed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from memoryd.access import audit
from memoryd.access.guards import Office, ReporterCaller
from memoryd.disclosure import pki
from memoryd.disclosure.sealing import seal
from memoryd.reports.recalls.making import make_report

router = APIRouter(tags=["reports"])


class MadeBlastReport(BaseModel):
    """A report as the texts of the files to write: signed is every byte. `assets`: how many it lists."""

    name: str
    report: str
    signature: str
    assets: int


@router.post("/models/{ref:path}/blast-radius/report")
def report(
    ref: Annotated[str, Path(description="a model, as blast-radius takes it")], caller: ReporterCaller, office: Office
) -> MadeBlastReport:
    """The report about what a model touched, as far as you see, signed detached; `memoryd report verify` checks it."""
    identity = pki.signing_identity(office.keys / "pki")
    made = make_report(office.database, caller, ref)
    with office.database.tenant_work(caller.tenant) as session:
        audit.note(session, caller, "report.make", made.name, {"assets": made.listed, "format": "blast-radius"})
    return MadeBlastReport(
        name=made.name,
        report=made.content.decode("ascii"),
        signature=seal(made.content, identity).decode("ascii"),
        assets=made.listed,
    )
