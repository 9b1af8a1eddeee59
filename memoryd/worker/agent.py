"""The agent: joins, registers, claims, runs, delivers, and begins again; until it is asked to end."""

from __future__ import annotations

import dataclasses
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from memoryd.comfyui.answers import environment_document
from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.dispatch.wire import (
    Claimed,
    ClaimRequest,
    CompleteRequest,
    JoinRequest,
    RegisterAnswer,
    RegisterRequest,
    ReleaseRequest,
)
from memoryd.foundation.errors import MemorydError, NotRecognised
from memoryd.foundation.ids import new_id
from memoryd.foundation.logging import log_for
from memoryd.worker.job_run import Dropped, Finished, GivenBack, JobRun, Workshop
from memoryd.worker.leases import Heartbeat, Lease, Rhythm
from memoryd.worker.server_link import BytesDiffer, CallRefused, KeyRefused, LeaseLost, ServerDown, ServerLink
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping
from memoryd.worker.survey import Survey, look_around

CLAIM_WAIT_S = 20.0
QUIET_START_S = 15.0
"""How long after its start a worker that cannot reach its server does not call that a warning."""

"""How long the server may hold a request for work."""

PAUSE_FIRST_S = 0.5
PAUSE_LAST_S = 15.0
"""Between tries while a part does not answer: doubled from the first to the last."""

SURVEY_EVERY_S = 300.0
"""How often an idle worker looks again what its ComfyUI offers: people add models without a word."""

ABANDON_S = 2.0
"""How long the end waits for a claim that is on its way, to give it back."""

_log = log_for(__name__)
Answer = TypeVar("Answer")


class NotJoined(NotRecognised):
    """This worker has not joined the server."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a worker runs. `token` is needed once; `label` and `host` are what people see;
    `certificates` are trusted besides the public ones.
    """

    server: str
    comfyui: str
    state: Path
    token: str | None = None
    label: str | None = None
    host: str = dataclasses.field(default_factory=socket.gethostname)
    gpu_uuid: str | None = None
    certificates: Path | None = None
    claim_wait_s: float = CLAIM_WAIT_S

    @property
    def shown_label(self) -> str:
        """The label, by default the machine's name."""
        return self.label or self.host


class Agent:
    """One start of a worker."""

    def __init__(self, options: Options, stopping: Stopping) -> None:
        """Nothing is connected yet."""
        self._options = options
        self._stopping = stopping
        self._incarnation = new_id()
        self._began = time.monotonic()
        self._state = StateFolder(options.state, options.server)
        self._comfyui = ComfyClient(options.comfyui)
        self._link = ServerLink(options.server, certificates=options.certificates)
        self._survey: Survey | None = None
        self._surveyed_at = 0.0
        self._loaded: list[str] = []
        self._heartbeat: Heartbeat | None = None
        self._left = False

    def run(self) -> None:
        """Work until asked to end.

        Raises: NotJoined, KeyRefused, CallRefused (another protocol), WorkerRunsAlready.
        """
        with self._state.held():
            try:
                self._work()
            finally:
                if self._heartbeat is not None:
                    self._heartbeat.stop()
                self._comfyui.close()
                self._link.close()

    def _work(self) -> None:
        if self._join() is None or self._look_around() is None:
            return
        registered = self._register()
        if registered is None:
            return
        _log.info("worker %s serves %s", registered.worker_id, ", ".join(registered.pools) or "no pool")
        self._heartbeat = Heartbeat(self._link, self._incarnation, Rhythm(wish_s=registered.heartbeat_s))
        self._heartbeat.start()
        for completion, _ in self._state.results():
            self._deliver(completion)
        for claimed in self._state.claims():
            self._take_up(claimed)
        while not self._stopping.asked():
            self._work_once()
        self._leave()

    def _join(self) -> bool | None:
        key = self._state.read_key()
        if key is None:
            if self._options.token is None:
                raise NotJoined(
                    f"there is no key for {self._options.server} in {self._state.path}",
                    hint="`memoryd workers add` on the server prints a join command with a token",
                )
            request = JoinRequest(
                token=self._options.token,
                label=self._options.shown_label,
                host=self._options.host,
                gpu_uuid=self._options.gpu_uuid,
            )
            joined = self._patiently(lambda: self._link.join(request))
            if joined is None:
                return None
            key = joined.key
            self._state.keep_key(key)
        self._link.close()
        self._link = ServerLink(self._options.server, key, certificates=self._options.certificates)
        return True

    def _look_around(self) -> Survey | None:
        survey = self._patiently(lambda: look_around(self._comfyui, self._state))
        if survey is not None:
            self._survey, self._surveyed_at = survey, time.monotonic()
        return survey

    def _register(self) -> RegisterAnswer | None:
        survey = self._present_survey()
        request = RegisterRequest(
            incarnation=self._incarnation,
            label=self._options.shown_label,
            host=self._options.host,
            gpu_uuid=self._options.gpu_uuid,
            environment=dict(survey.environment),
            models=list(survey.models),
            nodes_sha256=survey.nodes_sha256.hex(),
            classes=list(survey.classes),
        )
        registered = self._patiently(lambda: self._link.register(request))
        if registered is not None and registered.nodes_wanted:
            self._tell_nodes(survey)
        return registered

    def _tell_nodes(self, survey: Survey) -> None:
        try:
            self._link.tell_nodes(survey.nodes_sha256.hex(), survey.nodes)
        except (CallRefused, ServerDown) as error:
            # Work goes on without: it is asked for again at the next start.
            _log.warning("the node specifications were not taken: %s", error.detail)

    def _present_survey(self) -> Survey:
        assert self._survey is not None
        return self._survey

    def _work_once(self) -> None:
        assert self._heartbeat is not None
        if self._heartbeat.drain.is_set():
            self._stopping.wait(1)
            return
        before = self._survey
        if time.monotonic() - self._surveyed_at > SURVEY_EVERY_S and self._look_around() is None:
            return
        # An idle ComfyUI may be away or restarted with other flags: no job is taken for it then.
        if not self._engine_is_the_same() and self._look_around() is None:
            return
        if self._survey != before and self._register() is None:
            return
        claimed = self._claim()
        if claimed is not None:
            self._take(claimed)

    def _engine_is_the_same(self) -> bool:
        try:
            environment = environment_document(self._comfyui.system_stats())
        except (EngineDown, EngineTrouble):
            return False
        return environment == self._present_survey().environment

    def _claim(self) -> Claimed | None:
        """Ask for a job in a thread, so that being asked to end does not wait for the server's answer."""
        answers: queue.SimpleQueue[Claimed | MemorydError | None] = queue.SimpleQueue()
        request = ClaimRequest(incarnation=self._incarnation, loaded=self._loaded, wait_s=self._options.claim_wait_s)

        def ask() -> None:
            try:
                answers.put(self._link.claim(request))
            except MemorydError as error:
                answers.put(error)

        threading.Thread(target=ask, name="claim", daemon=True).start()
        answer = self._await(answers)
        if isinstance(answer, (KeyRefused, CallRefused)):
            raise answer
        if isinstance(answer, MemorydError):
            _log.warning("no work: %s", answer.detail)
            self._stopping.wait(PAUSE_FIRST_S * 2)
            return None
        if answer is not None and self._stopping.asked():
            self._give_back(answer, GivenBack(reason="the worker was stopped", counts=False))
            return None
        return answer

    def _await(self, answers: queue.SimpleQueue[Claimed | MemorydError | None]) -> Claimed | MemorydError | None:
        while not self._stopping.asked():
            try:
                return answers.get(timeout=0.1)
            except queue.Empty:
                continue
        self._leave()
        try:
            return answers.get(timeout=ABANDON_S)
        except queue.Empty:
            return None

    def _take_up(self, claimed: Claimed) -> None:
        """Go on with a job of an earlier start, if it is still ours."""
        lease = Lease(claimed)
        assert self._heartbeat is not None
        self._heartbeat.hold(lease)
        # A lease that was lost meanwhile is known before anything is run; its run is then only interrupted.
        self._heartbeat.beat_once()
        self._run(lease)

    def _take(self, claimed: Claimed) -> None:
        self._state.keep_claim(claimed)
        lease = Lease(claimed)
        assert self._heartbeat is not None
        self._heartbeat.hold(lease)
        self._run(lease)

    def _run(self, lease: Lease) -> None:
        claimed = lease.claimed
        assert self._heartbeat is not None
        workshop = Workshop(
            comfyui=self._comfyui,
            link=self._link,
            state=self._state,
            stopping=self._stopping,
            environment_sha256=self._present_survey().environment_sha256.hex(),
        )
        _log.info("job %s, attempt %d", claimed.job_id, claimed.attempt)
        try:
            ending = JobRun(workshop, lease).run()
            match ending:
                case Finished(completion=completion):
                    self._loaded = [pin.name for pin in claimed.pins]
                    lease.tell("delivering", progress=1.0)
                    self._deliver(completion)
                case GivenBack():
                    self._give_back(claimed, ending)
                case Dropped():
                    _log.info("job %s is another's now: what there is of it is dropped", claimed.job_id)
            self._state.drop_claim(claimed.job_id, claimed.fence)
        finally:
            self._heartbeat.let_go(lease)

    def _deliver(self, completion: CompleteRequest) -> None:
        """Bring a result to the server. It stays on disk where the server does not answer before the end."""
        try:
            answer = self._patiently(lambda: self._send(completion))
        except LeaseLost:
            _log.warning("the result of job %s came too late and is dropped", completion.job_id)
        except CallRefused as error:
            _log.error("the result of job %s was refused and is dropped: %s", completion.job_id, error.detail)
        else:
            if answer is None:
                _log.warning("the result of job %s is kept until the next start", completion.job_id)
                return
            _log.info("job %s: %s, %s", completion.job_id, completion.outcome, answer)
        self._state.drop_result(completion.job_id, completion.fence)

    def _send(self, completion: CompleteRequest) -> str:
        folders = {(result.job_id, result.fence): folder for result, folder in self._state.results()}
        folder = folders[completion.job_id, completion.fence]
        for output in completion.outputs:
            self._link.upload_output(
                completion.job_id, completion.fence, completion.token, output, folder / str(output.index)
            )
        return self._link.complete(completion).answer

    def _give_back(self, claimed: Claimed, ending: GivenBack) -> None:
        _log.info("job %s is given back: %s", claimed.job_id, ending.reason)
        request = ReleaseRequest(
            job_id=claimed.job_id,
            fence=claimed.fence,
            token=claimed.token,
            reason=ending.reason,
            counts=ending.counts,
        )
        try:
            self._link.release(request)
        except MemorydError as error:
            # Its lease runs out by itself.
            _log.warning("job %s was not given back: %s", claimed.job_id, error.detail)

    def _leave(self) -> None:
        if self._left:
            return
        self._left = True
        try:
            self._link.leave(self._incarnation)
        except MemorydError as error:
            _log.warning("the server was not told of the end: %s", error.detail)

    def _patiently(self, call: Callable[[], Answer]) -> Answer | None:
        """Return the call's answer, however long server or ComfyUI are away; None when asked to end before it came."""
        pause = PAUSE_FIRST_S
        while True:
            try:
                return call()
            except (ServerDown, BytesDiffer, EngineDown, EngineTrouble) as error:
                # At a start of everything at once the server is simply not there yet.
                level = logging.INFO if time.monotonic() - self._began < QUIET_START_S else logging.WARNING
                _log.log(level, "%s %s; trying again in %.1f s", error.title, error.detail, pause)
            if self._stopping.wait(pause):
                return None
            pause = min(pause * 2, PAUSE_LAST_S)
