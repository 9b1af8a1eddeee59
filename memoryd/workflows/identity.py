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

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.foundation.findings import Finding
from memoryd.workflows.facts import RECIPE, Graph, Identities, Level, Link, Node, OutputIdentity
from memoryd.workflows.spelling import Spelled, quoted, spell, spelled
from memoryd.workflows.topology import HEADS, Rooted, Topology, topology

COERCED_RECIPE = f"{RECIPE}+specs"
"""The recipe of identities whose values were coerced by node specifications: comparable only among themselves."""

VISITS_LIMIT = 200_000
"""Nodes visited from all outputs of one graph: the work that identity takes at most. Real graphs stay below 20,000."""

_RUN_HEADS = {level: f"memoryd run {RECIPE} {level}\n".encode() for level in Level}
_NO_SAVING_OUTPUT = Finding(code="no-saving-output", detail="no node of this graph saves anything")


class GraphHasCycle(NotAcceptable):
    """An output of this graph depends on itself."""


class TooManyOutputs(TooLarge):
    """This graph is too large to be compared."""


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


def _coerced_node(node: Node, specs: NodeSpecs) -> Node:
    types = specs.inputs(node.class_type)
    inputs = {
        name: coerced(value, types[name].type) if name in types and not isinstance(value, Link) else value
        for name, value in node.inputs.items()
    }
    return dataclasses.replace(node, inputs=inputs)


def _output(nodes: Sequence[Spelled], output: Rooted) -> OutputIdentity:
    exact = [HEADS[Level.EXACT]]
    workflow = [HEADS[Level.WORKFLOW]]
    for index, links, mark in output.steps:
        node = nodes[index]
        exact += (node.exact, links)
        workflow += (node.workflow.get(mark) or node.at_workflow(mark), links)
    root = nodes[output.index].node
    return OutputIdentity(
        node=root.id,
        class_type=root.class_type,
        exact=hashlib.sha256(b"".join(exact)).digest(),
        workflow=hashlib.sha256(b"".join(workflow)).digest(),
        structure=output.structure,
    )


def _canonical(shape: Topology, nodes: Sequence[Spelled], roots: tuple[int, ...], recipe: str) -> tuple[bytes, int]:
    steps, ends = shape.canonical(nodes, roots)
    body = ",".join([nodes[index].head + links for index, links in steps])
    return f'{{"nodes":[{body}],"outputs":[{ends}],"recipe":{quoted(recipe)}}}'.encode("ascii"), len(steps)


_last: tuple[Graph | None, list[Spelled]] = (None, [])
"""The graph that was spelled last: it is asked for by its reader, by its identities and by its values."""


def spelled_nodes(graph: Graph, specs: NodeSpecs | None = None) -> Sequence[Spelled]:
    """Return a graph's nodes, spelled, in its order. Raises: NotCanonical, JsonTooDeep."""
    global _last
    if specs is None:
        asked, nodes = _last
        if asked is not graph:
            nodes = [spelled(node) for node in graph.nodes.values()]
            _last = (graph, nodes)
        return nodes
    return [Spelled(_coerced_node(node, specs)) for node in graph.nodes.values()]


def identify(graph: Graph, specs: NodeSpecs | None = None, nodes: Sequence[Spelled] | None = None) -> Identities:
    """Return a graph's identities at all three levels, with one entry per saving output, in the order of their digests.

    With `specs` values are first coerced as the server does, and the recipe says so (COERCED_RECIPE). A graph without a
    saving output is rooted at its previews, or at what nobody takes from, with a finding. `canonical` is the run as
    canonical JSON: `{"nodes": [[class, literals, links]…], "outputs": [number…], "recipe": …}`. `nodes` are what
    `spelled_nodes` gives, where that is known already.
    Raises: GraphHasCycle; TooManyOutputs beyond VISITS_LIMIT; NotCanonical for values that `parse_graph` never lets through.
    """
    if nodes is None:
        nodes = spelled_nodes(graph, specs)
    shape = topology(graph, nodes)
    if shape.cyclic:
        raise GraphHasCycle("no identity without an order of execution", hint="read graphs with parse_graph")
    rooted = shape.outputs(nodes, VISITS_LIMIT)
    if not rooted:
        raise TooManyOutputs(
            f"{len(shape.roots)} outputs of {len(nodes)} nodes visit more than {VISITS_LIMIT} (VISITS_LIMIT)",
            hint="it is kept and read as it is; only graphs below this limit are compared",
        )
    recipe = RECIPE if specs is None else COERCED_RECIPE
    found = [(_output(nodes, output), output.index) for output in rooted]
    if len(found) > 1:
        found.sort(key=lambda pair: (pair[0].exact, pair[0].node))
    outputs = tuple([output for output, _ in found])
    canonical, node_count = _canonical(shape, nodes, tuple([index for _, index in found]), recipe)
    return Identities(
        recipe=recipe,
        exact=_run(Level.EXACT, [output.exact for output in outputs], recipe),
        workflow=_run(Level.WORKFLOW, [output.workflow for output in outputs], recipe),
        structure=_run(Level.STRUCTURE, [output.structure for output in outputs], recipe),
        outputs=outputs,
        canonical=canonical,
        node_count=node_count,
        findings=() if shape.saves else (_NO_SAVING_OUTPUT,),
    )


def _run(level: Level, digests: Sequence[bytes], recipe: str) -> bytes:
    return hashlib.sha256(run_head(level, recipe) + b"".join(sorted(digests))).digest()


@functools.lru_cache(len(Level) * 2)
def run_head(level: Level, recipe: str) -> bytes:
    """Return what a run's digest begins with; its outputs' follow, sorted."""
    return _RUN_HEADS[level] + recipe.encode() + b"\n"


__all__ = [
    "COERCED_RECIPE",
    "VISITS_LIMIT",
    "GraphHasCycle",
    "TooManyOutputs",
    "coerced",
    "identify",
    "spell",
    "spelled_nodes",
]
