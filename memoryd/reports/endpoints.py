"""Reports, made and signed."""

from __future__ import annotations

from fastapi import APIRouter

from memoryd.access import audit
from memoryd.access.guards import Office, ReporterCaller
from memoryd.disclosure import pki
from memoryd.disclosure.sealing import seal
from memoryd.reports.gathering import make_report
from memoryd.reports.rendering import render_html
from memoryd.reports.wire import MadeReport, ReportRequest

router = APIRouter(tags=["reports"])


@router.post("/reports")
def report(asked: ReportRequest, caller: ReporterCaller, office: Office) -> MadeReport:
    """A lineage report about an asset or a search, signed detached. Its texts are the files to write, byte for byte."""
    folder = office.keys / "pki"
    identity = pki.signing_identity(folder)
    made = make_report(
        office.database, office.store, caller, pki.load_anchors(folder), ref=asked.ref, query=asked.query
    )
    html = render_html(made) if asked.format == "html" else None
    with office.database.tenant_work(caller.tenant) as session:
        facts = {"assets": made.assets, "format": asked.format}
        audit.note(session, caller, "report.make", str(made.document["report_id"]), facts)
    return MadeReport(
        name=f"lineage-{made.document['report_id']}",
        report=made.content.decode("ascii"),
        signature=seal(made.content, identity).decode("ascii"),
        html=html.decode("utf-8") if html else None,
        html_signature=seal(html, identity).decode("ascii") if html else None,
    )
