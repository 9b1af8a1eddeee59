"""Environments over HTTP: which there are, one of them, two compared, one to be built again; and what workers send."""

from __future__ import annotations

import tempfile
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from memoryd.access.guards import Office, Reader
from memoryd.comfyui.source_archive import ARCHIVE_LIMIT, ArchiveTooLarge
from memoryd.dispatch.facts import LeaseKey
from memoryd.dispatch.guards import WorkerCaller
from memoryd.dispatch.sources_wire import SourcesRequest, SourcesWanted
from memoryd.dispatch.wire import Fence, Sha256Hex
from memoryd.foundation.ids import JobId
from memoryd.reproduction.environments import exported, finding, sources
from memoryd.reproduction.environments.nearness import nearness
from memoryd.reproduction.environments.wire import (
    CompareRequest,
    EnvironmentDetail,
    EnvironmentDiff,
    Environments,
    EnvironmentShape,
    Runs,
    RunShape,
)
from memoryd.storage.blob_store import blob_store

router = APIRouter(tags=["environments"])

Limit = Annotated[int | None, Query(description="Rows of a page.")]


@router.get("/environments")
def list_environments(work: Reader, cursor: str | None = None, limit: Limit = None) -> Environments:
    """The environments that runs had or workers have, newest first."""
    page = finding.list_environments(work.session, work.caller, cursor=cursor, limit=limit)
    return Environments(items=[EnvironmentShape.of(each) for each in page.rows], next_cursor=page.next_cursor)


@router.get("/environments/{ref}")
def show_environment(ref: str, work: Reader) -> EnvironmentDetail:
    """One environment, by its hash or the beginning of it: what is known of it, what is not, who had it."""
    found = finding.find_environment(work.session, work.caller, ref)
    return EnvironmentDetail.whole(found, sources.find_kept(work.session, found.document))


@router.get("/environments/{ref}/runs")
def list_runs(ref: str, work: Reader, cursor: str | None = None, limit: Limit = None) -> Runs:
    """The runs that had it, newest first."""
    page = finding.list_runs(work.session, work.caller, ref, cursor=cursor, limit=limit)
    return Runs(items=[RunShape.of(each) for each in page.rows], next_cursor=page.next_cursor)


@router.get("/environments/{then}/diff/{now}")
def compare(then: str, now: str, work: Reader) -> EnvironmentDiff:
    """Every difference between two, by name, the likeliest cause of other pixels first."""
    return EnvironmentDiff.of(*finding.compare(work.session, work.caller, then, now))


@router.post("/environments/{then}/diff")
def compare_document(then: str, asked: CompareRequest, work: Reader) -> EnvironmentDiff:
    """The differences to an environment that nobody registered, as `memoryd environment look` sees it."""
    before = finding.find_environment(work.session, work.caller, then)
    after = finding.unregistered(asked.document)
    return EnvironmentDiff.of(before, after, nearness(before.document, after.document))


@router.get("/environments/{ref}/export", response_class=Response)
def export(ref: str, work: Reader) -> Response:
    """A ZIP from which it can be built again: lock file, script, Dockerfile, kept sources, and what is unknown."""
    found = finding.find_environment(work.session, work.caller, ref)
    content = exported.export(work.session, blob_store(work.store), work.caller, found)
    name = f"environment-{found.sha256.hex()[:16]}.zip"
    return Response(
        content, media_type="application/zip", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@router.post("/work/pack-sources")
def sources_wanted(asked: SourcesRequest, office: Office, worker: WorkerCaller) -> SourcesWanted:
    """Which sources of node packs the tenant of a job that this worker finished does not hold."""
    lease = LeaseKey(job_id=JobId(asked.job_id), fence=asked.fence, token=asked.token)
    environment = bytes.fromhex(asked.environment_sha256)
    return SourcesWanted(trees=list(sources.wanted(office.database, worker, lease, environment)))


@router.put("/work/pack-sources/{tree}", status_code=204)
async def keep_sources(
    tree: Sha256Hex,
    request: Request,
    office: Office,
    worker: WorkerCaller,
    job_id: UUID,
    fence: Fence,
    token: str,
    environment: Sha256Hex,
) -> None:
    """Take the sources of a node pack: a tar as `comfyui.source_archive` makes it."""
    lease = LeaseKey(job_id=JobId(job_id), fence=fence, token=token)
    with tempfile.TemporaryFile() as archive:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > ARCHIVE_LIMIT:
                raise ArchiveTooLarge(f"more than {ARCHIVE_LIMIT} bytes (ARCHIVE_LIMIT)")
            await run_in_threadpool(archive.write, chunk)
        archive.seek(0)
        store, digest = blob_store(office.store), bytes.fromhex(environment)
        await run_in_threadpool(sources.keep, office.database, store, worker, lease, digest, tree, archive)
