"""Says about a graph what ComfyUI says to POST /prompt: the same kinds on the same nodes, from node specifications alone.

What a class checks in code of its own cannot be seen in them; of ComfyUI's own classes the few that do so are named
here. Of other classes it is not known, so that a value may be refused which the class itself would let pass.
Source: behaviour of ComfyUI 0.29.0, compared by `tests/conformance/test_validation.py`; 0.3.64 differs in one word
(`invalid_prompt` for `missing_node_type`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

from memoryd.comfyui.specs import NodeSpecs
from memoryd.comfyui.validation_errors import (
    inner,
    missing_class,
    not_offered,
    out_of_bounds,
    problem,
    thrown,
    unconverted,
)
from memoryd.comfyui.validation_rules import ANY_FILE, ClassRules, InputRule, Rulebook, types_meet
from memoryd.foundation.canonical_json import Json

PATH_LIMIT = 972
"""Nodes in a row that are judged. Source: ComfyUI walks up by recursion, and Python ends it there (observed, 0.29)."""

_CONVERSIONS: Mapping[str, Callable[[Any], Json]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}

FileCheck: TypeAlias = Callable[[str], "bool | None"]
"""Whether a file that a loading node names is there; None: that cannot be told."""


class NoGraph(Exception):
    """The prompt is not even shaped like a graph: ComfyUI answers 500 here."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is said about a graph: an error (None: it runs), the valid outputs, and the errors of nodes."""

    error: dict[str, Json] | None
    outputs: list[str]
    node_errors: dict[str, Json]


@dataclasses.dataclass(slots=True)
class _Verdict:
    valid: bool = True
    errors: list[dict[str, Json]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class _Visit:
    """A node whose inputs are being judged. `asked` is the link that waits for the node above it."""

    node_id: str
    verdict: _Verdict
    left: Iterator[InputRule]
    rules: ClassRules
    asked: tuple[InputRule, list[Json]] | None = None


def judge_graph(
    prompt: Any,
    rules: Rulebook | NodeSpecs,
    *,
    has_file: FileCheck | None = None,
    brought: Collection[str] = (),
    unspecified: Collection[str] = (),
    targets: Collection[str] | None = None,
) -> Judged:
    """Return what ComfyUI would say; as there, numbers in `prompt` are coerced in place.

    `brought` are files that will be put in place before it runs, by their names in the graph. `unspecified` are classes
    that are installed, but whose inputs are not known: they are taken to be right. `targets`: only these outputs.
    Raises: NoGraph where it is no object of objects.
    """
    book = rules if isinstance(rules, Rulebook) else Rulebook(rules)
    if not isinstance(prompt, dict) or not all(isinstance(node, dict) for node in prompt.values()):
        raise NoGraph
    outputs, uncertain = [], False
    for node_id, node in prompt.items():
        class_type = node.get("class_type")
        known = isinstance(class_type, str) and class_type in book
        if not known and not (isinstance(class_type, str) and class_type in unspecified):
            return Judged(error=missing_class(node_id, node), outputs=[], node_errors={})
        uncertain = uncertain or not known
        if known and book.specs.is_output(class_type) and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        # One of the classes whose specification is not known may be an output.
        error = None if uncertain else problem("prompt_no_outputs", "Prompt has no outputs", "")
        return Judged(error=error, outputs=[], node_errors={})
    return _judge_outputs(_Judge(prompt, book, has_file, brought), outputs, uncertain=uncertain)


def judge_node(
    prompt: Mapping[str, Any],
    node_id: str,
    values: Mapping[str, Json],
    book: Rulebook,
    *,
    brought: Collection[str] = (),
) -> list[dict[str, Json]]:
    """Return what ComfyUI would say about one node of a graph with other `values`; links are not followed."""
    node = prompt[node_id]
    if node["class_type"] not in book:
        return []
    changed = {**node, "inputs": {**node["inputs"], **values}}
    judge = _Judge({**prompt, node_id: changed}, book, None, brought)
    return judge.judge_alone(node_id)


def _judge_outputs(judge: _Judge, outputs: list[str], *, uncertain: bool) -> Judged:
    good: list[str] = []
    said: list[str] = []
    blamed: dict[str, dict[str, Any]] = {}
    for output in outputs:
        verdict = judge.judge(output)
        if verdict.valid:
            good.append(output)
            continue
        said.extend(f"{error['message']}: {error['details']}" for error in verdict.errors)
        below = judge.walked_from(output)
        for node_id, found in judge.known.items():
            # ComfyUI names whatever it judged before as well, in an order that changes with each start.
            if node_id in below and not found.valid and found.errors:
                entry = blamed.setdefault(
                    node_id,
                    {
                        "errors": found.errors,
                        "dependent_outputs": [],
                        "class_type": judge.prompt[node_id].get("class_type") if node_id in judge.prompt else None,
                    },
                )
                entry["dependent_outputs"].append(output)
    node_errors: dict[str, Json] = dict(blamed)
    if good or uncertain:
        return Judged(error=None, outputs=good, node_errors=node_errors)
    failure = problem("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(said))
    return Judged(error=failure, outputs=[], node_errors=node_errors)


class _Judge:
    """One pass over a graph, without recursion of our own: whoever calls may be deep in a stack already."""

    def __init__(
        self, prompt: dict[str, Any], book: Rulebook, has_file: FileCheck | None, brought: Collection[str]
    ) -> None:
        self.prompt = prompt
        self.book = book
        self.has_file = has_file
        self.brought = brought
        self.known: dict[str, _Verdict] = {}
        self._walked: dict[str, list[str]] = {}
        self._path: list[_Visit] = []
        self._visiting: set[str] = set()

    def judge(self, output: str) -> _Verdict:
        """Return the verdict on an output, and note those on all that it depends on."""
        known = self.known.get(output)
        if known is not None:
            return known
        try:
            self._enter(output)
        except Exception as error:  # whatever breaks here is an error of the output
            self._fail(output, error, None)
            return self.known[output]
        while self._path:
            visit = self._path[-1]
            try:
                done = self._advance(visit)
            except Exception as error:  # ComfyUI turns any failure below into an error of the node it asked
                self._leave(visit)
                asker = self._path[-1] if self._path else None
                self._fail(visit.node_id, error, asker)
                continue
            if done:
                self._finish(visit)
        return self.known[output]

    def judge_alone(self, node_id: str) -> list[dict[str, Json]]:
        """Return the errors of a node by itself."""
        self._enter(node_id)
        visit, inputs = self._path.pop(), self.prompt[node_id]["inputs"]
        # What is above counts as right.
        self.known = {name: _Verdict() for name in self.prompt}
        try:
            self._advance(visit)
        except (KeyError, IndexError, TypeError) as error:
            return [thrown(error)]
        return [*visit.verdict.errors, *self._own_checks(visit.rules, inputs)]

    def walked_from(self, output: str) -> set[str]:
        """Return the nodes that were asked for an output's sake, itself included."""
        found, waiting = {output}, [output]
        while waiting:
            for above in self._walked.get(waiting.pop(), ()):
                if above not in found:
                    found.add(above)
                    waiting.append(above)
        return found

    def _enter(self, node_id: str) -> None:
        if len(self._path) >= PATH_LIMIT:
            raise RecursionError("maximum recursion depth exceeded")
        node = self.prompt[node_id]
        inputs = node["inputs"]
        class_type = node["class_type"]
        rules = self.book.rules_of(class_type)
        visit = _Visit(node_id, _Verdict(), iter(rules.inputs_for(inputs)), rules)
        self._path.append(visit)
        self._visiting.add(node_id)

    def _leave(self, visit: _Visit) -> None:
        self._path.pop()
        self._visiting.discard(visit.node_id)

    def _advance(self, visit: _Visit) -> bool:
        """Judge inputs until one needs the node above it first; return whether all are judged."""
        inputs = self.prompt[visit.node_id]["inputs"]
        for rule in visit.left:
            if rule.name not in inputs:
                if rule.required:
                    error = problem(
                        "required_input_missing",
                        "Required input is missing",
                        rule.shown_name,
                        input_name=rule.name,
                    )
                    visit.verdict.errors.append(error)
            elif isinstance(inputs[rule.name], list):
                if self._ask_above(visit, rule, inputs[rule.name]):
                    return False
            else:
                found = self._judge_literal(visit.rules, inputs, rule)
                if found is not None:
                    visit.verdict.errors.append(found)
        return True

    def _ask_above(self, visit: _Visit, rule: InputRule, link: list[Json]) -> bool:
        """Judge a link by itself; return whether the node above was entered, so that this one has to wait."""
        if len(link) != 2:
            sentence = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            facts: dict[str, Json] = {"input_config": rule.config, "received_value": link}
            visit.verdict.errors.append(problem("bad_linked_input", sentence, rule.name, input_name=rule.name, **facts))
            return False
        above: Any = link[0]
        class_type = self.prompt[above]["class_type"]
        if class_type in self.book:
            received = self.book.rules_of(class_type).outputs[_slot(link[1])]
            if not types_meet(received, rule.type):
                shown: dict[str, Json] = {"input_config": rule.config, "received_type": received, "linked_node": link}
                details = f"{rule.name}, received_type({received}) mismatch input_type({rule.type})"
                sentence = "Return type mismatch between linked nodes"
                visit.verdict.errors.append(
                    problem("return_type_mismatch", sentence, details, input_name=rule.name, **shown)
                )
                return False
        self._walked.setdefault(visit.node_id, []).append(above)
        known = self.known.get(above)
        if known is None and above in self._visiting:
            known = self._cycle(above)
        if known is not None:
            visit.verdict.valid = visit.verdict.valid and known.valid
            return False
        visit.asked = (rule, link)
        try:
            self._enter(above)
        except Exception as error:  # it has no inputs, or none that can be read: an error of that node
            self._fail(above, error, visit)
            return False
        return True

    def _cycle(self, node_id: str) -> _Verdict:
        path = [visit.node_id for visit in self._path]
        members = path[path.index(node_id) :]
        words = " -> ".join(f"{member} ({self.prompt[member]['class_type']})" for member in [*members, node_id])
        for member in members:
            facts: dict[str, Json] = {"node_id": member, "cycle_nodes": list(members)}
            error = problem("dependency_cycle", "Dependency cycle detected", words, **facts)
            self.known[member] = _Verdict(False, [error])
        return self.known[node_id]

    def _finish(self, visit: _Visit) -> None:
        self._leave(visit)
        inputs = self.prompt[visit.node_id]["inputs"]
        visit.verdict.errors.extend(self._own_checks(visit.rules, inputs))
        found = visit.verdict
        found.valid = found.valid and not found.errors
        closed = self.known.get(visit.node_id)
        if closed is not None:
            # A cycle that closed below has judged this node already: both are true.
            found = _Verdict(False, closed.errors + [error for error in found.errors if error not in closed.errors])
        self.known[visit.node_id] = found
        if self._path:
            asker = self._path[-1]
            asker.asked = None
            asker.verdict.valid = asker.verdict.valid and found.valid

    def _fail(self, node_id: str, error: Exception, asker: _Visit | None) -> None:
        if asker is None or asker.asked is None:
            failed = thrown(error)
        else:
            rule, link = asker.asked
            failed = inner(error, rule, link)
            asker.asked = None
            asker.verdict.valid = False
        self.known[node_id] = _Verdict(False, [failed])

    def _judge_literal(self, rules: ClassRules, inputs: dict[str, Any], rule: InputRule) -> dict[str, Json] | None:
        received: Any = inputs[rule.name]
        if isinstance(received, dict) and "__value__" in received:
            received = inputs[rule.name] = received["__value__"]
        convert = _CONVERSIONS.get(rule.type) if isinstance(rule.type, str) else None
        if convert is not None:
            try:
                received = inputs[rule.name] = convert(received)
            except Exception as error:
                return unconverted(rule, received, error)
        if rules.checks_itself(rule.name) or (isinstance(received, str) and received in self.brought):
            return None
        return out_of_bounds(rule, received) or not_offered(rule, received)

    def _own_checks(self, rules: ClassRules, inputs: Mapping[str, Any]) -> Iterator[dict[str, Json]]:
        for name, word in rules.file_inputs.items():
            value = inputs.get(name)
            if name not in inputs or isinstance(value, list) or (isinstance(value, str) and value in self.brought):
                continue
            if word is ANY_FILE and value in ("", "none", None):
                continue
            there = self.has_file(str(value)) if self.has_file is not None else None
            if there is None:
                there = rules.lists(name, value) is not False or not _plain_name(str(value))
            if not there:
                yield problem(
                    "custom_validation_failed",
                    "Custom validation failed for node",
                    f"{name} - Invalid {word} file: {value}",
                    input_name=name,
                )


def _plain_name(value: str) -> bool:
    """Tell whether a file would be listed: an annotation (` [output]`) or a subfolder leads to places that are not."""
    return "/" not in value and "\\" not in value and not value.endswith((" [output]", " [temp]", " [input]"))


def _slot(value: Json) -> int:
    if not isinstance(value, int):
        raise TypeError(f"list indices must be integers or slices, not {type(value).__name__}")
    return value
