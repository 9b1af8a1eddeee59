"""Asks the server for work, so that being asked to end does not wait for its answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from memoryd.dispatch.wire import Claimed, ClaimRequest
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.server_link import CallRefused, KeyRefused, ServerLink
from memoryd.worker.stopping import Stopping

ABANDON_S = 2.0
"""How long the end waits for a claim that is on its way, to give it back."""

REFUSED_PAUSE_S = 1.0
"""Until the next claim where the server could not answer one."""

_LOOK_S = 0.1
_log = log_for(__name__)

Answers: TypeAlias = "queue.SimpleQueue[Claimed | MemorydError | None]"
"""Where the answer to a request for work comes: the first counts."""


class Claims:
    """Asks for one job after the other. Used by one thread."""

    def __init__(self, link: ServerLink, stopping: Stopping, leave: Callable[[], None]) -> None:
        """`leave` tells the server that this start takes no more work."""
        self._link = link
        self._stopping = stopping
        self._leave = leave
        self._heard = True

    def next(self, request: ClaimRequest) -> Claimed | None:
        """Return a job, or None when none came in time or the server could not answer.

        Asked to end meanwhile, the server is told, and a job that came all the same is returned for giving back.
        Raises: KeyRefused, CallRefused.
        """
        answers: Answers = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._link.claim(request))
            except MemorydError as error:
                answers.put(error)

        threading.Thread(target=ask, name="claim", daemon=True).start()
        return self.take(answers)

    def take(self, answers: Answers) -> Claimed | None:
        """As next, for work that was asked for in another way."""
        answer = self._await(answers)
        if isinstance(answer, (KeyRefused, CallRefused)):
            raise answer
        if isinstance(answer, MemorydError):
            # Said once: an outage of hours must not fill the log.
            if self._heard:
                _log.warning("no work until further notice: %s", answer.detail)
            self._heard = False
            self._stopping.wait(REFUSED_PAUSE_S)
            return None
        self._heard = True
        return answer

    def _await(self, answers: Answers) -> Claimed | MemorydError | None:
        while not self._stopping.asked():
            try:
                return answers.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
        self._leave()
        try:
            return answers.get(timeout=ABANDON_S)
        except queue.Empty:
            return None
