"""What can be shown to others about a picture: its signed copy, the verdict on its own signature, its report."""

from __future__ import annotations

import io
import zipfile
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from memoryd.access import audit
from memoryd.access.facts import Caller, Scope
from memoryd.access.guards import DiscloserCaller, Office, ReaderCaller, ReporterCaller
from memoryd.access.roles import narrowed
from memoryd.catalog.content import ContentMissing, find_copies, open_copy
from memoryd.disclosure import disclosing, pki
from memoryd.disclosure.facts import Undecided
from memoryd.disclosure.sealing import seal
from memoryd.disclosure.verifying import verify_stream
from memoryd.foundation.ids import AssetId
from memoryd.reports.facts import Report
from memoryd.reports.gathering import make_report
from memoryd.reports.rendering import render_html
from memoryd.reports.sealing import SUFFIX
from memoryd.storage.blob_store import blob_store
from memoryd.web.asset_body import after_change, asset_page
from memoryd.web.rendering import page

REPORT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "sandbox",
    )
)
"""A report is one self-contained file with its own styles, no script and nothing to load."""

router = APIRouter()


@router.post("/assets/{asset}/disclosures")
def disclose(asset: UUID, request: Request, caller: DiscloserCaller, office: Office) -> Response:
    """Make a signed copy, or say why nothing can be said."""
    identity = pki.signing_identity(office.keys / "pki")
    made = disclosing.disclose_asset(office.database, blob_store(office.store), caller, str(asset), identity)
    with office.database.tenant_work(caller.tenant) as session:
        if isinstance(made, Undecided):
            return asset_page(request, session, narrowed(caller, Scope.READ), AssetId(asset), refused=made)
        said = "A signed copy was made." if made.new else "The same signed copy was there already."
        return after_change(request, session, caller, AssetId(asset), said=said)


@router.get("/assets/{asset}/verification")
def verify_asset(asset: UUID, request: Request, caller: ReaderCaller, office: Office) -> Response:
    """The verdict on what the asset's own bytes say of themselves, read now."""
    with office.database.tenant_work(caller.tenant) as session:
        copies = find_copies(session, AssetId(asset), caller.sees)
    verdict, problem = None, None
    try:
        with open_copy(blob_store(office.store), caller.tenant, copies) as stream:
            verdict = verify_stream(stream, pki.load_anchors(office.keys / "pki"))
    except ContentMissing as error:
        problem = error
    return page(
        request, "verification.html", caller=caller, verdict=verdict, problem=problem, asset=AssetId(asset), own=True
    )


@router.get("/assets/{ref}/report")
def read_report(ref: str, caller: ReporterCaller, office: Office) -> Response:
    """The lineage report about the asset, to read and to print."""
    made = _report(caller, office, ref, "html")
    return Response(
        render_html(made),
        media_type="text/html",
        headers={"Cache-Control": "no-store", "Content-Security-Policy": REPORT_POLICY},
    )


@router.post("/assets/{ref}/report")
def take_report(ref: str, caller: ReporterCaller, office: Office) -> Response:
    """The lineage report with its signatures, as one archive; `memoryd report verify` checks what is in it, offline."""
    made = _report(caller, office, ref, "archive")
    identity = pki.signing_identity(office.keys / "pki")
    name = f"lineage-{made.document['report_id']}"
    html = render_html(made)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for suffix, content in ((".json", made.content), (".html", html)):
            packed.writestr(f"{name}{suffix}", content)
            packed.writestr(f"{name}{suffix}{SUFFIX}", seal(content, identity))
    return Response(
        archive.getvalue(),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}.zip"', "Cache-Control": "no-store"},
    )


@router.get("/assets/{asset}/disclosures")
def back_to_the_asset(asset: UUID) -> Response:
    """The asset's page, for somebody who reloads the answer to a form."""
    return RedirectResponse(f"/assets/{asset}", status_code=303)


def _report(caller: Caller, office: Office, ref: str, form: str) -> Report:
    anchors = pki.load_anchors(office.keys / "pki")
    made = make_report(office.database, blob_store(office.store), caller, anchors, ref=ref)
    with office.database.tenant_work(caller.tenant) as session:
        audit.note(
            session, caller, "report.make", str(made.document["report_id"]), {"assets": made.assets, "format": form}
        )
    return made
