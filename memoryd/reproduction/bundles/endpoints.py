"""Bundles over HTTP: one to take away, and one from elsewhere to be made again here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import StreamingResponse

from memoryd.access import audit, projects
from memoryd.access.guards import Office, ReaderCaller, SubmitterCaller
from memoryd.catalog.looking_up import find_asset
from memoryd.disclosure import pki
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.reproduction import making
from memoryd.reproduction.bundles import receiving, writing
from memoryd.reproduction.bundles.gathering import BUNDLE_LIMIT, gathering
from memoryd.reproduction.bundles.wire import BundleAnswer, BundleSeal
from memoryd.reproduction.wire import ReproductionShape
from memoryd.storage.blob_store import blob_store

router = APIRouter(tags=["reproduction"])

BODY_LIMIT = BUNDLE_LIMIT + 16 * 2**20
"""Bytes of a request that brings one: lists, signature and the form around it included."""
_BLOCK = 1024 * 1024
_MEDIA_TYPE = "application/zip"


@router.get(
    "/assets/{ref}/bundle",
    response_class=StreamingResponse,
    responses={200: {"content": {_MEDIA_TYPE: {}}, "description": "The signed bundle."}},
)
def make_bundle(
    ref: str, caller: ReaderCaller, office: Office, original: bool = True, receipts: bool = True
) -> StreamingResponse:
    """All that making an asset again takes, in one signed ZIP: documents with their prompts, inputs, the original itself.

    `original` and `receipts` false leave those out; hashes and verdicts stay.
    """
    with office.database.tenant_work(caller.tenant) as session:
        asset_id = find_asset(session, ref, caller.sees)
    identity = pki.signing_identity(office.keys / "pki")
    target = tempfile.TemporaryFile()  # noqa: SIM115 # it is closed when it was sent
    try:
        with gathering(
            office.database,
            blob_store(office.store),
            caller,
            asset_id,
            with_original=original,
            with_receipts=receipts,
        ) as gathered:
            writing.write(gathered, target, identity)
        with office.database.tenant_work(caller.tenant) as session:
            facts = {"original": original, "files": len(gathered.entries)}
            audit.note(session, caller, "asset.bundle", f"asset:{asset_id}", facts)
        size = target.tell()
        target.seek(0)
    except BaseException:
        target.close()
        raise
    name = f"bundle-{gathered.asset_sha256[:16]}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(size),
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(_blocks(target), media_type=_MEDIA_TYPE, headers=headers)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block


@router.post("/bundles", status_code=202, max_body_size=BODY_LIMIT)
def run_bundle(
    file: UploadFile,
    caller: SubmitterCaller,
    office: Office,
    project: Annotated[str, Form()] = projects.DEFAULT_PROJECT,
    pool: Annotated[str, Form()] = DEFAULT_POOL,
    trust_unknown: Annotated[bool, Form()] = False,
) -> BundleAnswer:
    """Check a bundle from elsewhere, record what it says, and begin to make it again.

    `trust_unknown`: take it though it is unsigned, or its signer is not known here. What was changed is never taken.
    """
    store = blob_store(office.store)
    with office.database.tenant_work(caller.tenant) as session:
        project_id = projects.find_project(session, project, caller.sees)
    taken = receiving.take(
        office.database,
        store,
        caller,
        pki.load_anchors(office.keys / "pki"),
        file.file,
        project_id=project_id,
        trust_unknown=trust_unknown,
    )
    attempt = making.make_again(office.database, store, caller, taken.asset_id, pool=pool)
    with office.database.tenant_work(caller.tenant) as session:
        shown = ReproductionShape.of(making.show_reproduction(session, attempt, caller.sees))
    seal = taken.verdict.seal
    return BundleAnswer(
        asset_id=taken.asset_id,
        seal=BundleSeal(
            state=seal.state.value,
            detail=seal.detail,
            signer=seal.signer,
            signed_at=seal.signed_at,
            trusted_by=seal.trusted_by,
        ),
        has_original=taken.has_original,
        recorded_here=taken.recorded_here,
        attempt=shown,
    )
