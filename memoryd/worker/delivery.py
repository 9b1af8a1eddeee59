"""Brings results to the server, in a thread of its own: the GPU works on the next job meanwhile."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

from memoryd.dispatch.wire import ClaimRequest, CompleteRequest, NextRequest, Outcome
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.claiming import Answers
from memoryd.worker.patience import patiently
from memoryd.worker.server_link import CallRefused, LeaseLost, ServerLink
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping

BACKLOG_LIMIT = 2
"""Results under way before the next job waits: a server that takes none must not be asked for more."""

BRINGS_NEXT_LIMIT = 256 * 2**10
"""Bytes of a result whose report may ask for the next job: it is recorded about as fast as a claim is answered. With more to
send the GPU would wait for it, and the next job is claimed while the result is on its way."""

_LOOK_S = 0.1
_log = log_for(__name__)

Done: TypeAlias = "Callable[[], None]"


@dataclasses.dataclass(slots=True, kw_only=True)
class _Handed:
    """A result to be delivered. `asks`: with it the next job is asked for, and somebody waits for that at `answers`."""

    completion: CompleteRequest
    done: Done
    asks: ClaimRequest | None
    answers: Answers = dataclasses.field(default_factory=queue.SimpleQueue)


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
        self._waiting: queue.SimpleQueue[_Handed | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(BACKLOG_LIMIT)
        self._under_way = 0
        self._lock = threading.Lock()
        self._failure: MemorydError | None = None
        self._thread = threading.Thread(target=self._deliver_on, name="delivery", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def brings_next(self, completion: CompleteRequest) -> bool:
        """Tell whether a report may ask for the next job: it is no error, small, sent at once, and understood."""
        with self._lock:
            idle = self._under_way == 0
        small = sum(output.size for output in completion.outputs) <= BRINGS_NEXT_LIMIT
        return idle and small and completion.outcome is not Outcome.ERROR and self._link.brings_next

    def hand_over(self, completion: CompleteRequest, done: Done, asks: ClaimRequest | None = None) -> Answers:
        """Deliver a result that is on disk; `done` is called when nothing more is done about it in this start.

        `asks`: the next job is asked for in the same call. What is returned then holds it, or None, as soon as that is
        known: also where the server did not answer at first, since whoever waits can ask for itself meanwhile.
        Waits while BACKLOG_LIMIT others are under way. Raises: KeyRefused (of an earlier one).
        """
        while not self._room.acquire(timeout=_LOOK_S):
            self.raise_failure()
        with self._lock:
            self._under_way += 1
        handed = _Handed(completion=completion, done=done, asks=asks)
        self._waiting.put(handed)
        return handed.answers

    def settle(self) -> None:
        """Return when nothing is under way any more, or the worker is asked to end.

        Whoever asks for new work tells the server that its earlier starts have ended, and so do their leases: what is still
        on its way under one of those would be late. Raises: KeyRefused (of an earlier one).
        """
        while not self._stopping.asked():
            self.raise_failure()
            with self._lock:
                if self._under_way == 0:
                    return
            self._stopping.wait(_LOOK_S)

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
            try:
                self._deliver(handed)
            except MemorydError as error:
                # No key, no delivery: the agent hears of it before its next claim.
                self._failure = error
                return
            finally:
                handed.done()
                handed.answers.put(None)
                with self._lock:
                    self._under_way -= 1
                self._room.release()

    def _deliver(self, handed: _Handed) -> None:
        """Bring a result to the server. It stays on disk where the server does not answer before the end."""
        completion = handed.completion
        try:
            answer = patiently(self._stopping, lambda: self._send(handed))
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

    def _send(self, handed: _Handed) -> str:
        completion, asks = handed.completion, handed.asks
        # Asked once: whoever waits for the answer asks for itself where it did not come, and must not get two jobs.
        handed.asks = None
        if asks is not None and not self._stopping.asked():
            wanted = NextRequest(incarnation=asks.incarnation, loaded=asks.loaded)
            completion = completion.model_copy(update={"next": wanted})
        brought = None
        try:
            answer = self._link.deliver(completion, self._state.result_folder(completion.job_id, completion.fence))
            brought = answer.next
        finally:
            handed.answers.put(brought)
        return answer.answer
