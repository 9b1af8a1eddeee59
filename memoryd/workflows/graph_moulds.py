"""Rows of graphs that differ in a few literals which belong to one run: digests begun, texts spelled, but for what differs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from memoryd.foundation.errors import MemorydError
from memoryd.workflows.facts import RECIPE, Graph, Identities, Level
from memoryd.workflows.identity import VISITS_LIMIT, run_head
from memoryd.workflows.preparing import packed, prepare_graph
from memoryd.workflows.ready_rows import ReadyGraph, ready_graph
from memoryd.workflows.spelling import Spelled, is_instance, quoted
from memoryd.workflows.topology import HEADS, Rooted, Topology, topology

ORDERS_REMEMBERED = 8
"""Orders of a run's outputs of which the canonical form is remembered: they are sorted by digests, which differ."""


class FilledGraph(NamedTuple):
    """A graph's rows, its name (32 bytes), and its outputs' by their nodes."""

    exact: bytes
    outputs: Mapping[str, bytes]
    ready: ReadyGraph


class _Node(NamedTuple):
    """A node that differs: what stands around its values, in its own digest and in the canonical form."""

    numbers: tuple[int, ...]
    told: tuple[str, ...]
    head: tuple[str, ...]

    def digest(self, spelled: Sequence[str]) -> bytes:
        if len(self.numbers) == 1:
            before, after = self.told
            text = f"{before}{spelled[self.numbers[0]]}{after}"
        else:
            text = "".join(_woven(self.told, [spelled[number] for number in self.numbers]))
        return hashlib.sha256(text.encode("ascii")).digest()


class _Output(NamedTuple):
    """An output: the digest as far as it is always the same, then (node that differs, what follows it)."""

    node: str
    place: int
    begun: hashlib._Hash
    steps: tuple[tuple[int, bytes], ...]

    def exact(self, digests: Mapping[int, bytes]) -> bytes:
        digest = self.begun.copy()
        digest.update(b"".join([part for index, links in self.steps for part in (digests[index], links)]))
        return digest.digest()


class _Canonical(NamedTuple):
    """The canonical form for one order of outputs."""

    pieces: tuple[str, ...]
    numbers: tuple[int, ...]


class GraphMould:
    """Makes rows of one graph with other values in it. What they say of the workflow is always the same."""

    __slots__ = ("_canonical", "_identities", "_nodes", "_outputs", "_shape", "_spelled", "_values")

    def __init__(
        self,
        identities: Identities,
        values: bytes,
        shape: Topology,
        spelled: Sequence[Spelled],
        nodes: dict[int, _Node],
    ) -> None:
        """As `of` puts them together."""
        self._identities = identities
        self._values = values
        self._shape = shape
        self._spelled = spelled
        self._nodes = nodes
        self._outputs = [self._output(rooted) for rooted in shape.outputs(spelled, VISITS_LIMIT)]
        self._canonical: dict[tuple[int, ...], _Canonical] = {}

    @classmethod
    def of(
        cls, graph: Graph, nodes: Sequence[Spelled], changing: Mapping[int, Sequence[tuple[int, int]]]
    ) -> GraphMould | None:
        """Return the mould of a graph; `changing` are (literal, number of the value) by the index of their node.

        None where a value says something of the workflow, or the graph cannot be compared at all.
        """
        try:
            prepared = prepare_graph(graph, nodes=nodes)
        except MemorydError:
            return None
        shape = topology(graph, nodes)
        for output in shape.outputs(nodes, VISITS_LIMIT):
            for index, _, mark in output.steps:
                literals = nodes[index].literals
                if not all(
                    is_instance(value, instance, mark)
                    for _, _, value, instance in (literals[at] for at, _ in changing.get(index, ()))
                ):
                    return None
        cut = {}
        for index, places in changing.items():
            ordered = sorted(places)
            told, head = nodes[index].cut_at([at for at, _ in ordered])
            cut[index] = _Node(tuple([number for _, number in ordered]), told, head)
        return cls(prepared.identities, ready_graph(prepared).values, shape, nodes, cut)

    def _output(self, rooted: Rooted) -> _Output:
        begun = hashlib.sha256(HEADS[Level.EXACT])
        steps: list[tuple[int, bytes]] = []
        for index, links, _ in rooted.steps:
            if index in self._nodes:
                steps.append((index, links))
            elif steps:
                changing, constant = steps[-1]
                steps[-1] = (changing, constant + self._spelled[index].exact + links)
            else:
                begun.update(self._spelled[index].exact + links)
        return _Output(self._spelled[rooted.index].node.id, rooted.index, begun, tuple(steps))

    @property
    def identities(self) -> Identities:
        """Those of one filling: workflow, structure and findings are those of all."""
        return self._identities

    def filled(self, values: Sequence[int | str]) -> FilledGraph:
        """Return the rows of the graph with these values."""
        spelled = [quoted(value) if isinstance(value, str) else str(value) for value in values]
        digests = {index: node.digest(spelled) for index, node in self._nodes.items()}
        found = [(output.exact(digests), output.node, output.place) for output in self._outputs]
        found.sort()
        told = self._identities
        exact = hashlib.sha256(run_head(Level.EXACT, RECIPE) + b"".join([one[0] for one in found])).digest()
        name = exact.hex()
        ready = ReadyGraph(
            exact,
            told.workflow,
            RECIPE,
            f"\\\\x{name}\t{RECIPE}\t\\\\x{self._packed(spelled, found)}\t{told.node_count}\n".encode("ascii"),
            (
                f"\\\\x{name}\tworkflow\t{RECIPE}\t\\\\x{told.workflow.hex()}\n"
                f"\\\\x{name}\tstructure\t{RECIPE}\t\\\\x{told.structure.hex()}\n"
            ).encode("ascii"),
            self._values,
        )
        return FilledGraph(exact, {node: digest for digest, node, _ in found}, ready)

    def _packed(self, spelled: Sequence[str], found: Sequence[tuple[bytes, str, int]]) -> str:
        order = tuple([index for _, _, index in found])
        form = self._canonical.get(order)
        if form is None:
            if len(self._canonical) >= ORDERS_REMEMBERED:
                self._canonical.clear()
            form = self._canonical[order] = self._form(order)
        whole = "".join(_woven(form.pieces, [spelled[number] for number in form.numbers]))
        return packed(whole.encode("ascii")).hex()

    def _form(self, order: tuple[int, ...]) -> _Canonical:
        steps, ends = self._shape.canonical(self._spelled, order)
        pieces = ['{"nodes":[']
        numbers: list[int] = []
        for place, (index, links) in enumerate(steps):
            node = self._nodes.get(index)
            first, *others = (self._spelled[index].head,) if node is None else node.head
            pieces[-1] += f"{',' if place else ''}{first}"
            pieces += others
            numbers += () if node is None else node.numbers
            pieces[-1] += links
        pieces[-1] += f'],"outputs":[{ends}],"recipe":{quoted(RECIPE)}}}'
        return _Canonical(tuple(pieces), tuple(numbers))


def _woven(pieces: Sequence[str], between: Sequence[str]) -> list[str]:
    woven = [*pieces, *between]
    woven[::2] = pieces
    woven[1::2] = between
    return woven
