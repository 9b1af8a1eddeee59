"""One run on ComfyUI, from submission to its history entry: found again after a restart of either side."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from memoryd.comfyui.client import ComfyClient, Events
from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.comfyui.facts import RunRecord
from memoryd.comfyui.frames import BadFrame, Frame, Message
from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.leases import Lease
from memoryd.worker.stopping import Stopping

PROMPT_NAMESPACE = UUID("6a1d9d0e-5c0f-5c0e-9a55-6d656d6f7279")
"""Prompt ids are made from it, job and fence: a restarted worker finds its run, and no other worker has the same."""

POLL_S = 2.0
"""How often queue and history are asked while events come, or do not."""

LOOK_S = 0.2
"""How often a wait looks whether it must end."""

SUBMIT_LIMIT = 2
"""How often a run is submitted: once more after ComfyUI lost it, then it is given back; it may be what kills ComfyUI."""

DOWN_LIMIT_S = 300.0
"""How long a ComfyUI may be away during a run. A restart that loads many node packs takes minutes."""

_log = log_for(__name__)


class StopReason(StrEnum):
    """Why a run ends before its end."""

    CANCELLED = "cancelled"  # somebody cancelled the job
    LOST = "lost"  # the lease is another's
    DEADLINE = "deadline"  # it took longer than the job may
    DRAINED = "drained"  # the worker must end now


class Stopped(Exception):
    """The run must end."""

    def __init__(self, reason: StopReason) -> None:
        """`reason` decides what the server is told."""
        super().__init__(reason.value)
        self.reason = reason


class RunVanished(EngineTrouble):
    """ComfyUI lost the run, again."""


def prompt_id_of(job_id: UUID, fence: int, attempt: int) -> str:
    """Return the id under which ComfyUI runs a job's graph, canonical lower case."""
    return str(uuid5(PROMPT_NAMESPACE, f"{job_id}:{fence}:{attempt}"))


def submittable(prompt: str) -> str:
    """Return the graph's text without `is_changed`, otherwise verbatim.

    ComfyUI trusts a submitted `is_changed` instead of reading the file, and would answer with old pixels.
    """
    if "is_changed" not in prompt:
        return prompt
    graph: Any = read_json(prompt)
    for node in graph.values() if isinstance(graph, dict) else ():
        if isinstance(node, dict):
            node.pop("is_changed", None)
    return json.dumps(graph)


class RunFollower:
    """Follows one job's runs. Used by one thread."""

    def __init__(self, comfyui: ComfyClient, lease: Lease, stopping: Stopping) -> None:
        """The deadline counts from here."""
        self._comfyui = comfyui
        self._lease = lease
        self._stopping = stopping
        self._deadline = time.monotonic() + lease.claimed.deadline_s
        self._nodes = 1

    def follow(self, attempt: int, *, free_first: bool) -> RunRecord:
        """Run the job's graph to its end, or take up the run that is there, and return its record.

        `free_first`: drop ComfyUI's caches before submitting. Raises: Stopped (after the run was interrupted),
        PromptRefused, RunVanished, EngineDown after DOWN_LIMIT_S, EngineTrouble.
        """
        claimed = self._lease.claimed
        prompt_id = prompt_id_of(claimed.job_id, claimed.fence, attempt)
        prompt = submittable(claimed.prompt)
        graph = read_json(prompt)
        self._nodes = max(1, len(graph)) if isinstance(graph, dict) else 1
        submitted, down_since = 0, None
        events: Events | None = None
        try:
            while True:
                self._check(prompt_id)
                try:
                    record = self._find(prompt_id)
                    if record is not None:
                        return record
                    events = events or self._comfyui.events(prompt_id)
                    if not self._is_queued(prompt_id):
                        # It may have ended between the two looks; only what is in neither place is gone.
                        if (record := self._comfyui.history(prompt_id)) is not None:
                            return record
                        if submitted == SUBMIT_LIMIT:
                            raise RunVanished("ComfyUI lost the run twice", hint="see ComfyUI's own log")
                        if free_first:
                            self._comfyui.free()
                        self._comfyui.submit(
                            prompt, extra_data=claimed.extra_data, prompt_id=prompt_id, client_id=prompt_id
                        )
                        submitted += 1
                    down_since = None
                    self._listen(events, prompt_id)
                except EngineDown as error:
                    _close(events)
                    events = None
                    if down_since is None:
                        down_since = time.monotonic()
                        _log.warning("waiting for ComfyUI: %s", error.detail)
                    if time.monotonic() - down_since > DOWN_LIMIT_S:
                        raise
                    self._lease.tell("waiting for ComfyUI")
                    self._wait(prompt_id, POLL_S / 2)
        finally:
            _close(events)

    def _find(self, prompt_id: str) -> RunRecord | None:
        return None if self._is_queued(prompt_id) else self._comfyui.history(prompt_id)

    def _is_queued(self, prompt_id: str) -> bool:
        queue = self._comfyui.queue()
        return prompt_id in queue.running or prompt_id in queue.pending

    def _listen(self, events: Events, prompt_id: str) -> None:
        """Follow the events until the run's end is told, or for POLL_S."""
        until = time.monotonic() + POLL_S
        while time.monotonic() < until:
            self._check(prompt_id)
            try:
                frame = events.next(timeout_s=LOOK_S)
            except BadFrame:
                continue
            if frame is not None and self._note(frame, prompt_id):
                return

    def _note(self, frame: Frame, prompt_id: str) -> bool:
        if not isinstance(frame, Message) or frame.prompt_id != prompt_id:
            return False
        if frame.type == "executing":
            if frame.node is None:
                return True
            self._lease.tell("running", node=frame.node)
        elif frame.type == "progress_state":
            self._lease.tell("running", node=self._lease.node, progress=self._share(frame.body.get("nodes")))
        return False

    def _share(self, nodes: Json) -> float:
        """The share that is done: finished nodes, and of a running one what it says; a node counts its steps."""
        told = [node for node in nodes.values() if isinstance(node, dict)] if isinstance(nodes, dict) else []
        done, known = 0.0, 0.0
        for node in told:
            value, maximum = node.get("value"), node.get("max")
            if isinstance(value, (int, float)) and isinstance(maximum, (int, float)) and maximum > 0:
                done, known = done + value, known + maximum
        return done / max(known + max(0, self._nodes - len(told)), 1)

    def _wait(self, prompt_id: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check(prompt_id)
            time.sleep(LOOK_S / 4)

    def _check(self, prompt_id: str) -> None:
        reason = self._reason_to_stop()
        if reason is None:
            return
        try:
            self._comfyui.interrupt(prompt_id)
        except MemorydError as error:
            _log.warning("the run was not interrupted: %s", error.detail)
        raise Stopped(reason)

    def _reason_to_stop(self) -> StopReason | None:
        if self._lease.lost.is_set():
            return StopReason.LOST
        if self._lease.cancelled.is_set():
            return StopReason.CANCELLED
        if time.monotonic() > self._deadline:
            return StopReason.DEADLINE
        return StopReason.DRAINED if self._stopping.must_end() else None


def _close(events: Events | None) -> None:
    if events is not None:
        events.close()
