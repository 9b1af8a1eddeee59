"""From a worker's report to the record: result and record commit together or not at all (INV-4).

Large files are hashed, stored and written to the project's folder before the one transaction; in it the farm's rows
come last, and where the lease has gone meanwhile everything is rolled back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from memoryd.access import audit
from memoryd.comfyui.input_names import SEEN_PREFIX
from memoryd.dispatch import leases, usage, workers
from memoryd.dispatch.facts import Cause, Completion, LeaseKey, WorkerIdentity
from memoryd.dispatch.wire import PREVIEW_TYPE, SAVED_TYPE, Claimed, CompleteRequest, JobKind, Outcome, Output, Pin
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.counters import LATE_REPORTS
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import JobId, PersonId, ProjectId
from memoryd.foundation.logging import log_for
from memoryd.ingest.facts import JobFacts, JobOutput, Recorded
from memoryd.ingest.job_outputs import prepare_job
from memoryd.ingest.recording import record_job_outputs
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.storage.facts import StoredBlob
from memoryd.submission import output_places, queries, run_costs
from memoryd.submission.claiming import hand_over_or_release, names, scope_of, stored_reason
from memoryd.submission.facts import EventState
from memoryd.submission.job_texts import extra_documents, input_name
from memoryd.submission.result_document import result_document
from memoryd.submission.submitting import pinned, unpacked

DEFAULT_PROJECT_SLUG = "default"

INFRA_ERRORS = frozenset({"input-unavailable", "output-missing"})
"""Kinds of errors that are the farm's and not the job's: they use up no attempt."""

OUT_OF_MEMORY = "out-of-memory"
"""The kind of error that moves a job to a bigger pool, where it has one."""

_log = log_for(__name__)


class OutputNotUploaded(Conflict):
    """An output that the report names was not uploaded under this lease, or is not what it says."""


class _NotRecordedError(Exception):
    """The lease ended meanwhile: undo what was recorded."""

    def __init__(self, answer: Completion) -> None:
        super().__init__()
        self.answer = answer


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One report, with what its job asked for."""

    worker: WorkerIdentity
    report: CompleteRequest
    lease: LeaseKey
    scope: TenantScope
    detail: Any
    project: str
    contents: Mapping[int, bytes]
    environment: Mapping[str, Json] | None
    hashed: Mapping[tuple[str, str], bytes]
    """What its worker found in the model files that it pins: (folder, name) -> SHA-256. Of a run that made something."""


def complete(
    database: Database,
    store: BlobStore,
    home: Path,
    worker: WorkerIdentity,
    report: CompleteRequest,
    *,
    contents: Mapping[int, bytes] | None = None,
) -> Completion:
    """Record how a run ended and what it made; RECORDED, or DUPLICATE where this report was recorded before.

    `contents`: bytes of outputs that came with the report, by index; the others were uploaded before.
    Raises: LeaseLost; OutputNotUploaded; DatabaseDown (send the report again).
    """
    return complete_and_claim(database, store, home, worker, report, contents=contents)[0]


def complete_and_claim(
    database: Database,
    store: BlobStore,
    home: Path,
    worker: WorkerIdentity,
    report: CompleteRequest,
    *,
    contents: Mapping[int, bytes] | None = None,
) -> tuple[Completion, Claimed | None]:
    """As complete, and the worker's next job by the same commit, where the report asks for one.

    None where it does not, where the report was recorded before, and wherever `leases.complete_and_claim` has none.
    """
    lease = LeaseKey(job_id=JobId(report.job_id), fence=report.fence, token=report.token)
    try:
        if report.outcome is Outcome.OK:
            with database.farm_work() as session:
                run = _read(session, worker, report, lease, contents or {})
            scope = run.scope
            brought = _record_outputs(database, store, home, run)
        else:
            with database.farm_work() as session:
                scope, brought = _record_end(session, worker, report, lease)
    except _NotRecordedError as error:
        return _refused_or_duplicate(error.answer, lease), None
    store.clear_staging(scope.slug, lease.job_id)
    return Completion.RECORDED, brought


def _take_tenant_of(session: Session, worker: WorkerIdentity, lease: LeaseKey) -> TenantScope:
    """Let the transaction act as the tenant whose job a live lease is for. Raises: _NotRecordedError."""
    tenant_id = leases.find_tenant(session, worker, lease)
    if tenant_id is None:
        raise _NotRecordedError(leases.late(session, lease))
    scope = scope_of(session, tenant_id)
    take_tenant(session, scope)
    return scope


def _read(
    session: Session,
    worker: WorkerIdentity,
    report: CompleteRequest,
    lease: LeaseKey,
    contents: Mapping[int, bytes],
) -> _Run:
    """Read what the job asked for, after the farm, in one transaction: each costs more than what is read in it."""
    scope = _take_tenant_of(session, worker, lease)
    detail = queries.find_detail(session, job_id=lease.job_id)
    assert detail is not None
    project = (
        queries.find_project_slug(session, project_id=detail.project_id)
        if detail.project_id is not None
        else DEFAULT_PROJECT_SLUG
    )
    take_farm(session)
    environment = workers.find_environment(session, bytes.fromhex(report.environment_sha256))
    hashed = workers.hashed_models(session, worker.worker_id, [str(pin["name"]) for pin in detail.pins])
    return _Run(
        worker=worker,
        report=report,
        lease=lease,
        scope=scope,
        detail=detail,
        project=project,
        contents=contents,
        environment=environment,
        hashed=hashed,
    )


def _record_outputs(database: Database, store: BlobStore, home: Path, run: _Run) -> Claimed | None:
    written: list[Path] = []
    try:
        outputs = [
            _stored_output(store, home, run, output, written)
            for output in run.report.outputs
            if output.type == SAVED_TYPE
        ]
        previews = [_stored_preview(store, run, output) for output in run.report.outputs if _is_compared(run, output)]
        # What it read and nobody had sent along is kept, since the next file of that name replaces it.
        seen = {file.output: _kept(store, run, file) for file in run.report.outputs if _was_read(file)}
        facts = _job_facts(run, seen)
        prepared = prepare_job(facts, outputs)
        with database.tenant_work(run.scope) as session:
            recorded = record_job_outputs(session, scope=run.scope, job=facts, outputs=outputs, prepared=prepared)
            register(session, [*(blob for _, blob in previews), *seen.values()])
            _tell_success(session, run, outputs, [preview for preview, _ in previews], recorded)
            take_farm(session)
            return _end_lease(session, run.worker, run.report, run.lease)
    except BaseException:
        # What nobody recorded must not lie in the project's folder as if it were somebody's.
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _record_end(
    session: Session, worker: WorkerIdentity, report: CompleteRequest, lease: LeaseKey
) -> tuple[TenantScope, Claimed | None]:
    """Record a run that made nothing, cancelled or failed; return its tenant, and the next job. `session` has the farm."""
    scope = _take_tenant_of(session, worker, lease)
    error: dict[str, Json] = {"kind": "cancelled", "message": ""}
    if report.error is not None:
        error = {"kind": report.error.kind, "message": report.error.message}
        error |= {"node_id": report.error.node_id or "", "node_type": report.error.node_type or ""}
    cancelled = report.outcome is Outcome.CANCELLED
    state = EventState.CANCELLED if cancelled else EventState.FAILED
    reason = None if cancelled else stored_reason(f"{error['kind']}: {error['message']}")
    owner = queries.note_end(
        session,
        job_id=lease.job_id,
        state=state,
        worker=worker.label,
        reason=reason,
        result=result_document(report, worker, [], None) if cancelled else None,
    )
    assert owner is not None
    _announce(session, lease.job_id, owner.project_id, f"job.{state.value}", {})
    take_farm(session)
    if cancelled:
        return scope, _end_lease(session, worker, report, lease, cancelled=True)
    kind = str(error["kind"])
    cause = Cause.INFRA if kind in INFRA_ERRORS else Cause.JOB
    answer = leases.fail(session, worker, lease, cause=cause, error=error, move=kind == OUT_OF_MEMORY)
    if answer is not Completion.RECORDED:
        raise _NotRecordedError(answer)
    _note_measures(session, report, lease)
    return scope, None


def _stored_output(store: BlobStore, home: Path, run: _Run, output: Output, written: list[Path]) -> JobOutput:
    stored = _kept(store, run, output)
    location = None
    if output.node not in run.report.cached_nodes:
        # A cached node gave its old file again: that one has its place already.
        folder = output_places.folder_for(
            home,
            tenant=run.scope.slug,
            project=run.project,
            workflow=run.detail.name,
            at=run.report.ended_at,
        )
        copy = output_places.write_copy(store.path(run.scope.slug, stored.sha256), folder, output.filename)
        written.append(copy)
        location = output_places.location_of(copy)
    return JobOutput(
        node=output.node,
        filename=output.filename,
        sha256=stored.sha256,
        size=stored.size,
        media_type=output.media_type,
        stored=stored,
        output=output.output,
        batch_index=output.batch_index,
        location=location,
        source=store.path(run.scope.slug, stored.sha256),
    )


def _is_compared(run: _Run, output: Output) -> bool:
    """Tell whether a preview is kept: only to be compared with what it may have been, and never as an asset."""
    return output.type == PREVIEW_TYPE and run.detail.kind == JobKind.REPRODUCE


def _stored_preview(store: BlobStore, run: _Run, output: Output) -> tuple[JobOutput, StoredBlob]:
    stored = _kept(store, run, output)
    preview = JobOutput(
        node=output.node,
        filename=output.filename,
        sha256=stored.sha256,
        size=stored.size,
        media_type=output.media_type,
        stored=stored,
        output=output.output,
        batch_index=output.batch_index,
    )
    return preview, stored


def _kept(store: BlobStore, run: _Run, output: Output) -> StoredBlob:
    """Store an output's bytes, which came with the report or were uploaded before. Raises: OutputNotUploaded."""
    tenant, sha256 = run.scope.slug, bytes.fromhex(output.sha256)
    content = run.contents.get(output.index)
    if content is not None:
        return store.put_stream(tenant, io.BytesIO(content), sha256=sha256)
    uploaded = store.staging(tenant, run.lease.job_id, run.lease.fence) / str(output.index)
    if not uploaded.is_file():
        raise OutputNotUploaded(
            f"output {output.index} ({output.filename!r})", hint="upload it, then send the report again"
        )
    return store.put_file(tenant, uploaded, sha256=sha256)


def _was_read(output: Output) -> bool:
    """Tell whether a file is one that the run read; its `output` is then the name that the graph has for it."""
    return output.type.startswith(SEEN_PREFIX)


def _job_facts(run: _Run, seen: Mapping[str, StoredBlob]) -> JobFacts:
    detail = run.detail
    pins = [Pin.model_validate(pin) for pin in detail.pins]
    named = {(pin.folder, pin.name) for pin in pins}
    return JobFacts(
        job_id=run.lease.job_id,
        project_id=ProjectId(detail.project_id) if detail.project_id else None,
        person_id=PersonId(detail.person_id) if detail.person_id else None,
        prompt_document=unpacked(detail.prompt).encode("utf-8", "surrogatepass"),
        extra_documents=extra_documents(unpacked(detail.extra_data)),
        prompt_id=str(run.report.prompt_id),
        environment=run.environment,
        started_at=run.report.started_at,
        ended_at=run.report.ended_at,
        cached_nodes=tuple(run.report.cached_nodes),
        inputs={name: blob.sha256 for name, blob in seen.items()}
        | {input_name(file): bytes.fromhex(str(file["sha256"])) for file in detail.inputs},
        # What the worker has under a name, as it stated it some time ago; where the job asked for particular bytes, those,
        # which it has proved; and what it found there before this run.
        pins={use: sha256 for use, sha256 in run.hashed.items() if use in named}
        | pinned(pins)
        | {use: sha256 for use, sha256 in pinned(run.report.models).items() if use in named},
    )


def _tell_success(
    session: Session, run: _Run, outputs: Sequence[JobOutput], previews: Sequence[JobOutput], recorded: Recorded
) -> None:
    job_id = run.lease.job_id
    queries.note_end(
        session,
        job_id=job_id,
        state=EventState.SUCCEEDED,
        worker=run.worker.label,
        result=result_document(run.report, run.worker, [*outputs, *previews], recorded),
    )
    if not run.report.cached_nodes:
        # What came from a cache took no time, and says nothing of what the next run takes.
        run_costs.learn(
            session,
            run.scope,
            workflow=run.detail.workflow,
            pool=run.detail.pool,
            started=run.report.started_at,
            ended=run.report.ended_at,
        )
    facts: dict[str, Json] = {
        "outputs": len(outputs),
        "new": recorded.new,
        "cached_nodes": len(run.report.cached_nodes),
        "worker": str(run.worker.worker_id),
    }
    audit.note(session, None, "job.complete", f"job:{job_id}", facts)
    _announce(session, job_id, run.detail.project_id, "job.succeeded", {"outputs": len(outputs), "new": recorded.new})


def _end_lease(
    session: Session, worker: WorkerIdentity, report: CompleteRequest, lease: LeaseKey, *, cancelled: bool = False
) -> Claimed | None:
    """End the run's lease, and hand over the worker's next job where the report asks for one. `session` has the farm."""
    grant = None
    if report.next is None:
        answer = leases.complete(session, worker, lease, cancelled=cancelled)
    else:
        answer, grant = leases.complete_and_claim(
            session,
            worker,
            lease,
            incarnation=report.next.incarnation,
            loaded=names(report.next.loaded),
            cancelled=cancelled,
        )
    if answer is not Completion.RECORDED:
        raise _NotRecordedError(answer)
    _note_measures(session, report, lease)
    return hand_over_or_release(session, worker, grant) if grant is not None else None


def _note_measures(session: Session, report: CompleteRequest, lease: LeaseKey) -> None:
    usage.note_measures(
        session,
        lease,
        loading_s=report.loading_s,
        executing_s=report.executing_s,
        model_loaded=report.model_loaded,
        vram_peak_mb=report.vram_peak_mb,
    )


def _announce(session: Session, job_id: JobId, project_id: UUID | None, kind: str, facts: dict[str, Json]) -> None:
    body = dict(facts)
    if project_id is not None:
        body["project_id"] = str(project_id)
    outbox.announce(session, kind, job_id, body)


def _refused_or_duplicate(answer: Completion, lease: LeaseKey) -> Completion:
    if answer is Completion.STALE:
        LATE_REPORTS.inc()
        _log.warning("a late report for job %s under fence %d was refused", lease.job_id, lease.fence)
        raise leases.lost(lease)
    return answer
