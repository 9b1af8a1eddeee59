"""A ComfyUI that others use too: their runs go first, their files come back, and only our own run is ever touched."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch.wire import Claimed
from memoryd.foundation.logging import log_for
from memoryd.worker.engine import LOOK_TIMEOUT_S, Engine, EngineTaken, Fetched
from memoryd.worker.event_line import EventLine
from memoryd.worker.input_files import PlacedFiles
from memoryd.worker.server_link import ServerLink
from memoryd.worker.stopping import Stopping

HOLD_LIMIT_S = 20.0
"""How long a job that is already claimed waits for somebody else's run, then it is given back: another worker may be free."""

DOWN_LIMIT_S = 300.0
"""How long it may be away during a run. A restart that loads many node packs takes minutes."""

LOOK_EVERY_S = 1.0
"""How often the queue is looked at while others use it; its changes are told at once besides."""

EVENTS_LIMIT_S = 2.0
"""How long one wait for the event stream gets before the worker goes on without: slower, but it works."""

ANSWER_PAUSE_FIRST_S = 0.5
ANSWER_PAUSE_LAST_S = 15.0
"""Between tries while ComfyUI does not answer: doubled from the first to the last."""

_log = log_for(__name__)


class SharedEngine(Engine):
    """A ComfyUI at an address. Used by one thread."""

    away_limit_s = DOWN_LIMIT_S

    def __init__(self, url: str, *, client_id: str, state: Path) -> None:
        """Nothing is connected yet. `state` is the worker's folder: what must be put back is kept there."""
        self.comfyui = ComfyClient(url)
        self.line = EventLine(self.comfyui, client_id)
        self._placed = PlacedFiles(state / "placed")
        self._said = False
        self.line.start()

    def come_up(self, stopping: Stopping) -> bool:
        """Wait until ComfyUI answers. Returns False when asked to end before it did."""
        pause = ANSWER_PAUSE_FIRST_S
        while not self.line.wait_until_open(pause):
            if stopping.asked():
                return False
            if pause > EVENTS_LIMIT_S and self._answers():
                return True
            pause = min(pause * 2, ANSWER_PAUSE_LAST_S)
        return True

    def _answers(self) -> bool:
        try:
            self.comfyui.queue(timeout_s=LOOK_TIMEOUT_S)
        except (EngineDown, EngineTrouble) as error:
            _log.warning("%s", error.detail)
            return False
        _log.warning("%s tells no events: a proxy may refuse WebSockets; runs are asked for instead", self.comfyui.url)
        return True

    def heard(self) -> None:
        """Nothing: its silence is not judged."""

    def check(self) -> None:
        """Nothing: whether this ComfyUI lives is its owner's care; its silence is waited for."""

    def wait_until_free(self, stopping: Stopping, limit_s: float) -> bool:
        """Wait until nobody else's run is in ComfyUI's queue. Returns whether it is so after `limit_s` at most.

        Raises: EngineDown, EngineTrouble.
        """
        until = time.monotonic() + limit_s
        # What was told last is enough to begin with: a look costs a call for each claim.
        if self.line.remaining == 0:
            return True
        while True:
            queue = self.comfyui.queue(timeout_s=LOOK_TIMEOUT_S)
            if not queue.running and not queue.pending:
                if self._said:
                    _log.info("ComfyUI is free again")
                self._said = False
                return True
            if not self._said:
                _log.info("waiting for %d runs of others at this ComfyUI", len(queue.running) + len(queue.pending))
            self._said = True
            left = until - time.monotonic()
            if left <= 0 or stopping.asked():
                return False
            self.line.wait_for_change(min(left, LOOK_EVERY_S))

    @contextlib.contextmanager
    def inputs(self, claimed: Claimed, link: ServerLink, *, fresh: bool) -> Iterator[None]:
        """A block in which ComfyUI has the job's inputs under their own names; what lay there is put back after it."""
        with self._placed.placed(self.comfyui, link, claimed):
            yield

    def fetch(self, file: OutputFile, target: Path) -> Fetched:
        """Bring a file of a run to `target`. Raises: EngineFileMissing, EngineDown, EngineTrouble."""
        digest, size = hashlib.sha256(), 0
        with self.comfyui.view(file) as chunks, target.open("wb") as written:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                written.write(chunk)
        return Fetched(sha256=digest.hexdigest(), size=size)

    def free(self, stopping: Stopping) -> None:
        """Drop ComfyUI's caches, but never under somebody else's run. Raises: EngineTaken, EngineDown, EngineTrouble."""
        until = time.monotonic() + HOLD_LIMIT_S
        while True:
            # Asked at the last moment, not taken from what was told before.
            queue = self.comfyui.queue(timeout_s=LOOK_TIMEOUT_S)
            if not queue.running and not queue.pending:
                self.comfyui.free()
                return
            left = until - time.monotonic()
            if left <= 0 or stopping.asked():
                raise EngineTaken("others use this ComfyUI, its caches cannot be dropped", hint="it is tried elsewhere")
            self.line.wait_for_change(min(left, LOOK_EVERY_S))

    def give_up_on_run(self, reason: str) -> None:
        """Leave it: the next job waits until ComfyUI's queue is empty."""
        _log.warning("%s: it is left to end by itself", reason)

    def recover(self, reason: str) -> None:
        """Drop the caches where nobody else would feel it; more is not ours to do."""
        _log.warning("%s: ComfyUI's caches are dropped unless others use it", reason)
        try:
            queue = self.comfyui.queue(timeout_s=LOOK_TIMEOUT_S)
            if not queue.running and not queue.pending:
                self.comfyui.free()
        except (EngineDown, EngineTrouble) as error:
            _log.warning("the caches were not dropped: %s", error.detail)

    def tidy(self, prompt_id: str) -> None:
        """Nothing: which files others still need, nobody can tell."""

    def restore(self, held: set[str]) -> None:
        """Put back what earlier jobs moved aside and could not put back; `held` are the jobs that still run."""
        self._placed.restore(self.comfyui, held)

    def close(self) -> None:
        """Hang up."""
        self.line.close()
        self.comfyui.close()
