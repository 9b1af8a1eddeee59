"""The engine behind the endpoints: queue, one executing thread, history, cache, sockets."""

from __future__ import annotations

import heapq
import re
import threading
import time
from typing import Any
from uuid import uuid4

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.execution import Conditions, Execution
from memoryd.stand_in.execution_cache import ExecutionCache
from memoryd.stand_in.facts import Ended, QueuedRun
from memoryd.stand_in.sockets import Switchboard
from memoryd.stand_in.validation import judge_graph

HISTORY_LIMIT = 10_000
"""Runs that are remembered. Source: ComfyUI 0.29."""

_PROMPT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


class Refused(Exception):
    """A graph that is not taken: the body of the 400."""

    def __init__(self, error: dict[str, Json], node_errors: dict[str, Json]) -> None:
        """As ComfyUI spells both."""
        super().__init__(error["type"])
        self.body: dict[str, Json] = {"error": error, "node_errors": node_errors}


class Engine:
    """A queue and the thread that works it off. Thread-safe; `stop` it at the end."""

    def __init__(self, conditions: Conditions) -> None:
        """The thread starts with `start`."""
        self.conditions = conditions
        self.sockets = Switchboard()
        self._changed = threading.Condition()
        self._pending: list[tuple[float, int, QueuedRun]] = []
        self._running: QueuedRun | None = None
        self._execution: Execution | None = None
        self._interrupt = threading.Event()
        self._history: dict[str, Ended] = {}
        self._cache = ExecutionCache()
        self._free_asked = False
        self._stopping = False
        self._counter = 0
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Start executing."""
        self._thread.start()

    def stop(self) -> None:
        """Interrupt what runs, and return when the thread has ended."""
        with self._changed:
            self._stopping = True
            self._interrupt.set()
            self._changed.notify_all()
        self._thread.join(timeout=10)

    def submit(self, request: dict[str, Any]) -> dict[str, Json]:
        """Take a graph into the queue and return the answer to POST /prompt.

        Raises: Refused; NoGraph and TypeError where the request is malformed (ComfyUI answers 500).
        """
        with self._changed:
            number = float(request["number"]) if "number" in request else float(self._counter)
            shown: float = request.get("number", self._counter)
            if "number" not in request and request.get("front"):
                number, shown = -number, -shown
            self._counter += 1
        if "prompt" not in request:
            raise Refused(_error("no_prompt", "No prompt provided", "No prompt provided"), {})
        prompt_id = request.get("prompt_id", str(uuid4()))
        if not isinstance(prompt_id, str) or not _PROMPT_ID.fullmatch(prompt_id):
            details = "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
            details += "omit it to let the server generate one"
            raise Refused(_error("invalid_prompt_id", "prompt_id must be a valid UUID", details), {})
        judged = judge_graph(request["prompt"], self.conditions.folders, request.get("partial_execution_targets"))
        if judged.error is not None:
            raise Refused(judged.error, judged.node_errors)
        extra = {name: value for name, value in dict(request.get("extra_data") or {}).items() if name not in _SECRETS}
        if "client_id" in request:
            extra["client_id"] = request["client_id"]
        extra["create_time"] = time.time_ns() // 1_000_000
        run = QueuedRun(
            number=shown, prompt_id=prompt_id, prompt=request["prompt"], extra_data=extra, outputs=judged.outputs
        )
        with self._changed:
            heapq.heappush(self._pending, (number, self._counter, run))
            self._tell_status()
            self._changed.notify_all()
        return {"prompt_id": prompt_id, "number": shown, "node_errors": judged.node_errors}

    def queued(self) -> tuple[QueuedRun | None, list[QueuedRun]]:
        """Return the run under way and those that wait, in the heap's order."""
        with self._changed:
            return self._running, [run for _, _, run in self._pending]

    def remaining(self) -> int:
        """Return how many runs wait or run."""
        with self._changed:
            return len(self._pending) + (self._running is not None)

    def delete(self, prompt_ids: set[str] | None) -> bool:
        """Take waiting runs out of the queue (None: all); they leave no trace. Returns whether there was one."""
        with self._changed:
            kept = [entry for entry in self._pending if prompt_ids is not None and entry[2].prompt_id not in prompt_ids]
            found = len(kept) < len(self._pending)
            self._pending[:] = kept
            heapq.heapify(self._pending)
            if found:
                self._tell_status()
            return found

    def interrupt(self, prompt_id: str | None) -> bool:
        """Stop the run under way where it is this one (None: whichever). Returns whether there was one."""
        with self._changed:
            running = self._running
            if running is None or prompt_id not in (None, running.prompt_id):
                return False
            self._interrupt.set()
            return True

    def free(self) -> None:
        """Ask the executing thread to drop its cache before the next run."""
        with self._changed:
            self._free_asked = True
            self._changed.notify_all()

    def history(self) -> dict[str, Ended]:
        """Return the ended runs, oldest first."""
        with self._changed:
            return dict(self._history)

    def forget(self, prompt_ids: list[str] | None) -> None:
        """Take ended runs out of the history (None: all)."""
        with self._changed:
            for prompt_id in list(self._history) if prompt_ids is None else prompt_ids:
                self._history.pop(prompt_id, None)

    def present_node(self, client_id: str) -> str | None:
        """Return the node that is executed for this client, for a socket that comes back in the middle."""
        with self._changed:
            mine = self._running is not None and self._running.client_id == client_id
            return self._execution.present if mine and self._execution is not None else None

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._pending or self._free_asked or self._stopping):
                    self._changed.wait()
                if self._stopping:
                    return
                if self._free_asked:
                    self._free_asked = False
                    self._cache.clear()
                    continue
                _, _, run = heapq.heappop(self._pending)
                self._interrupt.clear()
                self._running = run
                self._execution = Execution(
                    run, self.conditions, self._cache, self.sockets.tell, self._interrupt.is_set
                )
                self._tell_status()
            ended = self._execution.execute()
            with self._changed:
                self._history.pop(run.prompt_id, None)
                self._history[run.prompt_id] = ended
                if len(self._history) > HISTORY_LIMIT:
                    del self._history[next(iter(self._history))]
                self._running = self._execution = None
                self._tell_status()
            if run.client_id is not None:
                self.sockets.tell("executing", {"node": None, "prompt_id": run.prompt_id}, run.client_id)

    def _tell_status(self) -> None:
        left = len(self._pending) + (self._running is not None)
        self.sockets.tell("status", {"status": {"exec_info": {"queue_remaining": left}}})


def _error(kind: str, message: str, details: str) -> dict[str, Json]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}
