"""What search can ask of a graph's nodes: their classes (`node:VAEDecode`), and literal inputs (`node:KSampler.cfg>6`)."""

from __future__ import annotations

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import MemorydError
from memoryd.workflows.facts import Graph, Link, Node, NodeValue
from memoryd.workflows.identity import VISITS_LIMIT, spelled_nodes
from memoryd.workflows.recipe_v1 import is_value_source
from memoryd.workflows.spelling import inputs_of
from memoryd.workflows.topology import topology
from memoryd.workflows.tracing import execution_order, root_outputs

VALUE_TEXT_LIMIT = 200
"""Characters of a text that is kept: longer ones are prose, and found by its words."""

NODE_VALUES_LIMIT = 2_000
"""Values of one graph."""

_EXACT_LIMIT = 2**53
"""Integers beyond are kept as text: a double would change their digits."""


def node_values(graph: Graph) -> tuple[NodeValue, ...]:
    """Return the literals of the executed nodes, each once, sorted, at most NODE_VALUES_LIMIT.

    A class of which no literal is kept stands there once by itself, with an input and a text that are empty: whether it
    took part can be asked all the same.

    Without what differs from run to run (seeds, texts, names of files, what is typed into value nodes): searches of
    their own find those. Hence all graphs of one workflow (digest at that level) give the same values.
    """
    found: set[tuple[str, str, float | None, str | None]] = set()
    bare: set[str] = set()
    for node in _executed(graph):
        class_type, inputs, before = node.class_type, node.inputs, len(found)
        for name, _, instance in () if is_value_source(class_type) else inputs_of(class_type, tuple(inputs)):
            value = inputs[name]
            if instance is None and not isinstance(value, Link):
                number, text = _split(value)
                if number is not None or text is not None:
                    found.add((class_type, name, number, text))
        if len(found) == before:
            bare.add(class_type)
    bare -= {class_type for class_type, *_ in found}
    found.update([(class_type, "", None, "") for class_type in bare])
    ordered = sorted(found, key=lambda v: (v[0], v[1], v[2] is None, v[2] or 0.0, v[3] or ""))
    return tuple(map(NodeValue._make, ordered[:NODE_VALUES_LIMIT]))


def _executed(graph: Graph) -> list[Node]:
    try:
        spelled = spelled_nodes(graph)
    except MemorydError:
        return [graph.nodes[id_] for id_ in execution_order(graph, root_outputs(graph))]
    outputs = topology(graph, spelled).outputs(spelled, VISITS_LIMIT)
    if not outputs:
        return [graph.nodes[id_] for id_ in execution_order(graph, root_outputs(graph))]
    return [spelled[index].node for index in {index for output in outputs for index, _, _ in output.steps}]


def _split(value: Json) -> tuple[float | None, str | None]:
    if isinstance(value, bool):
        return None, "true" if value else "false"
    if isinstance(value, (int, float)):
        return (float(value), None) if abs(value) <= _EXACT_LIMIT else (None, str(value)[:VALUE_TEXT_LIMIT])
    if isinstance(value, str) and 0 < len(value) <= VALUE_TEXT_LIMIT:
        return None, value
    return None, None
