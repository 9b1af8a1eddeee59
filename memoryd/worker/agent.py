"""The agent: joins, registers, claims, runs, delivers, and begins again; until it is asked to end."""

from __future__ import annotations

import dataclasses
import math
import socket
import time
from pathlib import Path
from uuid import uuid5

from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.dispatch.wire import Claimed, ClaimRequest, CompleteRequest, JoinRequest, RegisterAnswer, ReleaseRequest
from memoryd.foundation.errors import MemorydError, NotRecognised
from memoryd.foundation.ids import new_id
from memoryd.foundation.logging import log_for
from memoryd.worker.claiming import Answers, Claims
from memoryd.worker.delivery import Delivery
from memoryd.worker.engine import Engine
from memoryd.worker.engine_process import Launch
from memoryd.worker.gpu_memory import GpuMemory
from memoryd.worker.job_run import OUT_OF_MEMORY, Dropped, Finished, GivenBack, JobRun, Workshop
from memoryd.worker.leases import Heartbeat, Lease, Rhythm
from memoryd.worker.model_fetching import NO_LIMITS, FetchLimits
from memoryd.worker.model_hashing import ModelHashing
from memoryd.worker.model_links import ModelLinks
from memoryd.worker.own_engine import OwnEngine
from memoryd.worker.pack_sources import PackSources
from memoryd.worker.patience import patiently
from memoryd.worker.pins import DRIFTED, MISSING
from memoryd.worker.run_follower import PROMPT_NAMESPACE
from memoryd.worker.server_link import CallRefused, ServerDown, ServerLink
from memoryd.worker.shared_engine import HOLD_LIMIT_S, SharedEngine
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping
from memoryd.worker.survey import Survey, look_around, registration
from memoryd.worker.warm_up import Warmth

CLAIM_WAIT_S = 20.0
"""How long the server may hold a request for work."""

SURVEY_EVERY_S = 300.0
"""How often an idle worker looks again what its ComfyUI offers: people add models without a word."""

SURVEY_PAUSE_S = 1.0
"""After a look that ComfyUI did not answer."""

OTHERS_LOOK_S = 1.0
"""How long one wait for others' runs takes before the worker looks whether anything else changed."""

_log = log_for(__name__)


class NotJoined(NotRecognised):
    """This worker has not joined the server."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a worker runs. `token` is needed once; `label` and `host` are what people see.

    `launch`: how the worker starts a ComfyUI of its own; without it, the one at `comfyui` is used.
    `certificates` are trusted besides the public ones. `keep_node_packs`: the sources of node packs may be sent.
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
    hold_limit_s: float = HOLD_LIMIT_S
    launch: Launch | None = None
    keep_node_packs: bool = False
    fetch_limits: FetchLimits = NO_LIMITS

    @property
    def shown_label(self) -> str:
        """The label, by default the machine's name."""
        return self.label or self.host


class Agent:
    """One start of a worker."""

    _engine: Engine
    _delivery: Delivery
    _claims: Claims
    _sources: PackSources | None
    _warmth: Warmth

    def __init__(self, options: Options, stopping: Stopping) -> None:
        """Nothing is connected yet."""
        self._options = options
        self._stopping = stopping
        self._incarnation = new_id()
        self._state = StateFolder(options.state, options.server)
        self._link = ServerLink(options.server, certificates=options.certificates)
        self._survey: Survey | None = None
        self._surveyed_at = 0.0
        self._surveyed_generation = -1
        self._registered: RegisterAnswer | None = None
        self._loaded: list[str] = []
        self._contents: dict[tuple[str, str], str] = {}
        self._heartbeat: Heartbeat | None = None
        self._memory: GpuMemory | None = None
        self._hashing: ModelHashing | None = None
        self._brought: Answers | None = None
        self._left = False

    def run(self) -> None:
        """Work until asked to end.

        Raises: NotJoined, KeyRefused, CallRefused (another protocol), WorkerRunsAlready.
        """
        with self._state.held():
            try:
                if self._join():
                    self._work_with_engine()
            finally:
                self._link.close()

    def _work_with_engine(self) -> None:
        self._engine = self._open_engine()
        self._warmth = Warmth(self._engine, self._stopping)
        self._sources = PackSources(self._link) if self._options.keep_node_packs else None
        self._delivery = Delivery(self._link, self._state, self._stopping, self._offer_sources)
        self._claims = Claims(self._link, self._stopping, self._leave)
        self._delivery.start()
        if self._sources is not None:
            self._sources.start()
        try:
            self._work()
        finally:
            self._delivery.finish()
            if self._sources is not None:
                self._sources.finish()
            if self._heartbeat is not None:
                self._heartbeat.stop()
            if self._memory is not None:
                self._memory.stop()
            if self._hashing is not None:
                self._hashing.stop()
            self._engine.close()

    def _open_engine(self) -> Engine:
        options = self._options
        # The same at each start: ComfyUI then tells a run of an earlier start to this one.
        client_id = str(uuid5(PROMPT_NAMESPACE, f"{options.host}|{options.state.absolute()}|{options.server}"))
        if options.launch is not None:
            return OwnEngine(options.launch, client_id=client_id, state=options.state)
        return SharedEngine(options.comfyui, client_id=client_id, state=options.state)

    def _work(self) -> None:
        for completion, _ in self._state.results():
            self._delivery.hand_over(completion, lambda: None)
        while not self._is_ready():
            if self._stopping.asked():
                return
        assert self._registered is not None
        _log.info("worker %s serves %s", self._registered.worker_id, ", ".join(self._registered.pools) or "no pool")
        self._memory = GpuMemory(self._present_survey().gpu.uuid)
        self._memory.start()
        rhythm = Rhythm(wish_s=self._registered.heartbeat_s)
        self._heartbeat = Heartbeat(self._link, self._incarnation, rhythm, self._memory.used_mb)
        self._heartbeat.start()
        self._hashing = ModelHashing(self._link, self._state.hashes, self._incarnation)
        self._hashing.start()
        self._hashing.hash_these(self._present_survey().local)
        for claimed in self._state.claims():
            self._take_up(claimed)
        self._delivery.settle()
        while not self._stopping.asked() or self._brought is not None:
            self._work_once()
            self._delivery.raise_failure()
        self._leave()

    def _join(self) -> bool:
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
            joined = patiently(self._stopping, lambda: self._link.join(request))
            if joined is None:
                return False
            key = joined.key
            self._state.keep_key(key)
        self._link.close()
        self._link = ServerLink(self._options.server, key, certificates=self._options.certificates)
        return True

    def _is_ready(self) -> bool:
        """Wait until ComfyUI answers and the server knows what it offers. Returns False where it must be tried again."""
        if not self._engine.come_up(self._stopping):
            return False
        generation = self._engine.generation
        if not self._must_look():
            return True
        again = generation != self._surveyed_generation
        before = self._survey
        if self._look_around() is None or (self._survey != before and self._register() is None):
            return False
        self._surveyed_generation = generation
        if again:
            self._loaded = []
            self._contents = {}
            held = {f"{claimed.job_id}-{claimed.fence}" for claimed in self._state.claims()}
            ModelLinks(self._state.links).restore(held)
            self._engine.restore(held)
        return True

    def _look_around(self) -> Survey | None:
        gpu_uuid = self._options.gpu_uuid
        try:
            survey = look_around(self._engine.comfyui, self._state, gpu_uuid=gpu_uuid)
        except (EngineDown, EngineTrouble) as error:
            # Tried again from the beginning: it may be gone, and have to be launched.
            _log.warning("%s %s", error.title, error.detail)
            self._stopping.wait(SURVEY_PAUSE_S)
            return None
        self._survey, self._surveyed_at = survey, time.monotonic()
        devices = survey.environment.get("devices")
        listed = [device for device in devices if isinstance(device, dict)] if isinstance(devices, list) else []
        self._engine.has_cuda = any(device.get("type") == "cuda" for device in listed)
        return survey

    def _register(self) -> RegisterAnswer | None:
        survey = self._present_survey()
        options = self._options
        request = registration(
            survey,
            incarnation=self._incarnation,
            label=options.shown_label,
            host=options.host,
            gpu_uuid=options.gpu_uuid,
        )
        registered = patiently(self._stopping, lambda: self._link.register(request))
        if registered is not None:
            if self._registered is not None and registered.warm_up != self._registered.warm_up:
                self._warmth.forget()
            self._registered = registered
            if self._hashing is not None:
                self._hashing.hash_these(survey.local)
            if registered.nodes_wanted:
                self._tell_nodes(survey)
        return registered

    def _offer_sources(self, completion: CompleteRequest) -> None:
        if self._sources is not None and self._survey is not None:
            self._sources.offer(completion, self._survey)

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
        brought, self._brought = self._brought, None
        claimed = (self._claims.take(brought) if brought is not None else None) or self._ask_for_work()
        if claimed is None:
            return
        if self._stopping.asked():
            self._give_back(claimed, GivenBack(reason="the worker was stopped", kind="worker-stopped"))
            return
        self._state.keep_claim(claimed)
        lease = Lease(claimed)
        self._heartbeat.hold(lease)
        self._run(lease, known=False)

    def _ask_for_work(self) -> Claimed | None:
        assert self._heartbeat is not None
        if self._stopping.asked():
            return None
        if self._heartbeat.drain.is_set():
            self._stopping.wait(1)
            return None
        if not (self._is_ready() and self._is_free(OTHERS_LOOK_S) and self._warmth.make(self._warm_up_graph())):
            return None
        return self._claims.next(self._request())

    def _request(self) -> ClaimRequest:
        return ClaimRequest(incarnation=self._incarnation, loaded=self._loaded, wait_s=self._options.claim_wait_s)

    def _asks(self, completion: CompleteRequest) -> ClaimRequest | None:
        """Return the request for the next job that goes with a report, where nothing stands between this worker and that."""
        assert self._heartbeat is not None
        willing = not (self._stopping.asked() or self._heartbeat.drain.is_set() or self._must_look())
        if not (willing and self._delivery.brings_next(completion) and self._warmth.is_there(self._warm_up_graph())):
            return None
        return self._request() if self._is_free(0.0) else None

    def _must_look(self) -> bool:
        again = self._engine.generation != self._surveyed_generation
        return again or time.monotonic() - self._surveyed_at >= SURVEY_EVERY_S

    def _warm_up_graph(self) -> str | None:
        return self._registered.warm_up if self._registered is not None else None

    def _is_free(self, limit_s: float) -> bool:
        try:
            return self._engine.wait_until_free(self._stopping, limit_s)
        except MemorydError as error:
            _log.warning("%s", error.detail)
            self._stopping.wait(limit_s)
            return False

    def _take_up(self, claimed: Claimed) -> None:
        """Go on with a job of an earlier start, if it is still ours."""
        lease = Lease(claimed)
        assert self._heartbeat is not None
        self._heartbeat.hold(lease)
        # A lease that was lost meanwhile is known before anything is run; its run is then only interrupted.
        self._heartbeat.beat_once()
        self._run(lease, known=True)

    def _run(self, lease: Lease, *, known: bool) -> None:
        claimed, heartbeat = lease.claimed, self._heartbeat
        assert heartbeat is not None
        workshop = Workshop(
            engine=self._engine,
            link=self._link,
            state=self._state,
            stopping=self._stopping,
            environment_sha256=self._present_survey().environment_sha256.hex(),
            contents=self._contents,
            fetch_limits=self._options.fetch_limits,
        )
        _log.info("job %s, attempt %d", claimed.job_id, claimed.attempt)
        run = JobRun(workshop, lease, hold_limit_s=self._options.hold_limit_s, known=known)
        handed_over = False
        try:
            ending = run.run()
            match ending:
                case Finished(completion=completion):
                    self._loaded = [pin.name for pin in claimed.pins]
                    lease.tell("delivering", progress=1.0)
                    asks = None if known else self._asks(completion)
                    answers = self._delivery.hand_over(completion, lambda: heartbeat.let_go(lease), asks)
                    self._brought = None if asks is None else answers
                    handed_over = True
                    if completion.error is not None and completion.error.kind == OUT_OF_MEMORY:
                        self._engine.recover("out of memory")
                case GivenBack():
                    self._give_back(claimed, ending)
                    if ending.kind in (DRIFTED, MISSING):
                        # What the server believes of the models here is no longer so.
                        self._surveyed_at = -math.inf
                case Dropped():
                    _log.info("job %s is another's now: what there is of it is dropped", claimed.job_id)
            self._state.drop_claim(claimed.job_id, claimed.fence)
        finally:
            if not handed_over:
                heartbeat.let_go(lease)
            self._engine.tidy(run.prompt_id)

    def _give_back(self, claimed: Claimed, ending: GivenBack) -> None:
        _log.info("job %s is given back: %s", claimed.job_id, ending.reason)
        request = ReleaseRequest(
            job_id=claimed.job_id,
            fence=claimed.fence,
            token=claimed.token,
            reason=ending.reason,
            counts=ending.counts,
            kind=ending.kind,
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
