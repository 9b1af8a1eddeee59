"""A job on this machine: from its lease to a result on disk, or to the reason why there is none."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import mimetypes
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from memoryd.comfyui.errors import EngineDown, EngineFileMissing, EngineTrouble, PromptRefused
from memoryd.comfyui.facts import OutputFile, RunRecord, RunState
from memoryd.dispatch.wire import PREVIEW_TYPE, SAVED_TYPE, CompleteRequest, JobKind, Outcome, Output, Pin, RunError
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.engine import LOOK_TIMEOUT_S, Engine, EngineEnded, EngineHangs, EngineTaken
from memoryd.worker.leases import Lease
from memoryd.worker.model_fetching import NO_LIMITS, FetchingUnfinished, FetchLimits, ModelFetching
from memoryd.worker.model_links import ModelLinks, NotLinked
from memoryd.worker.pins import MISSING, Pinned, look_at
from memoryd.worker.run_follower import RunFollower, RunTakenOut, RunVanished, Stopped, StopReason, prompt_id_of
from memoryd.worker.seen_inputs import SeenInputs
from memoryd.worker.server_link import BytesDiffer, CallRefused, LeaseLost, ServerDown, ServerLink
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping

RECOMPUTE_TRIES = 5
"""How often a graph is run until nothing of it came from the cache: another client may warm it in between."""

TRACEBACK_LINES_LIMIT = 40
MESSAGE_LIMIT = 4_000
"""What is kept of ComfyUI's words about a failure: enough to mend it, not a whole tensor."""

OTHER_ENVIRONMENT = "environment-changed"
"""The word for a worker that is not what it was when the job was meant for it."""

OUT_OF_MEMORY = "out-of-memory"
"""The error's kind by which the server moves the job to a bigger pool."""

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a job is run with. `environment_sha256` is lower hex."""

    engine: Engine
    link: ServerLink
    state: StateFolder
    stopping: Stopping
    environment_sha256: str
    contents: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    """What lay under the models' names when ComfyUI was last asked to use them: (folder, name) -> SHA-256, where known."""
    fetch_limits: FetchLimits = NO_LIMITS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The job has an end that the server must hear; it is on disk."""

    completion: CompleteRequest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """The job goes back into the queue. `counts`: whether this was one of its attempts; `kind`: the word for why."""

    reason: str
    counts: bool = False
    kind: str = "released"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """The job is another's; there is nothing to tell."""


Ending: TypeAlias = "Finished | GivenBack | Dropped"

_KINDS: dict[type[MemorydError], str] = {
    RunVanished: "engine-crash",
    EngineHangs: "engine-unresponsive",
    EngineTaken: "engine-busy",
    RunTakenOut: "foreign-interrupt",
}
"""The word for each way in which a run is lost through no fault of the job's."""


class JobRun:
    """Runs one job. Used by one thread."""

    def __init__(self, workshop: Workshop, lease: Lease, *, hold_limit_s: float, known: bool = False) -> None:
        """`known`: an earlier start of this worker may have submitted it. `hold_limit_s`: how long others may come first."""
        self._shop = workshop
        self._engine = workshop.engine
        self._lease = lease
        self._job = lease.claimed
        self._hold_limit_s = hold_limit_s
        self._known = known
        self._started = _now()
        self._attempt = 0
        self._follower: RunFollower | None = None
        self._pinned = Pinned()
        self._seen = SeenInputs(workshop.engine.comfyui, lease.claimed)

    @property
    def prompt_id(self) -> str:
        """The id of the last run of it at ComfyUI."""
        return prompt_id_of(self._job.job_id, self._job.fence, self._attempt)

    def run(self) -> Ending:
        """Run the job and return how it ended. What ComfyUI or the server cannot do is an ending, not an error."""
        try:
            with ModelFetching(self._shop.link, self._shop.fetch_limits, self._lease, self._shop.stopping) as fetching:
                return self._run(fetching)
        except Stopped as stopped:
            return self._stopped(stopped.reason)
        except LeaseLost:
            return Dropped()
        except PromptRefused as error:
            return self._refused(error)
        except EngineEnded as error:
            if error.out_of_memory:
                return self._failed(OUT_OF_MEMORY, error.detail)
            return GivenBack(reason=error.detail, kind="engine-crash")
        except (RunVanished, EngineHangs, EngineTaken, RunTakenOut) as error:
            return GivenBack(reason=error.detail, kind=_KINDS[type(error)])
        except NotLinked as error:
            return GivenBack(reason=f"{error.detail}: {error.hint}", kind=MISSING)
        except (EngineDown, EngineTrouble, ServerDown, FetchingUnfinished) as error:
            return GivenBack(reason=f"{error.title} {error.detail}")
        except (BytesDiffer, CallRefused) as error:
            return self._failed("input-unavailable", error.detail)
        except MemorydError as error:
            return self._failed(error.slug, error.detail)
        except Exception as error:  # a fault of ours ends the job, never the worker: the next job may be fine
            _log.exception("fault while running job %s", self._job.job_id)
            return GivenBack(reason=f"fault of the worker: {type(error).__name__}", counts=True)

    def _is_there(self) -> bool:
        """Tell whether ComfyUI has the run of an earlier start, or had it and knows how it ended."""
        waiting = self._engine.comfyui.queue(timeout_s=LOOK_TIMEOUT_S)
        present = self.prompt_id in waiting.running or self.prompt_id in waiting.pending
        return present or self._engine.comfyui.history(self.prompt_id, timeout_s=LOOK_TIMEOUT_S) is not None

    def _run(self, fetching: ModelFetching) -> Ending:
        # One that the worker was killed before submitting begins like any other.
        self._known = self._known and self._is_there()
        if not self._known:
            if self._job.environments and self._shop.environment_sha256 not in self._job.environments:
                return GivenBack(
                    reason="this worker's environment is no longer the one that the job insists on",
                    kind=OTHER_ENVIRONMENT,
                )
            self._lease.tell("checking models")
            self._pinned = look_at(self._engine.comfyui, self._shop.state.hashes, self._job.pins, fetching.fetch)
            if self._pinned.refusal is not None:
                return GivenBack(reason=self._pinned.refusal.reason, kind=self._pinned.refusal.kind)
            self._lease.tell("waiting for others")
            # Somebody may have come between our asking for work and getting it.
            if not self._engine.wait_until_free(self._shop.stopping, self._hold_limit_s):
                raise EngineTaken("others use this ComfyUI", hint="it is tried elsewhere, or here when they are done")
        self._lease.tell("fetching inputs")
        links = ModelLinks(self._shop.state.links)
        with (
            links.made(self._engine.comfyui, self._pinned.links, f"{self._job.job_id}-{self._job.fence}"),
            self._engine.inputs(self._job, self._shop.link, fresh=not self._known),
        ):
            self._seen.look()
            return self._execute()

    def _may_have_stale_weights(self) -> bool:
        """Tell whether ComfyUI may still hold other weights under a name: it caches what it loads by name alone."""
        contents, before = self._pinned.contents, self._shop.contents
        stale = any(before.get(use, content) != content for use, content in contents.items())
        before.update(contents)
        return stale or bool(self._pinned.links)

    def _execute(self) -> Ending:
        follower = self._follower = RunFollower(self._engine, self._lease, self._shop.stopping)
        free_first = self._may_have_stale_weights() or self._job.recompute
        for self._attempt in range(RECOMPUTE_TRIES):
            self._lease.tell("queued")
            record = follower.follow(self._attempt, free_first=free_first, known=self._known)
            if record.state is RunState.INTERRUPTED:
                return GivenBack(reason="somebody interrupted the run at this ComfyUI", kind="foreign-interrupt")
            if record.state is RunState.ERROR:
                return self._execution_failed(record)
            if self._job.recompute and (record.cached_nodes or not record.told_cached):
                continue
            self._lease.tell("collecting", progress=1.0)
            try:
                return self._collect(record)
            except EngineFileMissing as error:
                if not record.cached_nodes:
                    return self._failed("output-missing", error.detail)
                # A cached run names the file of an earlier one, which may be gone: this one must be made anew.
                free_first = True
        return self._failed(
            "cache-not-bypassed",
            f"nodes came from the cache in each of {RECOMPUTE_TRIES} runs, or ComfyUI does not tell whether any did",
        )

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
        outputs += self._seen.collect(folder, len(outputs))
        return self._finish(
            Outcome.OK,
            outputs=outputs,
            cached=list(record.cached_nodes),
            started=_moment(record.started_ms),
            ended=_moment(record.ended_ms),
        )

    def _fetch(self, file: OutputFile, index: int, target: Path) -> Output:
        fetched = self._engine.fetch(file, target)
        return Output(
            index=index,
            node=file.node,
            output=file.output,
            batch_index=file.batch_index,
            filename=file.filename,
            subfolder=file.subfolder,
            type=file.type,
            sha256=fetched.sha256,
            size=fetched.size,
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
            kind=OUT_OF_MEMORY if failure.out_of_memory else "execution-error",
            message=failure.message[:MESSAGE_LIMIT],
            node_id=failure.node_id,
            node_type=failure.node_type,
            details=details,
        )
        return self._finish(Outcome.ERROR, error=error, cached=list(record.cached_nodes))

    def _refused(self, error: PromptRefused) -> Ending:
        if error.lacks:
            return GivenBack(reason=f"this ComfyUI refuses the graph: {error.detail}: {error.hint}", kind="pin-missing")
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
                return GivenBack(reason="the worker was stopped", kind="worker-stopped")
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
        began, done = started or self._started, ended or _now()
        loading = self._follower.clock.loading_s if self._follower else None
        completion = CompleteRequest(
            job_id=self._job.job_id,
            fence=self._job.fence,
            token=self._job.token,
            outcome=outcome,
            prompt_id=UUID(self.prompt_id),
            started_at=began,
            ended_at=done,
            cached_nodes=cached or [],
            outputs=outputs or [],
            error=error,
            environment_sha256=self._shop.environment_sha256,
            loading_s=loading,
            executing_s=None if loading is None else max(0.0, (done - began).total_seconds() - loading),
            vram_peak_mb=self._follower.memory_peak_mb if self._follower else None,
            model_loaded=self._follower.clock.model_loaded if self._follower else None,
            models=[
                Pin(folder=folder, name=name, sha256=sha256) for (folder, name), sha256 in self._pinned.contents.items()
            ],
        )
        self._shop.state.close_result(completion)
        return Finished(completion=completion)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _moment(milliseconds: int | None) -> datetime.datetime | None:
    return None if milliseconds is None else datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
