"""Jobs over HTTP: asking for them, following them, and, for workers, doing them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response, UploadFile
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from memoryd.access import projects
from memoryd.access.facts import Caller
from memoryd.access.guards import Office, Offices, Reader, ReaderCaller, Submitter, SubmitterCaller, Work
from memoryd.dispatch import wire
from memoryd.dispatch.facts import Completion, DeadFilter, LeaseKey
from memoryd.dispatch.guards import WorkerCaller
from memoryd.dispatch.live_runs import live_runs_of
from memoryd.dispatch.result_wire import RESULT_LIMIT, unpack_result
from memoryd.dispatch.states import ENDED, JobState
from memoryd.dispatch.waking import waker_of
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import Conflict, TooLarge
from memoryd.foundation.ids import JobId
from memoryd.foundation.paging import page_size
from memoryd.storage.blob_store import BLOB_LIMIT, blob_store
from memoryd.storage.blobs import register
from memoryd.submission import claiming, completing, estimating_jobs, job_document, repeating, viewing
from memoryd.submission import wire as shown
from memoryd.submission.claim_desk import claim_desk_of
from memoryd.submission.facts import Submitted
from memoryd.submission.submitting import submit_alone

router = APIRouter(tags=["submission"])

WAIT_LIMIT_S = 25.0
"""A long poll ends before the proxies that give up on silence after 30 s."""
STREAM_STEP_S = 0.5
CHUNK = 1024 * 1024
OUTPUTS_LIMIT = 100_000
"""Outputs of one run; a film of an hour as single frames has 86,400."""


class BytesDiffer(Conflict):
    """What arrived is not what was announced."""


class OutputTooLarge(TooLarge):
    """An output is larger than the store takes."""


# --- for people


@router.post("/jobs", status_code=201, response_model=shown.JobAnswer, max_body_size=shown.BODY_LIMIT)
def submit_job(
    office: Office,
    caller: SubmitterCaller,
    asked: shown.JobRequest,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Queue a job, and say when it starts and ends. The same Idempotency-Key again answers the same job."""
    submission = asked.as_submission(project=asked.project or projects.DEFAULT_PROJECT, key=idempotency_key)
    submitted = submit_alone(office.database, submission, scope=caller.tenant, caller=caller, store=office.store)
    if submitted.known:
        with office.database.tenant_work(caller.tenant) as session:
            found = estimating_jobs.estimate_of(session, office.database, submitted.job_id, scope=caller.tenant)
        submitted = dataclasses.replace(submitted, estimate=found)
    return _spelled(shown.show_submitted(submitted), status=201)


def _spelled(answer: BaseModel, *, status: int = 200, without: set[str] | None = None) -> Response:
    """Return an answer as it is sent: what is asked for many times a second is not looked through once more."""
    return Response(answer.model_dump_json(exclude=without), status_code=status, media_type="application/json")


@router.post("/inputs", status_code=201)
def store_input(office: Office, caller: SubmitterCaller, file: UploadFile) -> shown.StoredInput:
    """Keep the bytes of a file that a job will read; name them in the job by their hash."""
    stored = blob_store(office.store).put_stream(caller.tenant.slug, file.file, limit=BLOB_LIMIT)
    with office.database.tenant_work(caller.tenant) as session:
        register(session, [stored])
    return shown.StoredInput(sha256=stored.sha256.hex(), size=stored.size)


@router.get("/jobs")
def list_jobs(
    work: Reader,
    project: str | None = None,
    state: JobState | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> shown.Jobs:
    """Jobs of the projects one sees, newest first."""
    sees = work.caller.sees
    project_id = projects.find_project(work.session, project, sees) if project else None
    page = viewing.list_jobs(
        work.session,
        scope=work.caller.tenant,
        sees=sees,
        project_id=project_id,
        state=state,
        cursor=cursor,
        limit=limit,
    )
    return shown.Jobs(items=[shown.show_job(view) for view in page.rows], next_cursor=page.next_cursor)


@router.get("/jobs/dead")
def list_dead(
    work: Reader,
    pool: str | None = None,
    since: datetime.datetime | None = None,
    model: str | None = None,
    project: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> shown.DeadJobs:
    """Jobs that were given up, newest first; those of projects one does not see are left out."""
    only = _dead_filter(work, shown.DeadChoice(pool=pool, since=since, model=model, project=project))
    found = viewing.list_dead(work.session, work.caller, only, cursor=cursor, limit=page_size(limit))
    return shown.DeadJobs(items=[shown.show_dead(letter) for letter in found.rows], next_cursor=found.next_cursor)


@router.post("/jobs/dead/replay")
def replay_dead(work: Submitter, asked: shown.DeadChoice) -> shown.DeadDone:
    """Let given-up jobs that fit be tried again, as batch work so that they flood nobody."""
    return shown.DeadDone(jobs=viewing.replay_all(work.database, _dead_filter(work, asked), caller=work.caller))


@router.post("/jobs/dead/discard")
def discard_dead(work: Submitter, asked: shown.DeadChoice) -> shown.DeadDone:
    """Give given-up jobs that fit up for good."""
    return shown.DeadDone(jobs=viewing.discard_all(work.database, _dead_filter(work, asked), caller=work.caller))


def _dead_filter(work: Work, asked: shown.DeadChoice) -> DeadFilter:
    project = projects.find_project(work.session, asked.project, work.caller.sees) if asked.project else None
    return DeadFilter(pool=asked.pool, since=shown.aware(asked.since), model_set=asked.model, project_id=project)


@router.get("/jobs/{job_id}")
def show_job(work: Reader, job_id: UUID) -> shown.Job:
    """One job: where it stands, when it starts and ends, and how it ended."""
    view = viewing.job_view(work.session, JobId(job_id), scope=work.caller.tenant, sees=work.caller.sees)
    if view.standing.state in ENDED:
        return shown.show_job(view)
    found = estimating_jobs.estimate_of(work.session, work.database, view.job_id, scope=work.caller.tenant)
    return shown.show_estimated(view, found)


@router.post("/jobs/{job_id}/cancel")
def cancel_job(work: Submitter, job_id: UUID) -> shown.Cancelled:
    """Cancel a job: at once where it waits, by its worker's next heartbeat where it runs."""
    answer = viewing.cancel(work.session, JobId(job_id), scope=work.caller.tenant, caller=work.caller)
    return shown.Cancelled(answer=answer.value)


@router.post("/jobs/{job_id}/replay")
def replay_job(work: Submitter, job_id: UUID) -> shown.JobAnswer:
    """Let a given-up job be tried again with a new budget of tries."""
    viewing.replay(work.session, JobId(job_id), scope=work.caller.tenant, caller=work.caller)
    found = estimating_jobs.estimate_of(work.session, work.database, JobId(job_id), scope=work.caller.tenant)
    return shown.show_submitted(Submitted(job_id=JobId(job_id), known=True, estimate=found))


@router.post("/jobs/{job_id}/retry")
def retry_job(work: Submitter, job_id: UUID) -> shown.JobAnswer:
    """Let a job run after all that ended without a result: a given-up one as itself, another as a new job like it."""
    again = repeating.retry(
        work.session,
        JobId(job_id),
        scope=work.caller.tenant,
        caller=work.caller,
        store=work.store,
        database=work.database,
    )
    return shown.show_submitted(again)


@router.post("/jobs/{job_id}/discard", status_code=204)
def discard_job(work: Submitter, job_id: UUID) -> Response:
    """Give a given-up job up for good."""
    viewing.discard(work.session, JobId(job_id), scope=work.caller.tenant, caller=work.caller)
    return Response(status_code=204)


@router.post("/jobs/{job_id}/move")
def move_job(work: Submitter, job_id: UUID, asked: shown.MoveRequest) -> shown.Moved:
    """Let one of one's own waiting jobs go before another of them, or before all of them."""
    before = JobId(asked.before) if asked.before is not None else None
    moved = viewing.move(work.session, JobId(job_id), before=before, scope=work.caller.tenant, caller=work.caller)
    return shown.Moved(moved=moved)


@router.get("/jobs/{job_id}/document")
def show_document(work: Reader, job_id: UUID) -> JSONResponse:
    """A job as a document: what was asked for and what it is pinned to (`schemas/job.v1.schema.json`)."""
    document = job_document.make_document(work.session, JobId(job_id), scope=work.caller.tenant, sees=work.caller.sees)
    return JSONResponse(document.model_dump(mode="json"))


@router.get("/jobs/{job_id}/events")
async def follow_job(office: Office, caller: ReaderCaller, job_id: UUID, after: wire.Fence = 0) -> StreamingResponse:
    """What happened to a job and how far it is, as server-sent events, until it has ended."""
    first = await run_in_threadpool(_look, office, caller, JobId(job_id), after)
    return StreamingResponse(
        _follow(office, caller, JobId(job_id), first),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/jobs/{job_id}/preview", response_class=Response, responses={204: {"description": "nothing to show"}})
def show_preview(work: Reader, job_id: UUID) -> Response:
    """The newest picture of a run in progress; 204 without one, or where another process of this server hears it."""
    view = viewing.job_view(work.session, JobId(job_id), scope=work.caller.tenant, sees=work.caller.sees)
    live = live_runs_of(work.database).find(view.job_id) if view.standing.state is JobState.LEASED else None
    if live is None or live.picture is None:
        return Response(status_code=204)
    # What a worker sent is a picture and nothing else: no browser may read a script in it.
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(live.picture.content, media_type=live.picture.media_type, headers=headers)


_Look = tuple[shown.Job, list[dict[str, object]], int]


def _look(office: Offices, caller: Caller, job_id: JobId, after: int) -> _Look:
    with office.database.tenant_work(caller.tenant) as session:
        view = viewing.job_view(session, job_id, scope=caller.tenant, sees=caller.sees)
        events = viewing.list_events(session, job_id, after=after)
    last = events[-1].seq if events else after
    return shown.show_job(view), [dict(shown.event_body(event)) for event in events], last


async def _follow(office: Offices, caller: Caller, job_id: JobId, first: _Look) -> AsyncIterator[str]:
    told: dict[str, Json] = {}
    seen = 0
    job, events, after = first
    while True:
        for event in events:
            yield f"event: job\ndata: {json.dumps(event)}\n\n"
        live = live_runs_of(office.database).find(job_id) if job.state is JobState.LEASED else None
        progress = shown.progress_body(job_id, job)
        if live is not None and live.phase is not None:
            progress |= {"progress": live.progress, "phase": live.phase, "node": live.node}
        if progress != told:
            told = progress
            yield f"event: progress\ndata: {json.dumps(progress)}\n\n"
        if live is not None and live.picture is not None and live.picture.number != seen:
            seen = live.picture.number
            preview: dict[str, Json] = {"id": str(job_id), "number": seen, "node": live.picture.node}
            yield f"event: preview\ndata: {json.dumps(preview)}\n\n"
        if job.state in ENDED:
            return
        await asyncio.sleep(STREAM_STEP_S)
        job, events, after = await run_in_threadpool(_look, office, caller, job_id, after)


# --- for workers


@router.post("/work/claim", response_model=None)
async def claim(request: Request, office: Office, worker: WorkerCaller, asked: wire.ClaimRequest) -> Response:
    """The next job, under lease; 204 when nothing came within `wait_s` (at most WAIT_LIMIT_S)."""
    until = time.monotonic() + min(asked.wait_s, WAIT_LIMIT_S)
    waker, desk = waker_of(office.database), claim_desk_of(office.database)
    ask = claiming.Ask(worker=worker, incarnation=asked.incarnation, loaded=tuple(asked.loaded))
    while True:
        # Before the look: what comes while it is under way would else be heard of only at the next poll.
        told = waker.told
        claimed = await desk.claim(ask)
        if claimed is not None:
            return _spelled(wire.ClaimAnswer(job=claimed))
        left = until - time.monotonic()
        if left <= 0 or waker.closing or await request.is_disconnected():
            return Response(status_code=204)
        await waker.wait(left, told=told)


@router.get("/work/inputs/{job_id}/{sha256}")
def fetch_input(
    office: Office, worker: WorkerCaller, job_id: UUID, sha256: wire.Sha256Hex, fence: wire.Fence, token: str
) -> StreamingResponse:
    """One of a leased job's inputs; the worker checks its hash."""
    lease = LeaseKey(job_id=JobId(job_id), fence=fence, token=token)
    file = claiming.open_input(office.database, office.store, worker, lease, sha256)
    size = os.fstat(file.fileno()).st_size

    def chunks() -> Iterator[bytes]:
        with file:
            while chunk := file.read(CHUNK):
                yield chunk

    return StreamingResponse(chunks(), media_type="application/octet-stream", headers={"Content-Length": str(size)})


@router.put("/work/outputs/{job_id}/{index}")
async def store_output(
    request: Request,
    office: Office,
    worker: WorkerCaller,
    job_id: UUID,
    index: Annotated[int, PathParameter(ge=0, lt=OUTPUTS_LIMIT)],
    fence: wire.Fence,
    token: str,
    sha256: wire.Sha256Hex,
) -> wire.OutputStored:
    """Take an output's bytes into the lease's own folder; a later lease has another (INV-4)."""
    lease = LeaseKey(job_id=JobId(job_id), fence=fence, token=token)
    scope = await run_in_threadpool(claiming.scope_of_lease, office.database, worker, lease)
    folder = await run_in_threadpool(blob_store(office.store).staging, scope.slug, lease.job_id, fence)
    size = await _receive(request, folder / str(index), expected=sha256)
    return wire.OutputStored(sha256=sha256, size=size)


async def _receive(request: Request, target: Path, *, expected: str) -> int:
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    digest, size = hashlib.sha256(), 0
    file = await run_in_threadpool(unfinished.open, "xb")
    try:
        with file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > BLOB_LIMIT:
                    raise OutputTooLarge(f"more than {BLOB_LIMIT} bytes (BLOB_LIMIT)")
                digest.update(chunk)
                await run_in_threadpool(file.write, chunk)
        if digest.hexdigest() != expected:
            raise BytesDiffer(f"announced {expected}, received {digest.hexdigest()}", hint="upload it again")
        await run_in_threadpool(unfinished.replace, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return size


@router.post("/work/complete", response_model=wire.CompleteAnswer)
async def complete(office: Office, worker: WorkerCaller, report: wire.CompleteRequest) -> Response:
    """Record how a run ended and what it made. Safe to send again; 409 `lease-lost` where the lease is another's."""
    # What files cost is mostly not the interpreter's time: only who brings none waits for others.
    alone = claim_desk_of(office.database).reports if not report.outputs else contextlib.nullcontext()
    async with alone:
        answer, brought = await run_in_threadpool(
            completing.complete_and_claim, office.database, blob_store(office.store), office.home, worker, report
        )
    return _ended(report, answer, brought)


def _ended(report: wire.CompleteRequest, answer: Completion, brought: wire.Claimed | None) -> Response:
    told = wire.CompleteAnswer.model_validate({"answer": answer.value, "next": brought})
    # Said where it was asked for, also that there is none: so a worker knows that this server understood it.
    return _spelled(told, without=None if report.next is not None else {"next"})


@router.post("/work/result", response_model=wire.CompleteAnswer, max_body_size=RESULT_LIMIT)
async def take_result(request: Request, office: Office, worker: WorkerCaller) -> Response:
    """Outputs and report in one message (`dispatch.result_wire`), for small results; else as `/work/complete`."""
    report, contents = unpack_result(await request.body())
    store = blob_store(office.store)
    answer, brought = await run_in_threadpool(
        completing.complete_and_claim, office.database, store, office.home, worker, report, contents=contents
    )
    return _ended(report, answer, brought)


@router.post("/work/release", status_code=204)
def release(office: Office, worker: WorkerCaller, asked: wire.ReleaseRequest) -> Response:
    """Give a job back unrun."""
    lease = LeaseKey(job_id=JobId(asked.job_id), fence=asked.fence, token=asked.token)
    claiming.release(office.database, worker, lease, reason=asked.reason, counts=asked.counts, kind=asked.kind)
    return Response(status_code=204)
