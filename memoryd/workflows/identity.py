"""The identities of a graph, recipe v1.

Each saving output has three digests: `exact` (every input as executed), `workflow` (what differs from run to run taken
out: seeds, prompt texts, names to save under, input files), `structure` (classes and links only). None depends on node
ids, on the order of nodes, on titles or layout. The run's digest is that of the sorted digests of its outputs.

How an output's digest is made. Its nodes are numbered by first visit from it, inputs taken in the order of their names,
so that sharing counts: one LoadImage used twice is not two LoadImages. Each node has a digest of its own, over canonical
JSON of its class, its literals by name, and the names and slots of its links. The output's digest covers, node after
node in that numbering, the node's own digest and the numbers its links lead to. So every text is hashed once however
many outputs see it, and the whole takes time linear in links per output: 18 nodes that each use the one before twice
are 18 visits, not 524,287.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.findings import Finding
from memoryd.workflows.facts import RECIPE, Graph, Identities, Level, Link, Node, OutputIdentity
from memoryd.workflows.recipe_v1 import Instance, instance_parameter, is_value_source
from memoryd.workflows.tracing import has_cycle, root_outputs, saving_outputs

COERCED_RECIPE = f"{RECIPE}+specs"
"""The recipe of identities whose values were coerced by node specifications: comparable only among themselves."""

_LEVELS = (Level.EXACT, Level.WORKFLOW, Level.STRUCTURE)
_HEADS = {level: f"memoryd graph {RECIPE} {level}\n".encode() for level in _LEVELS}
_RUN_HEADS = {level: f"memoryd run {RECIPE} {level}\n".encode() for level in _LEVELS}
_INTEGRAL_LIMIT = 2**53
_quoted = json.encoder.encode_basestring_ascii


class GraphHasCycle(NotAcceptable):
    """An output of this graph depends on itself."""


def spell(value: Json) -> str:
    """Return a literal as foundation.canonical_json spells it. Raises: NotCanonical, JsonTooDeep."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _INTEGRAL_LIMIT:
        return str(int(value))
    return canonical_bytes(value).decode("ascii")


def coerced(value: Json, type_: str) -> Json:
    """Return the value as ComfyUI makes it fit an input's type before it executes. Source: ComfyUI 0.29, execution.py."""
    try:
        if type_ == "INT" and isinstance(value, (str, float)):
            return int(value)
        if type_ == "FLOAT" and isinstance(value, (str, int)):
            return float(value)
        if type_ == "STRING" and isinstance(value, (int, float)):
            return str(value)
        if type_ == "BOOLEAN" and isinstance(value, (int, float, str)):
            return bool(value)
    except (ValueError, OverflowError):
        return value
    return value


class _Spelled:
    """A node, spelled once: literals in the order of names, links likewise."""

    __slots__ = ("class_type", "exact", "link_part", "links", "literals", "structure", "targets", "workflow")

    def __init__(self, node: Node, specs: NodeSpecs | None) -> None:
        inputs = node.inputs
        types = specs.inputs(node.class_type) if specs is not None else {}
        self.class_type = _quoted(node.class_type)
        self.literals: list[tuple[str, str, Json, Instance | None]] = []
        self.links: list[tuple[str, Link, Instance | None]] = []
        for name in sorted(inputs):
            value = inputs[name]
            if isinstance(value, Link):
                self.links.append((name, value, instance_parameter(node.class_type, name)))
                continue
            if name in types:
                value = coerced(value, types[name].type)
            self.literals.append((_quoted(name), spell(value), value, instance_parameter(node.class_type, name)))
        self.targets = [link.node for _, link, _ in self.links]
        self.link_part = ",".join(f"[{_quoted(name)},{link.slot}]" for name, link, _ in self.links)
        self.exact = self._digest([f"[{name},{text}]" for name, text, _, _ in self.literals])
        self.structure = self._digest([])
        self.workflow: dict[Instance | None, bytes] = {}

    def _digest(self, literals: Sequence[str]) -> bytes:
        spelled = f"[{self.class_type},[{','.join(literals)}],[{self.link_part}]]"
        return hashlib.sha256(spelled.encode("ascii")).digest()

    def at_workflow(self, mark: Instance | None) -> bytes:
        """The digest without what belongs to one run. `mark`: what a consumer says that this node's own values are."""
        digest = self.workflow.get(mark)
        if digest is None:
            kept = [
                f"[{name}]" if _is_instance(value, instance, mark) else f"[{name},{text}]"
                for name, text, value, instance in self.literals
            ]
            digest = self.workflow[mark] = self._digest(kept)
        return digest


def _is_instance(value: Json, instance: Instance | None, mark: Instance | None) -> bool:
    if instance is not None:
        # Also lists and objects of texts; a number under a text's name is a setting, and a switch always is.
        return not isinstance(value, bool) and (instance is Instance.SEED or not isinstance(value, (int, float)))
    if mark is Instance.TEXT:
        return isinstance(value, str)
    return mark is Instance.SEED and isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbering(spelled: dict[str, _Spelled], roots: Sequence[str]) -> dict[str, int]:
    """Nodes by first visit from the roots, depth first, inputs in the order of their names."""
    numbers: dict[str, int] = {}
    waiting = list(reversed(roots))
    while waiting:
        id_ = waiting.pop()
        if id_ not in numbers:
            numbers[id_] = len(numbers)
            waiting.extend(reversed(spelled[id_].targets))
    return numbers


def _marks(graph: Graph, spelled: dict[str, _Spelled], numbers: dict[str, int]) -> dict[str, Instance]:
    """Nodes that only hand on a text or seed which is typed into them instead of into the node that uses it."""
    marks: dict[str, Instance] = {}
    waiting = [
        (link.node, instance) for id_ in numbers for _, link, instance in spelled[id_].links if instance is not None
    ]
    # Where a node hands on both, what its first consumer in the numbering takes decides.
    waiting.reverse()
    while waiting:
        id_, instance = waiting.pop()
        if id_ not in marks and is_value_source(graph.nodes[id_].class_type):
            marks[id_] = instance
            waiting.extend((target, instance) for target in reversed(spelled[id_].targets))
    return marks


def _output(graph: Graph, spelled: dict[str, _Spelled], root: str) -> OutputIdentity:
    numbers = _numbering(spelled, (root,))
    marks = _marks(graph, spelled, numbers)
    exact, workflow, structure = (bytearray(_HEADS[level]) for level in _LEVELS)
    for id_ in numbers:
        node = spelled[id_]
        targets = array("I", [numbers[target] for target in node.targets])
        links = b"".join(number.to_bytes(4, "big") for number in targets)
        exact += node.exact + links
        workflow += node.at_workflow(marks.get(id_)) + links
        structure += node.structure + links
    return OutputIdentity(
        node=root,
        class_type=graph.nodes[root].class_type,
        exact=hashlib.sha256(exact).digest(),
        workflow=hashlib.sha256(workflow).digest(),
        structure=hashlib.sha256(structure).digest(),
    )


def _canonical(spelled: dict[str, _Spelled], outputs: Sequence[OutputIdentity], recipe: str) -> tuple[bytes, int]:
    roots = [output.node for output in outputs]
    numbers = _numbering(spelled, roots)
    nodes = []
    for id_ in numbers:
        node = spelled[id_]
        literals = ",".join(f"{name}:{text}" for name, text, _, _ in node.literals)
        links = ",".join(f"{_quoted(name)}:[{numbers[link.node]},{link.slot}]" for name, link, _ in node.links)
        nodes.append(f"[{node.class_type},{{{literals}}},{{{links}}}]")
    ends = ",".join(str(numbers[root]) for root in roots)
    text = f'{{"nodes":[{",".join(nodes)}],"outputs":[{ends}],"recipe":{_quoted(recipe)}}}'
    return text.encode("ascii"), len(numbers)


def identify(graph: Graph, specs: NodeSpecs | None = None) -> Identities:
    """Return a graph's identities at all three levels, with one entry per saving output, in the order of their digests.

    With `specs` values are first coerced as the server does, and the recipe says so (COERCED_RECIPE). A graph without a
    saving output is rooted at its previews, or at what nobody takes from, with a finding. `canonical` is the run as
    canonical JSON: `{"nodes": [[class, literals, links]…], "outputs": [number…], "recipe": …}`.
    Raises: GraphHasCycle; NotCanonical for values that `parse_graph` never lets through.
    """
    roots = root_outputs(graph)
    if not roots or has_cycle(graph, roots):
        raise GraphHasCycle("no identity without an order of execution", hint="read graphs with parse_graph")
    recipe = RECIPE if specs is None else COERCED_RECIPE
    findings: tuple[Finding, ...] = ()
    if not saving_outputs(graph):
        findings = (Finding(code="no-saving-output", detail="no node of this graph saves anything"),)
    spelled: dict[str, _Spelled] = {}
    waiting = list(roots)
    while waiting:
        id_ = waiting.pop()
        if id_ not in spelled:
            node = spelled[id_] = _Spelled(graph.nodes[id_], specs)
            waiting.extend(node.targets)
    outputs = sorted((_output(graph, spelled, root) for root in roots), key=lambda output: (output.exact, output.node))
    canonical, node_count = _canonical(spelled, outputs, recipe)
    return Identities(
        recipe=recipe,
        exact=_run(Level.EXACT, [output.exact for output in outputs], recipe),
        workflow=_run(Level.WORKFLOW, [output.workflow for output in outputs], recipe),
        structure=_run(Level.STRUCTURE, [output.structure for output in outputs], recipe),
        outputs=tuple(outputs),
        canonical=canonical,
        node_count=node_count,
        findings=findings,
    )


def _run(level: Level, digests: Sequence[bytes], recipe: str) -> bytes:
    return hashlib.sha256(_RUN_HEADS[level] + recipe.encode() + b"\n" + b"".join(sorted(digests))).digest()
