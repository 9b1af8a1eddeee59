"""A ComfyUI that the worker launched for itself: kept running, begun afresh when in doubt, and emptied after each job."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch.wire import Claimed
from memoryd.foundation.logging import log_for
from memoryd.worker import engine_process
from memoryd.worker.engine import Engine, EngineEnded, EngineHangs, Fetched
from memoryd.worker.engine_folders import EngineFolders
from memoryd.worker.engine_log import EngineLog
from memoryd.worker.engine_process import EngineProcess, Launch, NoComfyUI, ProcessEnd
from memoryd.worker.event_line import EventLine
from memoryd.worker.server_link import ServerLink
from memoryd.worker.silence import Silence
from memoryd.worker.stopping import Stopping

START_LIMIT_S = 900.0
"""How long ComfyUI may take from its launch to its first answer: a hundred node packs that install something take minutes."""

RESTART_FIRST_S = 1.0
RESTART_LAST_S = 120.0
"""Between launches: doubled from the first to the last while it ends again and again."""

STEADY_S = 300.0
"""A ComfyUI that lived this long is launched again at once."""

DOUBT_STOP_S = 2.0
"""How long a ComfyUI in doubt is given to end by itself."""

CLOSE_STOP_S = 3.0
"""The same at the worker's own end, whose supervisor waits."""

_LOOK_S = 0.25
_CHUNK = 2**20
_log = log_for(__name__)


class OwnEngine(Engine):
    """One ComfyUI process after the other. Used by one thread."""

    away_limit_s = math.inf

    def __init__(self, plan: Launch, *, client_id: str, state: Path) -> None:
        """Nothing is launched yet; its folders and log lie in `state`/engine."""
        self._plan = plan
        self._client_id = client_id
        self.folders = EngineFolders(state / "engine")
        self.folders.make()
        self.log = EngineLog(state / "engine" / "comfyui.log")
        self._process: EngineProcess | None = None
        self._launched_at = 0.0
        self._pause = 0.0
        self._silence = Silence(time.monotonic())
        found = engine_process.find(plan, self.folders)
        self._reach(found.port if found is not None else _free_port())
        if found is not None:
            _log.info("ComfyUI of an earlier start is still there (process %d)", found.pid)
            self._process, self._launched_at = found, time.monotonic()

    def come_up(self, stopping: Stopping) -> bool:
        """Wait until ComfyUI answers, launching it where it does not run. Returns False when asked to end before."""
        self.log.rotate()
        while not stopping.asked():
            process = self._process
            if process is None:
                if not self._launch(stopping):
                    return False
                continue
            end = process.end()
            if end is not None:
                self._ended(end)
            elif self.line.wait_until_open(_LOOK_S):
                self.heard()
                return True
            elif time.monotonic() - self._launched_at > START_LIMIT_S:
                self.recover(f"ComfyUI did not answer within {START_LIMIT_S:.0f} s of its launch")
        return False

    def _launch(self, stopping: Stopping) -> bool:
        if self._pause:
            _log.info("ComfyUI is launched again in %.0f s", self._pause)
        if stopping.wait(self._pause):
            return False
        self._pause = min(max(self._pause * 2, RESTART_FIRST_S), RESTART_LAST_S)
        self.folders.reset()
        if not _is_free(self._port):
            self.line.close()
            self.comfyui.close()
            self._reach(_free_port())
        try:
            self._process = engine_process.launch(self._plan, self.folders, self.log, self._port)
        except NoComfyUI as error:
            _log.error("%s", error.detail)
            return True
        self._launched_at = time.monotonic()
        self.heard()
        _log.info("ComfyUI is launched from %s (process %d)", self._plan.directory, self._process.pid)
        return True

    def _reach(self, port: int) -> None:
        self._port = port
        self.comfyui = ComfyClient(f"http://127.0.0.1:{port}")
        self.line = EventLine(self.comfyui, self._client_id)
        self.line.start()

    def _ended(self, end: ProcessEnd) -> None:
        self._process = None
        if time.monotonic() - self._launched_at > STEADY_S:
            self._pause = 0.0
        _log.warning("ComfyUI is gone: %s; its last words:\n%s", end, "\n".join(self.log.last_lines()))

    def heard(self) -> None:
        """ComfyUI answered, or told something."""
        self._silence.heard(time.monotonic())

    def check(self) -> None:
        """Look whether ComfyUI still lives. Raises: EngineEnded, EngineHangs (after ending it)."""
        process = self._process
        if process is None:
            raise EngineEnded("ComfyUI is not running", out_of_memory=False)
        end = process.end()
        if end is not None:
            self._ended(end)
            raise EngineEnded(f"ComfyUI is gone: {end}", out_of_memory=end.out_of_memory)
        now = time.monotonic()
        if self._silence.silent_s(now) < _LOOK_S:
            return
        reason = self._silence.hangs(now, process.activity())
        if reason is not None:
            self.recover(reason)
            raise EngineHangs(reason, hint="the worker starts it again; its log is in the worker's state folder")

    def wait_until_free(self, stopping: Stopping, limit_s: float) -> bool:
        """Tell that nobody else uses it."""
        return True

    @contextlib.contextmanager
    def inputs(self, claimed: Claimed, link: ServerLink, *, fresh: bool) -> Iterator[None]:
        """A block in which the folders hold the job's inputs and, of a fresh job, nothing else.

        Raises: BytesDiffer, LeaseLost, CallRefused, ServerDown, NameLeavesFolder.
        """
        if fresh:
            self.folders.empty()
        for file in claimed.inputs:
            place = self.folders.place_of(file)
            if fresh or not place.is_file() or _hash(place).sha256 != file.sha256:
                link.fetch_input(claimed, file, place)
        yield

    def fetch(self, file: OutputFile, target: Path) -> Fetched:
        """Bring a file of a run to `target`. Raises: EngineFileMissing, NameLeavesFolder."""
        path = self.folders.find(file)
        try:
            # The same bytes under a second name: nothing is copied, and the folder can be emptied at once.
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
        return _hash(target)

    def free(self, stopping: Stopping) -> None:
        """Drop ComfyUI's caches. Raises: EngineDown, EngineTrouble."""
        self.comfyui.free()

    def recover(self, reason: str) -> None:
        """End this ComfyUI: the next one begins with empty memory."""
        process = self._process
        if process is None:
            return
        _log.warning("ComfyUI is ended: %s", reason)
        process.stop(DOUBT_STOP_S)
        self._process = None
        if time.monotonic() - self._launched_at > STEADY_S:
            self._pause = 0.0

    def give_up_on_run(self, reason: str) -> None:
        """End this ComfyUI."""
        self.recover(reason)

    def tidy(self, prompt_id: str) -> None:
        """Remove a run's inputs, outputs and previews, and its entry in ComfyUI's history."""
        self.folders.empty()
        if self._process is not None:
            with contextlib.suppress(EngineDown, EngineTrouble):
                self.comfyui.forget(prompt_id)

    def restore(self, held: set[str]) -> None:
        """Nothing: nobody else's files lie here."""

    def close(self) -> None:
        """End ComfyUI with the worker."""
        self.line.close()
        self.comfyui.close()
        if self._process is not None:
            self._process.stop(CLOSE_STOP_S)
            self._process = None


def _hash(path: Path) -> Fetched:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Fetched(sha256=digest.hexdigest(), size=size)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as taken:
        # As ComfyUI's own server does it: connections that are only being forgotten do not count.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
