"""Brings results to the server, in a thread of its own: the GPU works on the next job meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from memoryd.dispatch.wire import CompleteRequest
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.patience import patiently
from memoryd.worker.server_link import CallRefused, LeaseLost, ServerLink
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping

BACKLOG_LIMIT = 2
"""Results under way before the next job waits: a server that takes none must not be asked for more."""

_LOOK_S = 0.1
_log = log_for(__name__)

Done: TypeAlias = "Callable[[], None]"


class Delivery:
    """Delivers results in the order in which they are handed over. Thread-safe; finish it."""

    def __init__(
        self,
        link: ServerLink,
        state: StateFolder,
        stopping: Stopping,
        taken: Callable[[CompleteRequest], None] | None = None,
    ) -> None:
        """The thread starts with `start`. `taken` is called for each result that the server took."""
        self._taken = taken
        self._link = link
        self._state = state
        self._stopping = stopping
        self._waiting: queue.SimpleQueue[tuple[CompleteRequest, Done] | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(BACKLOG_LIMIT)
        self._failure: MemorydError | None = None
        self._thread = threading.Thread(target=self._deliver_on, name="delivery", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def hand_over(self, completion: CompleteRequest, done: Done) -> None:
        """Deliver a result that is on disk; `done` is called when nothing more is done about it in this start.

        Waits while BACKLOG_LIMIT others are under way. Raises: KeyRefused (of an earlier one).
        """
        while not self._room.acquire(timeout=_LOOK_S):
            self.raise_failure()
        self._waiting.put((completion, done))

    def raise_failure(self) -> None:
        """Raise what ended the delivering. Raises: KeyRefused."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Return when everything handed over was delivered, or is kept on disk for the next start."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _deliver_on(self) -> None:
        while (handed := self._waiting.get()) is not None:
            completion, done = handed
            try:
                self._deliver(completion)
            except MemorydError as error:
                # No key, no delivery: the agent hears of it before its next claim.
                self._failure = error
                return
            finally:
                done()
                self._room.release()

    def _deliver(self, completion: CompleteRequest) -> None:
        """Bring a result to the server. It stays on disk where the server does not answer before the end."""
        try:
            answer = patiently(self._stopping, lambda: self._send(completion))
        except LeaseLost:
            _log.warning("the result of job %s came too late and is dropped", completion.job_id)
        except CallRefused as error:
            _log.error("the result of job %s was refused and is dropped: %s", completion.job_id, error.detail)
        else:
            if answer is None:
                _log.warning("the result of job %s is kept until the next start", completion.job_id)
                return
            _log.info("job %s: %s, %s", completion.job_id, completion.outcome, answer)
            if self._taken is not None:
                self._taken(completion)
        self._state.drop_result(completion.job_id, completion.fence)

    def _send(self, completion: CompleteRequest) -> str:
        return self._link.deliver(completion, self._state.result_folder(completion.job_id, completion.fence)).answer
