"""What only depends on how a graph's nodes are linked: where identity starts, its numbering, the digests of its structure.

Remembered by the graph's shape (ids, classes, links), so that the pictures of one workflow walk through it once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import sys
from collections.abc import Sequence

from memoryd.workflows.facts import RECIPE, Graph, Level
from memoryd.workflows.recipe_v1 import Instance, is_preview, is_saving, is_value_source
from memoryd.workflows.spelling import Remembered, Spelled, quoted

REMEMBERED_SHAPES = 128
"""Graphs of which each generation of the memory holds the shape: about 20 KB each."""

SHAPE_NODES_LIMIT = 500
"""Nodes of a graph that is remembered at all: larger ones are rare, and would fill the memory."""

_MISSING = -1
"""The index of a node that is not there: no graph of `parse_graph` links to one."""

HEADS = {level: f"memoryd graph {RECIPE} {level}\n".encode() for level in Level}


@dataclasses.dataclass(frozen=True, slots=True)
class Rooted:
    """One output: its nodes in their numbering as (index in the graph, numbers of what it takes, what its values are)."""

    index: int
    steps: tuple[tuple[int, bytes, Instance | None], ...]
    structure: bytes


class Topology:
    """A graph's shape. `roots` are node indexes in the document's order; `cyclic`: there is no order to execute it in, since
    a root depends on itself or on what is not there.
    """

    __slots__ = ("_canonical", "_outputs", "_targets", "cyclic", "ids", "roots", "saves", "visits")

    def __init__(self, ids: tuple[str, ...], nodes: Sequence[Spelled]) -> None:
        """`nodes` are those with these ids, in order."""
        place = {id_: index for index, id_ in enumerate(ids)}
        self.ids = ids
        self._targets = [[place.get(link.node, _MISSING) for _, link, _ in node.links] for node in nodes]
        self.roots, self.saves = _roots([node.node.class_type for node in nodes], self._targets)
        self.cyclic = not self.roots or _has_cycle(self._targets, self.roots)
        self._canonical: dict[tuple[int, ...], tuple[tuple[int, str], ...]] = {}
        self._outputs: tuple[Rooted, ...] | None = None
        self.visits = 0

    def outputs(self, nodes: Sequence[Spelled], visits_limit: int) -> tuple[Rooted, ...]:
        """Return each output's own numbering, none where `cyclic` or where all of them together visit more nodes than this.

        Walked through at the first call: whoever only reads a graph need not wait for it. `visits` counts.
        """
        if self._outputs is None:
            self._outputs = tuple(self._walked(nodes, visits_limit))
        return self._outputs

    def _walked(self, nodes: Sequence[Spelled], visits_limit: int) -> list[Rooted]:
        numberings: list[tuple[int, dict[int, int]]] = []
        self.visits = 0
        for root in () if self.cyclic else self.roots:
            numbers = _numbering(self._targets, (root,), visits_limit - self.visits)
            self.visits += len(numbers)
            if self.visits > visits_limit:
                return []
            numberings.append((root, numbers))
        return [self._rooted(nodes, root, numbers) for root, numbers in numberings]

    def _rooted(self, nodes: Sequence[Spelled], root: int, numbers: dict[int, int]) -> Rooted:
        marks = _marks(nodes, self._targets, numbers)
        steps = tuple(
            [
                (index, b"".join([numbers[t].to_bytes(4, "big") for t in self._targets[index]]), marks.get(index))
                for index in numbers
            ]
        )
        structure = HEADS[Level.STRUCTURE] + b"".join(
            [nodes[index].at_structure() + links for index, links, _ in steps]
        )
        return Rooted(root, steps, hashlib.sha256(structure).digest())

    def canonical(self, nodes: Sequence[Spelled], roots: tuple[int, ...]) -> tuple[tuple[tuple[int, str], ...], str]:
        """Return the nodes in the run's numbering as (index, spelled links), and the numbers of its outputs."""
        known = self._canonical.get(roots)
        if known is None:
            numbers = _numbering(self._targets, roots)
            known = tuple(
                [
                    (index, _links(nodes[index], [numbers[target] for target in self._targets[index]]))
                    for index in numbers
                ]
            )
            if len(self._canonical) < len(roots) + 1:
                self._canonical[roots] = known
        numbered = {index: number for number, (index, _) in enumerate(known)} if len(roots) > 1 else {roots[0]: 0}
        return known, ",".join([str(numbered[root]) for root in roots])


def _links(node: Spelled, numbers: Sequence[int]) -> str:
    spelled = [
        f"{quoted(name)}:[{number},{link.slot}]" for (name, link, _), number in zip(node.links, numbers, strict=True)
    ]
    return f"{{{','.join(spelled)}}}]"


def _roots(classes: Sequence[str], targets: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], bool]:
    saving = tuple([index for index, class_type in enumerate(classes) if is_saving(class_type)])
    if saving:
        return saving, True
    previews = tuple([index for index, class_type in enumerate(classes) if is_preview(class_type)])
    if previews:
        return previews, False
    taken = set(itertools.chain.from_iterable(targets))
    return tuple([index for index in range(len(classes)) if index not in taken]), False


def _has_cycle(targets: Sequence[Sequence[int]], roots: Sequence[int]) -> bool:
    opened, closed = set[int](), set[int]()
    waiting = list(roots)
    while waiting:
        index = waiting[-1]
        if index in closed:
            waiting.pop()
        elif index in opened:
            closed.add(waiting.pop())
        else:
            opened.add(index)
            for target in targets[index]:
                if target == _MISSING or (target in opened and target not in closed):
                    return True
                if target not in closed:
                    waiting.append(target)
    return False


def _numbering(targets: Sequence[Sequence[int]], roots: Sequence[int], limit: int = sys.maxsize) -> dict[int, int]:
    """Nodes by first visit from the roots, depth first, inputs in the order of their names; one beyond `limit` at most."""
    numbers: dict[int, int] = {}
    waiting = list(reversed(roots))
    while waiting and len(numbers) <= limit:
        index = waiting.pop()
        if index not in numbers:
            numbers[index] = len(numbers)
            waiting += reversed(targets[index])
    return numbers


def _marks(nodes: Sequence[Spelled], targets: Sequence[Sequence[int]], numbers: dict[int, int]) -> dict[int, Instance]:
    """Nodes that only hand on a text or seed which is typed into them instead of into the node that uses it."""
    marks: dict[int, Instance] = {}
    waiting = [
        (target, instance)
        for index in numbers
        for (_, _, instance), target in zip(nodes[index].links, targets[index], strict=True)
        if instance is not None
    ]
    # Where a node hands on both, what its first consumer in the numbering takes decides.
    waiting.reverse()
    while waiting:
        index, instance = waiting.pop()
        if index not in marks and is_value_source(nodes[index].node.class_type):
            marks[index] = instance
            waiting += [(target, instance) for target in reversed(targets[index])]
    return marks


_shapes: Remembered[tuple[object, ...], Topology] = Remembered(REMEMBERED_SHAPES)


def topology(graph: Graph, nodes: Sequence[Spelled]) -> Topology:
    """Return a graph's shape; `nodes` are its nodes' spellings in order. Links to nodes that are not there are an error."""
    ids = tuple(graph.nodes)
    if len(ids) > SHAPE_NODES_LIMIT:
        return Topology(ids, nodes)
    key = (ids, tuple([node.number for node in nodes]))
    known = _shapes.get(key)
    return known if known is not None else _shapes.keep(key, Topology(ids, nodes))
