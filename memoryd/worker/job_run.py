"""A job on this machine: from its lease to a result on disk, or to the reason why there is none."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import mimetypes
import tempfile
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineFileMissing, EngineTrouble, PromptRefused
from memoryd.comfyui.facts import OutputFile, RunRecord, RunState
from memoryd.dispatch.wire import PREVIEW_TYPE, SAVED_TYPE, CompleteRequest, JobKind, Outcome, Output, RunError
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.input_files import placed_inputs
from memoryd.worker.leases import Lease
from memoryd.worker.run_follower import RunFollower, RunVanished, Stopped, StopReason, prompt_id_of
from memoryd.worker.server_link import BytesDiffer, CallRefused, LeaseLost, ServerDown, ServerLink
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping
from memoryd.worker.survey import failing_pin

RECOMPUTE_LIMIT = 5
"""How often a graph is run until nothing of it came from the cache: another client may warm it in between."""

TRACEBACK_LINES_LIMIT = 40
MESSAGE_LIMIT = 4_000
"""What is kept of ComfyUI's words about a failure: enough to mend it, not a whole tensor."""

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a job is run with. `environment_sha256` is lower hex."""

    comfyui: ComfyClient
    link: ServerLink
    state: StateFolder
    stopping: Stopping
    environment_sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The job has an end that the server must hear; it is on disk."""

    completion: CompleteRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """The job goes back into the queue. `counts`: whether this was one of its attempts."""

    reason: str
    counts: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The job is another's; there is nothing to tell."""


Ending: TypeAlias = "Finished | GivenBack | Dropped"


class JobRun:
    """Runs one job. Used by one thread."""

    def __init__(self, workshop: Workshop, lease: Lease) -> None:
        """Nothing has happened yet."""
        self._shop = workshop
        self._lease = lease
        self._job = lease.claimed
        self._started = _now()
        self._attempt = 0

    def run(self) -> Ending:
        """Run the job and return how it ended. What ComfyUI or the server cannot do is an ending, not an error."""
        try:
            return self._run()
        except Stopped as stopped:
            return self._stopped(stopped.reason)
        except LeaseLost:
            return Dropped()
        except PromptRefused as error:
            return self._refused(error)
        except RunVanished as error:
            return GivenBack(reason=error.detail, counts=True)
        except (EngineDown, EngineTrouble, ServerDown) as error:
            return GivenBack(reason=f"{error.title} {error.detail}", counts=False)
        except (BytesDiffer, CallRefused) as error:
            return self._failed("input-unavailable", error.detail)
        except MemorydError as error:
            return self._failed(error.slug, error.detail)
        except Exception as error:  # a fault of ours ends the job, never the worker: the next job may be fine
            _log.exception("fault while running job %s", self._job.job_id)
            return GivenBack(reason=f"fault of the worker: {type(error).__name__}", counts=True)

    def _run(self) -> Ending:
        self._lease.tell("checking models")
        failing = failing_pin(self._shop.comfyui, self._shop.state, self._job.pins)
        if failing is not None:
            return GivenBack(reason=failing, counts=False)
        with tempfile.TemporaryDirectory(dir=self._shop.state.path, prefix="inputs-") as folder:
            self._lease.tell("fetching inputs")
            with placed_inputs(self._shop.comfyui, self._shop.link, self._job, Path(folder)):
                return self._execute()

    def _execute(self) -> Ending:
        follower = RunFollower(self._shop.comfyui, self._lease, self._shop.stopping)
        free_first = self._job.recompute
        for self._attempt in range(RECOMPUTE_LIMIT):
            self._lease.tell("queued")
            record = follower.follow(self._attempt, free_first=free_first)
            if record.state is RunState.INTERRUPTED:
                return GivenBack(reason="somebody interrupted the run at this ComfyUI", counts=True)
            if record.state is RunState.ERROR:
                return self._execution_failed(record)
            if record.cached_nodes and self._job.recompute:
                continue
            self._lease.tell("collecting", progress=1.0)
            try:
                return self._collect(record)
            except EngineFileMissing as error:
                if not record.cached_nodes:
                    return self._failed("output-missing", error.detail)
                # A cached run names the file of an earlier one, which may be gone: this one must be made anew.
                free_first = True
        return self._failed("cache-not-bypassed", f"nodes came from the cache in each of {RECOMPUTE_LIMIT} runs")

    def _collect(self, record: RunRecord) -> Finished:
        folder = self._shop.state.open_result(self._job.job_id, self._job.fence)
        outputs: list[Output] = []
        for file in record.outputs:
            index = len(outputs)
            if file.type == SAVED_TYPE:
                outputs.append(self._fetch(file, index, folder / str(index)))
            elif file.type == PREVIEW_TYPE and self._job.kind is JobKind.REPRODUCE:
                # A preview is no result; but what is made again may once have been one. Nodes may wipe theirs.
                with contextlib.suppress(EngineFileMissing):
                    outputs.append(self._fetch(file, index, folder / str(index)))
        return self._finish(
            Outcome.OK,
            outputs=outputs,
            cached=list(record.cached_nodes),
            started=_moment(record.started_ms),
            ended=_moment(record.ended_ms),
        )

    def _fetch(self, file: OutputFile, index: int, target: Path) -> Output:
        digest, size = hashlib.sha256(), 0
        with self._shop.comfyui.view(file) as chunks, target.open("wb") as written:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                written.write(chunk)
        return Output(
            index=index,
            node=file.node,
            output=file.output,
            batch_index=file.batch_index,
            filename=file.filename,
            subfolder=file.subfolder,
            type=file.type,
            sha256=digest.hexdigest(),
            size=size,
            media_type=mimetypes.guess_type(file.filename)[0] or "application/octet-stream",
        )

    def _execution_failed(self, record: RunRecord) -> Finished:
        failure = record.failure
        if failure is None:
            return self._failed("execution-error", "ComfyUI does not say why", record=record)
        details: dict[str, object] = {
            "exception": failure.exception,
            "traceback": [line[:MESSAGE_LIMIT] for line in failure.traceback[-TRACEBACK_LINES_LIMIT:]],
        }
        error = RunError(
            kind="out-of-memory" if failure.out_of_memory else "execution-error",
            message=failure.message[:MESSAGE_LIMIT],
            node_id=failure.node_id,
            node_type=failure.node_type,
            details=details,
        )
        return self._finish(Outcome.ERROR, error=error, cached=list(record.cached_nodes))

    def _refused(self, error: PromptRefused) -> Ending:
        if error.lacks:
            return GivenBack(reason=f"this ComfyUI refuses the graph: {error.detail}: {error.hint}", counts=False)
        details: dict[str, object] = {"kind": error.kind, "node_errors": dict(error.node_errors)}
        return self._finish(
            Outcome.ERROR,
            error=RunError(
                kind="prompt-refused", message=f"{error.detail}: {error.hint}"[:MESSAGE_LIMIT], details=details
            ),
        )

    def _stopped(self, reason: StopReason) -> Ending:
        match reason:
            case StopReason.LOST:
                return Dropped()
            case StopReason.CANCELLED:
                return self._finish(Outcome.CANCELLED)
            case StopReason.DRAINED:
                return GivenBack(reason="the worker was stopped", counts=False)
            case StopReason.DEADLINE:
                return self._failed("deadline", f"not done after {self._job.deadline_s:.0f} s")

    def _failed(self, kind: str, message: str, record: RunRecord | None = None) -> Finished:
        cached = list(record.cached_nodes) if record else []
        return self._finish(Outcome.ERROR, error=RunError(kind=kind, message=message[:MESSAGE_LIMIT]), cached=cached)

    def _finish(
        self,
        outcome: Outcome,
        *,
        error: RunError | None = None,
        outputs: list[Output] | None = None,
        cached: list[str] | None = None,
        started: datetime.datetime | None = None,
        ended: datetime.datetime | None = None,
    ) -> Finished:
        completion = CompleteRequest(
            job_id=self._job.job_id,
            fence=self._job.fence,
            token=self._job.token,
            outcome=outcome,
            prompt_id=UUID(prompt_id_of(self._job.job_id, self._job.fence, self._attempt)),
            started_at=started or self._started,
            ended_at=ended or _now(),
            cached_nodes=cached or [],
            outputs=outputs or [],
            error=error,
            environment_sha256=self._shop.environment_sha256,
        )
        self._shop.state.close_result(completion)
        return Finished(completion=completion)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _moment(milliseconds: int | None) -> datetime.datetime | None:
    return None if milliseconds is None else datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
