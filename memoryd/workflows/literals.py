"""What stands behind an input: a literal, or one that a chain of value nodes hands on. Never a guess between several."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.facts import Graph, Link, Value

HOPS_LIMIT = 50
"""Links followed to one literal."""

_VALUE_NAMES = ("value", "int", "float", "number", "Number", "seed", "noise_seed", "string", "text", "a")
_HANDING_ON = ("value", "input", "any", "anything", "source", "*", "")

_CONTEXT = re.compile(r"^(?:base_ctx|context|ctx|pipe|ctx_\d+)$")
"""Inputs by which a bundle of values comes from the node before."""


def literal_behind(graph: Graph, value: Value | None, names: Sequence[str] = ()) -> Json:
    """Return the literal that an input has, through at most HOPS_LIMIT nodes that only hand it on, or None: not known.

    `names` are the inputs to look for in the nodes on the way, before the usual names of value nodes. A node that
    computes (two numbers in, one out) hands on nothing.
    """
    for _ in range(HOPS_LIMIT):
        if not isinstance(value, Link):
            return value
        node = graph.nodes.get(value.node)
        if node is None:
            return None
        inputs = node.inputs
        wanted = next((name for name in names if name in inputs), None)
        if wanted is None and len(inputs) == 1:
            wanted = next(iter(inputs))
        if wanted is None and not any(isinstance(other, Link) for other in inputs.values()):
            wanted = next((name for name in _VALUE_NAMES if name in inputs), None)
        if wanted is None:
            wanted = _handed_on(inputs)
        if wanted is None:
            return None
        value = inputs[wanted]
    return None


def _handed_on(inputs: Mapping[str, Value]) -> str | None:
    """The one link by which a node hands on what came to it, unless it could be another."""
    links = [name for name, value in inputs.items() if isinstance(value, Link)]
    bundles = [name for name in links if _CONTEXT.match(name)]
    if len(bundles) == 1:
        return bundles[0]
    return links[0] if len(links) == 1 and links[0] in _HANDING_ON else None


def number_behind(graph: Graph, value: Value | None, names: Sequence[str] = ()) -> int | float | None:
    """Return the number that an input has, or None. Texts that spell a number count: ComfyUI takes them as one."""
    literal = literal_behind(graph, value, names)
    if isinstance(literal, bool):
        return None
    if isinstance(literal, (int, float)):
        return literal
    if isinstance(literal, str) and len(literal) <= 40:
        for read in (int, float):
            try:
                return read(literal)
            except ValueError:
                continue
    return None


def integer_behind(graph: Graph, value: Value | None, names: Sequence[str] = ()) -> int | None:
    """Return the whole number that an input has, all its digits, or None."""
    number = number_behind(graph, value, names)
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return number


def word_behind(graph: Graph, value: Value | None, names: Sequence[str] = ()) -> str | None:
    """Return the text that an input has, or None."""
    literal = literal_behind(graph, value, names)
    return literal if isinstance(literal, str) else None
