"""Executes one graph: what is cached is not done again, every step is told, an interruption ends it between two steps."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.execution_cache import ExecutionCache, cache_keys, is_link, note_changes
from memoryd.stand_in.facts import Ended, NodeResult, Pixels, QueuedRun, RunEnd
from memoryd.stand_in.faults import Faults, NodeFailed
from memoryd.stand_in.folders import Folders, OutsideFolder
from memoryd.stand_in.nodes import ACTIONS, PAINTERS, Stage
from memoryd.stand_in.painting import rounded
from memoryd.stand_in.playing import ITSELF, Machine

_SLICE_S = 0.02
"""How often a waiting node looks whether it was interrupted."""


_STEP_S = 0.001
"""Seconds of a sampler's step at least, so that a long sampling lasts and can be interrupted."""


class Interrupted(Exception):
    """Somebody asked for this run to stop."""


Tell: TypeAlias = Callable[[str, dict[str, Json], "str | None"], None]
"""Sends a message: its kind, its body, and the client id that hears it (None: everybody)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How graphs are executed. `delay_s` is added to each executed node; `noisy` makes every sampling another.

    `plays`: a machine; what is painted is rounded as that one rounds it, and packed as that one packs it.
    """

    folders: Folders
    delay_s: float = 0.0
    noisy: bool = False
    plays: Machine = ITSELF
    faults: Faults = dataclasses.field(default_factory=Faults)


class Execution:
    """One run under way."""

    def __init__(
        self, run: QueuedRun, conditions: Conditions, cache: ExecutionCache, tell: Tell, interrupted: Callable[[], bool]
    ) -> None:
        """`interrupted` is asked between steps."""
        self._run = run
        self._conditions = conditions
        self._cache = cache
        self._tell = tell
        self._interrupted = interrupted
        self._prompt: dict[str, Any] = copy.deepcopy(run.prompt)
        self._results: dict[str, NodeResult] = {}
        self._executed: list[str] = []
        self._progress: dict[str, Json] = {}
        self._messages: list[Json] = []
        self._outputs: dict[str, Json] = {}
        self._meta: dict[str, Json] = {}
        self._painted: frozenset[str] = frozenset()
        self.present: str | None = None

    def execute(self) -> Ended:
        """Run to the end and return what the history keeps; nothing that a node does escapes as an exception."""
        self._note("execution_start")
        note_changes(self._prompt, self._conditions.folders)
        order = _order(self._prompt, self._run.outputs)
        self._painted = _painted(self._prompt, order)
        keys = cache_keys(self._prompt, order)
        for node_id in order:
            found = self._cache.find(keys[node_id])
            if found is not None:
                self._results[node_id] = found
        self._note("execution_cached", nodes=[node_id for node_id in self._prompt if node_id in self._results])
        end = self._execute_nodes(order, keys)
        if end is RunEnd.SUCCESS:
            self._note("execution_success")
        return Ended(run=self._run, end=end, outputs=self._outputs, meta=self._meta, messages=self._messages)

    def _execute_nodes(self, order: list[str], keys: dict[str, bytes | None]) -> RunEnd:
        needed = _needed(self._prompt, self._run.outputs, set(self._results))
        for node_id in order:
            if node_id in self._results:
                if node_id in self._run.outputs:
                    self._show(node_id, self._results[node_id])
                    self._say_progress(node_id, 1, 1, "finished")
                continue
            if node_id not in needed:
                continue
            try:
                result = self._execute_node(node_id)
            except Interrupted:
                facts = self._place(node_id)
                self._note("execution_interrupted", **facts)
                return RunEnd.INTERRUPTED
            except Exception as error:  # a node's failure is the run's result, not ours
                self._note("execution_error", **self._place(node_id), **self._failure(node_id, error))
                return RunEnd.ERROR
            self._cache.keep(keys[node_id], result)
            self._results[node_id] = result
            self._executed.append(node_id)
        return RunEnd.SUCCESS

    def _execute_node(self, node_id: str) -> NodeResult:
        node = self._prompt[node_id]
        self.present = node_id
        self._say_progress(node_id, 0.0, 1.0, "running")
        self._say("executing", {"node": node_id, "display_node": node_id})
        self._conditions.faults.strike()
        steps = [1.0, 1.0]

        def step(value: int, maximum: int) -> None:
            self._wait(max(self._conditions.delay_s / maximum, _STEP_S))
            steps[:] = [value, maximum]
            self._say_progress(node_id, value, maximum, "running")
            facts: dict[str, Json] = {"value": value, "max": maximum, "prompt_id": self._run.prompt_id, "node": node_id}
            self._tell("progress", facts, self._run.client_id)

        if "steps" not in node["inputs"] and "sigmas" not in node["inputs"]:
            self._wait(self._conditions.delay_s)
        extra = self._run.extra_data.get("extra_pnginfo")
        stage = Stage(
            folders=self._conditions.folders,
            prompt=self._prompt,
            extra=extra if isinstance(extra, dict) else {},
            painted=node_id in self._painted,
            level=self._conditions.plays.level,
            step=step,
            noise=np.random.default_rng() if self._conditions.noisy else None,
        )
        result = ACTIONS[node["class_type"]](self._inputs(node), stage)
        rounding = self._conditions.plays.rounding() if node["class_type"] in PAINTERS else None
        if rounding is not None:
            painted: Pixels = result.values[0]  # type: ignore[assignment]
            result = dataclasses.replace(result, values=(rounded(painted, rounding),))
        self._show(node_id, result)
        self._say_progress(node_id, steps[1], steps[1], "finished")
        return result

    def _inputs(self, node: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._results[value[0]].values[value[1]] if is_link(value) else value
            for name, value in node["inputs"].items()
        }

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            if self._interrupted():
                raise Interrupted
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _SLICE_S))

    def _show(self, node_id: str, result: NodeResult) -> None:
        if result.shown is None:
            return
        self._outputs[node_id] = result.shown
        self._meta[node_id] = {
            "node_id": node_id,
            "display_node": node_id,
            "parent_node": None,
            "real_node_id": node_id,
        }
        self._say("executed", {"node": node_id, "display_node": node_id, "output": result.shown})

    def _say_progress(self, node_id: str, value: float, maximum: float, state: str) -> None:
        self._progress[node_id] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node_id,
            "prompt_id": self._run.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
        facts: dict[str, Json] = {"prompt_id": self._run.prompt_id, "nodes": dict(self._progress)}
        self._tell("progress_state", facts, self._run.client_id)

    def _say(self, kind: str, body: dict[str, Json]) -> None:
        # Without a client id nobody hears these; progress alone is told to everybody.
        if self._run.client_id is not None:
            self._tell(kind, {**body, "prompt_id": self._run.prompt_id}, self._run.client_id)

    def _note(self, kind: str, **facts: Json) -> None:
        stamped: dict[str, Json] = {"prompt_id": self._run.prompt_id, **facts, "timestamp": time.time_ns() // 1_000_000}
        self._messages.append([kind, stamped])
        if self._run.client_id is not None:
            self._tell(kind, stamped, self._run.client_id)

    def _place(self, node_id: str) -> dict[str, Json]:
        return {
            "node_id": node_id,
            "node_type": self._prompt[node_id]["class_type"],
            "executed": list(self._executed),
        }

    def _failure(self, node_id: str, error: Exception) -> dict[str, Json]:
        if isinstance(error, OutsideFolder):
            message = "**** ERROR: Saving image outside the output folder is not allowed.\n"
            message += f" full_output_folder: {error}\n         output_dir: {self._conditions.folders.output}\n"
            kind = "Exception"
        elif isinstance(error, NodeFailed):
            message, kind = str(error), error.kind
        else:
            message, kind = str(error), type(error).__name__
        return {
            "exception_message": message,
            "exception_type": kind,
            "traceback": [],
            "current_inputs": {name: [str(value)] for name, value in self._prompt[node_id]["inputs"].items()},
            "current_outputs": list(self._prompt),
        }


def _order(prompt: dict[str, Any], outputs: list[str]) -> list[str]:
    """The nodes that outputs depend on, ancestors first; without recursion, since graphs can be very deep."""
    order: dict[str, None] = {}
    waiting = [(output, False) for output in reversed(outputs)]
    while waiting:
        node_id, ready = waiting.pop()
        if ready:
            order[node_id] = None
        elif node_id not in order:
            waiting.append((node_id, True))
            waiting.extend((parent, False) for parent in reversed(_parents(prompt, node_id)))
    return list(order)


def _painted(prompt: dict[str, Any], order: list[str]) -> frozenset[str]:
    """The nodes whose results rest on a painter's; `order` has ancestors first."""
    painted: set[str] = set()
    for node_id in order:
        if prompt[node_id]["class_type"] in PAINTERS or not painted.isdisjoint(_parents(prompt, node_id)):
            painted.add(node_id)
    return frozenset(painted)


def _needed(prompt: dict[str, Any], outputs: list[str], have: set[str]) -> set[str]:
    needed: set[str] = set()
    waiting = list(outputs)
    while waiting:
        node_id = waiting.pop()
        if node_id not in have and node_id not in needed:
            needed.add(node_id)
            waiting.extend(_parents(prompt, node_id))
    return needed


def _parents(prompt: dict[str, Any], node_id: str) -> list[str]:
    # An input that no class declares passes the check of a graph, wherever it leads: what is not there is no ancestor.
    return [value[0] for value in prompt[node_id]["inputs"].values() if is_link(value) and value[0] in prompt]
