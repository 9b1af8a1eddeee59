"""Ways through a graph along its links. Everything is iterative and visits a node once: graphs come from strangers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from memoryd.workflows.facts import Graph, Link, Node
from memoryd.workflows.recipe_v1 import is_preview, is_saving


def links_of(node: Node) -> list[tuple[str, Link]]:
    """Return the node's links with their input names, in the document's order."""
    return [(name, value) for name, value in node.inputs.items() if isinstance(value, Link)]


def saving_outputs(graph: Graph) -> tuple[str, ...]:
    """Return the nodes that write what is kept, in the document's order; empty where none does."""
    return tuple(id_ for id_, node in graph.nodes.items() if is_saving(node.class_type))


def root_outputs(graph: Graph) -> tuple[str, ...]:
    """Return where identity starts: saving outputs, or without any the previews, or the nodes that nobody takes from."""
    saving = saving_outputs(graph)
    if saving:
        return saving
    previews = tuple(id_ for id_, node in graph.nodes.items() if is_preview(node.class_type))
    if previews:
        return previews
    taken = {link.node for node in graph.nodes.values() for _, link in links_of(node)}
    return tuple(id_ for id_ in graph.nodes if id_ not in taken)


def execution_order(graph: Graph, roots: Iterable[str]) -> list[str]:
    """Return the roots and all their ancestors, each after everything that it takes from. A cycle is cut where it closes."""
    order: list[str] = []
    seen: set[str] = set()
    waiting: list[tuple[str, bool]] = [(root, False) for root in reversed(list(roots))]
    while waiting:
        id_, done = waiting.pop()
        if done:
            order.append(id_)
            continue
        if id_ in seen or id_ not in graph.nodes:
            continue
        seen.add(id_)
        waiting.append((id_, True))
        waiting.extend((link.node, False) for _, link in reversed(links_of(graph.nodes[id_])) if link.node not in seen)
    return order


def has_cycle(graph: Graph, roots: Iterable[str]) -> bool:
    """Tell whether any root depends on itself or on something that does."""
    place = {id_: index for index, id_ in enumerate(execution_order(graph, roots))}
    # In an order made depth first, exactly the links that close a cycle lead to a node that comes later, or to itself.
    return any(
        place[link.node] >= index
        for id_, index in place.items()
        for _, link in links_of(graph.nodes[id_])
        if link.node in place
    )


def nearest_first(graph: Graph, root: str, follows: Callable[[Node, str], bool]) -> list[str]:
    """Return the root and what is reached by the links that `follows(node, input name)` allows, nearest first."""
    found = [root]
    seen = {root}
    for id_ in found:
        node = graph.nodes[id_]
        for name, link in links_of(node):
            if link.node not in seen and link.node in graph.nodes and follows(node, name):
                seen.add(link.node)
                found.append(link.node)
    return found
