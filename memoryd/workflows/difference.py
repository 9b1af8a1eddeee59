"""What differs between two graphs, by named inputs of matched nodes; ids, order and titles do not matter.

Nodes are matched by what they are for: outputs first, then along inputs of the same name; what is left over by equal
content, then by class and id, then by class. An inserted node so stays one added node and the links around it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.facts import Graph, Identities, Link, Node, OutputIdentity, Value
from memoryd.workflows.identity import identify, spell
from memoryd.workflows.tracing import execution_order, links_of, root_outputs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeShown:
    """A node, as a difference names it."""

    node: str
    class_type: str
    title: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An input's value in one graph. `present` is False where the node has no such input; a link has `link` instead."""

    present: bool
    literal: Json = None
    link: NodeShown | None = None
    slot: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputChange:
    """An input that differs between two matched nodes."""

    class_type: str
    title: str | None
    node_before: str
    node_after: str
    input: str
    before: Side
    after: Side


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GraphDifference:
    """What differs between the executed nodes of two graphs. `same` is whether their exact identities are equal."""

    same: bool
    same_workflow: bool
    changes: tuple[InputChange, ...] = ()
    added: tuple[NodeShown, ...] = ()
    removed: tuple[NodeShown, ...] = ()


def diff_graphs(a: Graph, b: Graph) -> GraphDifference:
    """Return what must be done to `a` to have `b`: changed inputs, added and removed nodes, in order of execution.

    Only executed nodes count. Raises: GraphHasCycle (never for graphs from parse_graph).
    """
    one, other = identify(a), identify(b)
    left, right = _side(a, one), _side(b, other)
    pairs = _matched(left, right)
    matched = set(pairs.values())
    changes: list[InputChange] = []
    for id_ in left.order:
        if id_ in pairs:
            changes.extend(_changes(a, a.nodes[id_], b, b.nodes[pairs[id_]], pairs))
    return GraphDifference(
        same=one.exact == other.exact,
        same_workflow=one.workflow == other.workflow,
        changes=tuple(changes),
        added=tuple(_shown(b.nodes[id_]) for id_ in right.order if id_ not in matched),
        removed=tuple(_shown(a.nodes[id_]) for id_ in left.order if id_ not in pairs),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One graph with what its nodes are matched by."""

    graph: Graph
    order: list[str]
    outputs: Mapping[str, OutputIdentity]
    contents: Mapping[str, bytes]

    def class_of(self, id_: str) -> str:
        return self.graph.nodes[id_].class_type


def _side(graph: Graph, identities: Identities) -> _Side:
    order = execution_order(graph, root_outputs(graph))
    contents: dict[str, bytes] = {}
    for id_ in order:
        spelled = [graph.nodes[id_].class_type]
        for name, value in sorted(graph.nodes[id_].inputs.items()):
            content = f"{contents[value.node].hex()}:{value.slot}" if isinstance(value, Link) else spell(value)
            spelled.append(f"{name}={content}")
        contents[id_] = hashlib.sha256("\0".join(spelled).encode("utf-8", "surrogatepass")).digest()
    outputs = {output.node: output for output in identities.outputs}
    return _Side(graph=graph, order=order, outputs=outputs, contents=contents)


def _by_output(level: str) -> Callable[[_Side, str], Hashable]:
    def key(side: _Side, id_: str) -> Hashable:
        output = side.outputs.get(id_)
        return None if output is None else (output.class_type, getattr(output, level, None))

    return key


_KEYS: tuple[Callable[[_Side, str], Hashable], ...] = (
    _by_output("exact"),
    _by_output("workflow"),
    _by_output("structure"),
    _by_output("class_type"),
    lambda side, id_: side.contents[id_],
    lambda side, id_: (side.class_of(id_), id_),
    lambda side, id_: side.class_of(id_),
)
"""What two nodes must have in common to be matched, the surest first. None: not matched by this."""


def _matched(left: _Side, right: _Side) -> dict[str, str]:
    pairs: dict[str, str] = {}
    taken: set[str] = set()
    for key in _KEYS:
        free: dict[Hashable, deque[str]] = defaultdict(deque)
        # From the outputs on: what is nearest to the picture is matched first, and leads to the rest.
        for id_ in reversed(right.order):
            free[key(right, id_)].append(id_)
        for id_ in reversed(left.order):
            wanted = None if id_ in pairs else key(left, id_)
            candidates = free.get(wanted) if wanted is not None else None
            while candidates:
                candidate = candidates.popleft()
                if candidate not in taken:
                    _follow(left, right, (id_, candidate), pairs, taken)
                    break
    return pairs


def _follow(left: _Side, right: _Side, start: tuple[str, str], pairs: dict[str, str], taken: set[str]) -> None:
    """Match two nodes, and along inputs of the same name whatever is of the same class."""
    waiting = [start]
    while waiting:
        one, other = waiting.pop()
        if one in pairs or other in taken or left.class_of(one) != right.class_of(other):
            continue
        pairs[one] = other
        taken.add(other)
        inputs = right.graph.nodes[other].inputs
        for name, link in links_of(left.graph.nodes[one]):
            twin = inputs.get(name)
            if isinstance(twin, Link) and twin.slot == link.slot:
                waiting.append((link.node, twin.node))


def _changes(a: Graph, before: Node, b: Graph, after: Node, pairs: Mapping[str, str]) -> Iterator[InputChange]:
    for name in dict.fromkeys((*before.inputs, *after.inputs)):
        absent = name not in before.inputs or name not in after.inputs
        if absent or not _equal(before.inputs[name], after.inputs[name], pairs):
            yield InputChange(
                class_type=before.class_type,
                title=after.title or before.title,
                node_before=before.id,
                node_after=after.id,
                input=name,
                before=_input(a, before, name),
                after=_input(b, after, name),
            )


def _equal(before: Value, after: Value, pairs: Mapping[str, str]) -> bool:
    if isinstance(before, Link) or isinstance(after, Link):
        if not (isinstance(before, Link) and isinstance(after, Link)):
            return False
        return before.slot == after.slot and pairs.get(before.node) == after.node
    return spell(before) == spell(after)


def _input(graph: Graph, node: Node, name: str) -> Side:
    if name not in node.inputs:
        return Side(present=False)
    value = node.inputs[name]
    if isinstance(value, Link):
        return Side(present=True, link=_shown(graph.nodes[value.node]), slot=value.slot)
    return Side(present=True, literal=value)


def _shown(node: Node) -> NodeShown:
    return NodeShown(node=node.id, class_type=node.class_type, title=node.title)
