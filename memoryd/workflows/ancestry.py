"""Which nodes an output really came from: its ancestors, without the branches that a switch did not let through."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows.facts import Graph, Link, Node
from memoryd.workflows.literals import chosen_branch
from memoryd.workflows.node_shapes import shape_of
from memoryd.workflows.recipe_v1 import NAME_CACHE_SIZE, class_words, is_preview, is_saving
from memoryd.workflows.switches import may_switch

_NOTHING: frozenset[str] = frozenset()
_SHOWING_WORDS = frozenset(("output", "debug", "print", "terminator", "websocket", "plot"))


def ancestors(graph: Graph, roots: Iterable[str], *, lazy_only: bool = False) -> list[str]:
    """Return the roots and all that they came from, each after everything that it takes from.

    Of a switch whose position is known only the branch that it lets through is followed; with `lazy_only` only where
    ComfyUI does not even run the others. A cycle is cut where it closes.
    """
    order: list[str] = []
    seen: set[str] = set()
    nodes = graph.nodes
    waiting: list[tuple[str, bool]] = [(root, False) for root in reversed(list(roots))]
    while waiting:
        id_, done = waiting.pop()
        if done:
            order.append(id_)
            continue
        if id_ in seen or id_ not in nodes:
            continue
        seen.add(id_)
        waiting.append((id_, True))
        node = nodes[id_]
        inputs = node.inputs
        left_out = _left_out(graph, node, lazy_only) if may_switch(node.class_type) else _NOTHING
        sources = [value.node for name, value in inputs.items() if isinstance(value, Link) and name not in left_out]
        waiting.extend((source, False) for source in reversed(sources) if source not in seen)
    return order


def _left_out(graph: Graph, node: Node, lazy_only: bool) -> frozenset[str]:
    switch = shape_of(node.class_type, tuple(node.inputs)).switch
    if switch is None or (lazy_only and True not in switch.branches):
        return frozenset()
    chosen = chosen_branch(graph, node)
    return frozenset() if chosen is None else frozenset(switch.branches.values()) - {chosen}


def executed_outputs(graph: Graph, specs: NodeSpecs | None = None) -> tuple[str, ...]:
    """Return the nodes for whose sake the graph was run: what saves, shows or prints, in the document's order."""
    return tuple(
        id_
        for id_, node in graph.nodes.items()
        if _ends_a_run(node.class_type)
        or "image_output" in node.inputs
        or (specs is not None and specs.is_output(node.class_type))
    )


@functools.lru_cache(NAME_CACHE_SIZE)
def _ends_a_run(class_type: str) -> bool:
    return is_saving(class_type) or is_preview(class_type) or not _SHOWING_WORDS.isdisjoint(class_words(class_type))
