"""One run on ComfyUI, from submission to its history entry: found again after a restart of either side."""

from __future__ import annotations

import queue
import time
from enum import StrEnum
from uuid import UUID, uuid5

from memoryd.comfyui.errors import EngineDown, EngineSilent, EngineTrouble
from memoryd.comfyui.facts import RunRecord
from memoryd.comfyui.frames import Frame, Message, Preview
from memoryd.comfyui.submitted_graph import submittable
from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.logging import log_for
from memoryd.worker.engine import LOOK_TIMEOUT_S, Engine
from memoryd.worker.event_line import Frames
from memoryd.worker.leases import Lease
from memoryd.worker.run_clock import RunClock
from memoryd.worker.stopping import Stopping

PROMPT_NAMESPACE = UUID("6a1d9d0e-5c0f-5c0e-9a55-6d656d6f7279")
"""Prompt ids are made from it, job and fence: a restarted worker finds its run, and no other worker has the same."""

POLL_S = 2.0
"""How often queue and history are asked though the events should tell of the end."""

LOOK_S = 0.2
"""How often a wait looks whether it must end."""

SUBMIT_LIMIT = 2
"""How often a run is submitted: once more after ComfyUI was restarted, then it is given back; it may be what ends ComfyUI."""

HALT_LIMIT_S = 30.0
"""How long a run may go on after it was interrupted. ComfyUI looks between a sampler's steps and between nodes."""

HALT_AT_END_S = 2.0
"""The same where the worker itself must end."""

HALT_AGAIN_S = 1.0
"""How often an interrupt is repeated: ComfyUI forgets one that comes just when a run begins."""

HALT_LOOK_S = 0.05

STEPS_LIMIT = 10_000
"""Steps of one node that are believed when progress is shared out. Source: the maximum of ComfyUI's own samplers."""

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
    """ComfyUI was restarted in the middle of the run, again."""


class RunTakenOut(Unavailable):
    """Somebody took the run out of ComfyUI's queue."""


def prompt_id_of(job_id: UUID, fence: int, attempt: int) -> str:
    """Return the id under which ComfyUI runs a job's graph, canonical lower case."""
    return str(uuid5(PROMPT_NAMESPACE, f"{job_id}:{fence}:{attempt}"))


def with_previews(extra_data: str) -> str:
    """Return `extra_data`'s text with ComfyUI asked to show what it draws, unless it says itself what it wants.

    Only `extra_pnginfo` is written into files; that stays as it is spelled. Source: ComfyUI 0.29, execution.py.
    """
    members = read_json(extra_data)
    if not isinstance(members, dict) or "preview_method" in members:
        return extra_data
    rest = extra_data.lstrip()[1:]
    return '{"preview_method": "auto"' + (", " if members else "") + rest


class RunFollower:
    """Follows one job's runs. Used by one thread."""

    def __init__(self, engine: Engine, lease: Lease, stopping: Stopping) -> None:
        """The deadline counts from here."""
        self._engine = engine
        self._lease = lease
        self._stopping = stopping
        self._deadline = time.monotonic() + lease.claimed.deadline_s
        self._prompt = submittable(lease.claimed.prompt)
        self._extra_data = with_previews(lease.claimed.extra_data)
        graph = read_json(self._prompt)
        self._graph = graph if isinstance(graph, dict) else {}
        self._heard = False
        self.clock = RunClock(self._graph)
        self.memory_peak_mb: int | None = None

    def follow(self, attempt: int, *, free_first: bool, known: bool) -> RunRecord:
        """Run the job's graph to its end, or take up the run that is there, and return its record.

        `free_first`: drop ComfyUI's caches before submitting; `known`: ComfyUI may have the run from an earlier start.
        Raises: Stopped (after the run was interrupted), PromptRefused, RunVanished, RunTakenOut, EngineEnded,
        EngineHangs, EngineTaken, EngineDown beyond the engine's patience, EngineTrouble.
        """
        claimed = self._lease.claimed
        prompt_id = prompt_id_of(claimed.job_id, claimed.fence, attempt)
        self.clock = RunClock(self._graph)
        self._heard = False
        submitted, generation, ended = 0, -1, False
        down_since: float | None = None
        with self._engine.line.listening() as frames:
            while True:
                self._check(prompt_id)
                try:
                    self._engine.check()
                    found = self._find(prompt_id, ended) if known or submitted else False
                    if isinstance(found, RunRecord):
                        self._note_end(bool(submitted) and generation == self._engine.generation)
                        return found
                    if not found:
                        if submitted:
                            _judge_loss(submitted, same_engine=generation == self._engine.generation)
                        if free_first:
                            self._engine.free(self._stopping)
                        generation = self._engine.generation
                        submitted += 1
                        self._submit(prompt_id)
                    down_since = None
                    ended = self._listen(frames, prompt_id, POLL_S)
                    self._measure()
                except EngineDown as error:
                    ended = False
                    if down_since is None:
                        down_since = time.monotonic()
                        _log.warning("waiting for ComfyUI: %s", error.detail)
                    if time.monotonic() - down_since > self._engine.away_limit_s:
                        raise
                    self._lease.tell("waiting for ComfyUI")
                    self._listen(frames, prompt_id, POLL_S / 2)

    def _submit(self, prompt_id: str) -> None:
        self._engine.comfyui.submit(
            self._prompt,
            extra_data=self._extra_data,
            prompt_id=prompt_id,
            client_id=self._engine.line.client_id,
        )
        self._engine.heard()

    def _find(self, prompt_id: str, ended: bool) -> RunRecord | bool:
        """Return the run's record, or whether it waits or runs."""
        comfyui = self._engine.comfyui
        if not ended and self._is_queued(prompt_id):
            return True
        # It may have ended between the two looks; only what is in neither place is gone.
        record = comfyui.history(prompt_id, timeout_s=LOOK_TIMEOUT_S)
        if record is not None:
            self._engine.heard()
            return record
        return ended and self._is_queued(prompt_id)

    def _is_queued(self, prompt_id: str) -> bool:
        waiting = self._engine.comfyui.queue(timeout_s=LOOK_TIMEOUT_S)
        self._engine.heard()
        return prompt_id in waiting.running or prompt_id in waiting.pending

    def _listen(self, frames: Frames, prompt_id: str, seconds: float) -> bool:
        """Follow the events for so long, or until the run's end is told (returns True) or the stream breaks."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check(prompt_id)
            try:
                frame = frames.get(timeout=min(left, LOOK_S))
            except queue.Empty:
                continue
            if frame is None:
                return False
            self._engine.heard()
            if self._note(frame, prompt_id):
                return True
        return False

    def _note(self, frame: Frame, prompt_id: str) -> bool:
        if isinstance(frame, Preview):
            # A picture that names no run may be a foreign one's, until ours has begun: ComfyUI runs one at a time.
            if frame.prompt_id == prompt_id or (frame.prompt_id is None and self._heard):
                self._lease.show(frame.media_type, frame.image, frame.node)
            return False
        if not isinstance(frame, Message) or frame.prompt_id != prompt_id:
            return False
        self._heard = True
        self.clock.note(frame, time.monotonic())
        if frame.type == "executing":
            if frame.node is None:
                return True
            self._lease.tell("running", node=frame.node)
        elif frame.type == "progress_state":
            self._lease.tell("running", node=self._lease.node, progress=self._share(frame.body.get("nodes")))
        return False

    def _share(self, nodes: Json) -> float:
        """The share that is done, in steps: a node that has not begun counts those it will take, by what it is given."""
        told = nodes if isinstance(nodes, dict) else {}
        done, known = 0.0, 0.0
        for node in told.values():
            value, maximum = (node.get("value"), node.get("max")) if isinstance(node, dict) else (None, None)
            if isinstance(value, (int, float)) and isinstance(maximum, (int, float)) and maximum > 0:
                done, known = done + value, known + maximum
        return done / max(known + sum(_steps(node) for name, node in self._graph.items() if name not in told), 1)

    def _measure(self) -> None:
        if self._engine.has_cuda:
            used = self._engine.memory_in_use_mb()
            if used is not None:
                self.memory_peak_mb = max(self.memory_peak_mb or 0, used)

    def _note_end(self, same_stream: bool) -> None:
        if same_stream and not self._heard and self._engine.line.connected:
            # The stream is open and told nothing of a run under its own id: another one took the id over.
            self._engine.line.renew()

    def _check(self, prompt_id: str) -> None:
        reason = self._reason_to_stop()
        if reason is not None:
            self._halt(prompt_id, HALT_AT_END_S if reason is StopReason.DRAINED else HALT_LIMIT_S)
            raise Stopped(reason)

    def _halt(self, prompt_id: str, limit_s: float) -> None:
        """Interrupt the run until it has stopped: what comes after it must find neither its files nor its run."""
        until, ask_at = time.monotonic() + limit_s, 0.0
        self._lease.tell("stopping")
        while True:
            now = time.monotonic()
            try:
                self._engine.check()
                if now >= ask_at:
                    self._engine.comfyui.interrupt(prompt_id)
                    ask_at = now + HALT_AGAIN_S
                if not self._is_queued(prompt_id):
                    return
            except EngineSilent as error:
                _log.warning("the run is not interrupted yet: %s", error.detail)
            except MemorydError as error:
                _log.warning("the run cannot be interrupted: %s", error.detail)
                return
            if now > until:
                self._engine.give_up_on_run(f"a run did not stop within {limit_s:.0f} s")
                return
            time.sleep(HALT_LOOK_S)

    def _reason_to_stop(self) -> StopReason | None:
        if self._lease.lost.is_set():
            return StopReason.LOST
        if self._lease.cancelled.is_set():
            return StopReason.CANCELLED
        if time.monotonic() > self._deadline:
            return StopReason.DEADLINE
        return StopReason.DRAINED if self._stopping.must_end() else None


def _steps(node: Json) -> int:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    steps = inputs.get("steps") if isinstance(inputs, dict) else None
    return steps if isinstance(steps, int) and 0 < steps <= STEPS_LIMIT else 1


def _judge_loss(submitted: int, *, same_engine: bool) -> None:
    if same_engine:
        raise RunTakenOut(
            "somebody cleared the queue or the history of this ComfyUI", hint="it is run again, elsewhere if possible"
        )
    if submitted >= SUBMIT_LIMIT:
        raise RunVanished("ComfyUI was restarted twice during the run", hint="see ComfyUI's own log")
