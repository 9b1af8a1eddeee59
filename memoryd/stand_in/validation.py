"""Says about a graph what ComfyUI says: the same kinds, messages and details, node by node.

As ComfyUI does, it writes coerced numbers back into the graph, runs the outputs that are valid, and accepts unknown
inputs and unreachable nodes. Source: the recorded answers of ComfyUI 0.29 in the tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.catalogue import CLASSES, is_output, output_types, required_inputs, specification
from memoryd.stand_in.folders import Folders, OutsideFolder

ECHOED_OPTIONS = 20
"""An option list longer than this is not echoed in an error. Source: observed."""

_CONVERSIONS: Mapping[str, Callable[[Any], Json]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is said about a graph: an error (None: it runs), the valid outputs, and the errors of nodes."""

    error: dict[str, Json] | None
    outputs: list[str]
    node_errors: dict[str, Json]


class NoGraph(Exception):
    """The prompt is not even shaped like a graph: ComfyUI answers 500 here."""


@dataclasses.dataclass(slots=True, kw_only=True)
class _Verdict:
    valid: bool
    errors: list[dict[str, Json]]


class _Judge:
    def __init__(self, prompt: dict[str, Any], folders: Folders) -> None:
        self.prompt = prompt
        self.folders = folders
        self.known: dict[str, _Verdict] = {}
        self.path: list[str] = []

    def judge(self, node_id: str) -> _Verdict:
        known = self.known.get(node_id)
        if known is not None:
            return known
        if node_id in self.path:
            return self._cycle(node_id)
        self.path.append(node_id)
        try:
            verdict = self._judge_inputs(node_id)
        finally:
            self.path.pop()
        # A cycle that closed below has judged this node already.
        return self.known.setdefault(node_id, verdict)

    def _cycle(self, node_id: str) -> _Verdict:
        members = self.path[self.path.index(node_id) :]
        words = " -> ".join(f"{member} ({self.prompt[member]['class_type']})" for member in [*members, node_id])
        for member in members:
            facts: dict[str, Json] = {"node_id": member, "cycle_nodes": list(members)}
            error = _error("dependency_cycle", "Dependency cycle detected", words, **facts)
            self.known[member] = _Verdict(valid=False, errors=[error])
        return self.known[node_id]

    def _judge_inputs(self, node_id: str) -> _Verdict:
        node = self.prompt[node_id]
        described = specification(node["class_type"], self.folders)
        verdict = _Verdict(valid=True, errors=[])
        for name, spec in required_inputs(described).items():
            if name not in node["inputs"]:
                verdict.errors.append(
                    _error("required_input_missing", "Required input is missing", name, input_name=name)
                )
            elif isinstance(node["inputs"][name], list):
                self._judge_link(name, spec, node["inputs"][name], verdict)
            else:
                error = self._judge_literal(node, name, spec)
                if error is not None:
                    verdict.errors.append(error)
        verdict.valid = verdict.valid and not verdict.errors
        return verdict

    def _judge_link(self, name: str, spec: list[Json], link: list[Json], verdict: _Verdict) -> None:
        if len(link) != 2:
            sentence = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            verdict.errors.append(
                _error("bad_linked_input", sentence, name, input_name=name, input_config=spec, received_value=link)
            )
            return
        parent: Any = link[0]
        received = output_types(self.prompt[parent]["class_type"])[_slot(link[1])]
        if isinstance(spec[0], str) and received != spec[0]:
            details = f"{name}, received_type({received}) mismatch input_type({spec[0]})"
            sentence = "Return type mismatch between linked nodes"
            facts: dict[str, Json] = {"input_config": spec, "received_type": received, "linked_node": link}
            verdict.errors.append(_error("return_type_mismatch", sentence, details, input_name=name, **facts))
            return
        try:
            valid = self.judge(parent).valid
        except Exception as error:  # ComfyUI turns any failure below into an error of that node
            self.known[parent] = _Verdict(valid=False, errors=[_inner(error, name, spec, link)])
            valid = False
        verdict.valid = verdict.valid and valid

    def _judge_literal(self, node: dict[str, Any], name: str, spec: list[Json]) -> dict[str, Json] | None:
        received: Any = node["inputs"][name]
        kind, extra = spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
        assert isinstance(extra, dict)
        if isinstance(kind, str) and kind in _CONVERSIONS:
            try:
                value = node["inputs"][name] = _CONVERSIONS[kind](received)
            except Exception as error:
                return _unconverted(name, kind, spec, received, error)
            return _bounded(name, spec, extra, value)
        if node["class_type"] == "LoadImage":
            return self._judge_file(name, received)
        options = kind if isinstance(kind, list) else extra.get("options")
        if isinstance(options, list) and received not in options:
            return _not_offered(name, spec, options, received)
        return None

    def _judge_file(self, name: str, received: Any) -> dict[str, Json] | None:
        try:
            found = self.folders.annotated(str(received)).is_file()
        except OutsideFolder:
            found = False
        if found:
            return None
        details = f"{name} - Invalid image file: {received}"
        return _error("custom_validation_failed", "Custom validation failed for node", details, input_name=name)


def judge_graph(prompt: Any, folders: Folders, targets: list[str] | None = None) -> Judged:
    """Return what ComfyUI would say; numbers in `prompt` are coerced in place. `targets`: only these outputs.

    Raises: NoGraph where it is no object of objects.
    """
    if not isinstance(prompt, dict) or not all(isinstance(node, dict) for node in prompt.values()):
        raise NoGraph
    outputs = []
    for node_id, node in prompt.items():
        missing = _missing_class(node_id, node)
        if missing is not None:
            return Judged(error=missing, outputs=[], node_errors={})
        if is_output(node["class_type"]) and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        return Judged(error=_error("prompt_no_outputs", "Prompt has no outputs", ""), outputs=[], node_errors={})
    return _judge_outputs(prompt, outputs, folders)


def _judge_outputs(prompt: dict[str, Any], outputs: list[str], folders: Folders) -> Judged:
    judge = _Judge(prompt, folders)
    good: list[str] = []
    said: list[str] = []
    blamed: dict[str, dict[str, Any]] = {}
    for output in outputs:
        try:
            verdict = judge.judge(output)
        except Exception as error:  # as below: whatever breaks is an error of the output
            judge.path.clear()
            facts: dict[str, Json] = {"exception_type": type(error).__name__, "traceback": []}
            failed = _error("exception_during_validation", "Exception when validating node", str(error), **facts)
            verdict = judge.known[output] = _Verdict(valid=False, errors=[failed])
        if verdict.valid:
            good.append(output)
            continue
        said.extend(f"{error['message']}: {error['details']}" for error in verdict.errors)
        for node_id, found in judge.known.items():
            if not found.valid and found.errors:
                entry = blamed.setdefault(
                    node_id,
                    {"errors": found.errors, "dependent_outputs": [], "class_type": prompt[node_id]["class_type"]},
                )
                entry["dependent_outputs"].append(output)
    node_errors: dict[str, Json] = dict(blamed)
    if good:
        return Judged(error=None, outputs=good, node_errors=node_errors)
    sentence = "Prompt outputs failed validation"
    failure = _error("prompt_outputs_failed_validation", sentence, "\n".join(said))
    return Judged(error=failure, outputs=[], node_errors=node_errors)


def _error(kind: str, message: str, details: str, **extra: Json) -> dict[str, Json]:
    return {"type": kind, "message": message, "details": details, "extra_info": dict(extra)}


def _missing_class(node_id: str, node: dict[str, Any]) -> dict[str, Json] | None:
    class_type = node.get("class_type")
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    if class_type in CLASSES:
        return None
    if class_type is None:
        message = f"Node 'ID #{node_id}' has no class_type. The workflow may be corrupted or a custom node is missing."
    else:
        message = f"Node '{title or class_type}' not found. The custom node may not be installed."
    details = f"Node ID '#{node_id}'"
    return _error("missing_node_type", message, details, node_id=node_id, class_type=class_type, node_title=title)


def _slot(value: Json) -> int:
    if not isinstance(value, int):
        raise TypeError(f"list indices must be integers or slices, not {type(value).__name__}")
    return value


def _inner(error: Exception, name: str, spec: list[Json], link: list[Json]) -> dict[str, Json]:
    facts: dict[str, Json] = {
        "input_config": spec,
        "exception_message": str(error),
        "exception_type": type(error).__name__,
        "traceback": [],
        "linked_node": link,
    }
    sentence = "Exception when validating inner node"
    return _error("exception_during_inner_validation", sentence, str(error), input_name=name, **facts)


def _unconverted(name: str, kind: str, spec: list[Json], received: Json, error: Exception) -> dict[str, Json]:
    facts: dict[str, Json] = {"input_config": spec, "received_value": received, "exception_message": str(error)}
    sentence = f"Failed to convert an input value to a {kind} value"
    return _error("invalid_input_type", sentence, f"{name}, {received}, {error}", input_name=name, **facts)


def _bounded(name: str, spec: list[Json], extra: Mapping[str, Json], value: Json) -> dict[str, Json] | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    least, most = extra.get("min"), extra.get("max")
    facts: dict[str, Json] = {"input_name": name, "input_config": spec, "received_value": value}
    if isinstance(least, (int, float)) and value < least:
        return _error("value_smaller_than_min", f"Value {value} smaller than min of {least}", name, **facts)
    if isinstance(most, (int, float)) and value > most:
        return _error("value_bigger_than_max", f"Value {value} bigger than max of {most}", name, **facts)
    return None


def _not_offered(name: str, spec: list[Json], options: list[Json], received: Json) -> dict[str, Json]:
    short = len(options) <= ECHOED_OPTIONS
    listed = str(options) if short else f"(list of length {len(options)})"
    facts: dict[str, Json] = {"input_config": spec if short else None, "received_value": received}
    details = f"{name}: '{received}' not in {listed}"
    return _error("value_not_in_list", "Value not in list", details, input_name=name, **facts)
