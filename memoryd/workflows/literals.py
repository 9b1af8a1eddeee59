"""What stands behind an input: a literal, or one that a chain of value nodes hands on. Never a guess between several."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.facts import Graph, Link, Node, Value
from memoryd.workflows.node_shapes import shape_of, words_of

Place: TypeAlias = tuple[str, str]
"""An input: its node's id, its name."""

HOPS_LIMIT = 50
"""Links followed to one literal."""

SELECTORS_LIMIT = 1
"""Switches that a switch's selector may stand behind: chains of them would double the work at every step."""

SELECTOR_HOPS_LIMIT = 10
"""Links followed to a selector's literal."""

_VALUE_NAMES = (
    "value", "int", "float", "number", "Number", "Value", "seed", "noise_seed", "string", "text", "a", "boolean",
    "INT", "FLOAT",
    "int_value", "float_value", "String", "Text", "prompt", "integer", "decimal", "input_value", "default_value",
    "constant",
)  # fmt: skip
_HANDING_ON = (
    "value",
    "input",
    "any",
    "anything",
    "source",
    "*",
    "",
    "int",
    "float",
    "number",
    "any_input",
    "data",
    "a",
)

_BUNDLE = re.compile(r"^(?:base_ctx|context|ctx|\w*pipe|ctx_\d+|pipeline|bus)$")
"""Inputs by which a bundle of values comes from the node before."""

_COMPUTES = re.compile(
    r"math|calc|expression|operation|multiply|multiple|divide|subtract|plus|minus|random|scale", re.IGNORECASE
)


def literal_behind(graph: Graph, value: Value | None, names: Sequence[str] = (), *, depth: int = 0) -> Json:
    """Return the literal that an input has, through at most HOPS_LIMIT nodes that only hand it on, or None: not known.

    `names` are the inputs to look for in the nodes on the way, before the usual names of value nodes. A node that
    computes (two numbers in, one out) hands on nothing; of a switch the branch that its selector chooses is followed.
    """
    return _behind(graph, value, names, depth)[1]


def place_behind(graph: Graph, place: Place, names: Sequence[str] = ()) -> Place | None:
    """Return where the literal stands that an input has, or None: not known. Otherwise as `literal_behind`."""
    node, name = place
    value = graph.nodes[node].inputs[name]
    return _behind(graph, value, names, 0)[0] if isinstance(value, Link) else place


def _behind(graph: Graph, value: Value | None, names: Sequence[str], depth: int) -> tuple[Place | None, Json]:
    """Return a literal behind a value and where it stands; no place for one that is there itself, or is not known."""
    place: Place | None = None
    for _ in range(HOPS_LIMIT if depth == 0 else SELECTOR_HOPS_LIMIT):
        if not isinstance(value, Link):
            return place, value
        node = graph.nodes.get(value.node)
        wanted = _way_on(graph, node, names, depth) if node is not None else None
        if node is None or wanted is None:
            return None, None
        place, value = (node.id, wanted), node.inputs[wanted]
    return None, None


def chosen_branch(graph: Graph, node: Node, *, depth: int = 0) -> str | None:
    """Return the input that a switch lets through, None where the node is no switch or its position is not known."""
    switch = shape_of(node.class_type, tuple(node.inputs)).switch
    if switch is None or depth > SELECTORS_LIMIT:
        return None
    position = None
    if switch.selector is not None:
        position = literal_behind(graph, node.inputs.get(switch.selector), depth=depth + 1)
    chosen = switch.chosen(node.inputs, position)
    return chosen if chosen in node.inputs else None


def _way_on(graph: Graph, node: Node, names: Sequence[str], depth: int) -> str | None:
    """The input of a node on the way by which the literal came to it."""
    inputs = node.inputs
    if shape_of(node.class_type, tuple(inputs)).switch is not None:
        return chosen_branch(graph, node, depth=depth)
    for name in names:
        if name in inputs and inputs[name] is not None:
            return name
    if len(inputs) == 1:
        return next(iter(inputs))
    if _COMPUTES.search(node.class_type):
        return None
    if not any(isinstance(other, Link) for other in inputs.values()):
        found = next((name for name in _VALUE_NAMES if name in inputs), None)
        return found if found is not None else _related(inputs, names)
    return _handed_on(inputs) or _related(inputs, names)


def _handed_on(inputs: Mapping[str, Value]) -> str | None:
    """The one link by which a node hands on what came to it, unless it could be another."""
    links = [name for name, value in inputs.items() if isinstance(value, Link)]
    bundles = [name for name in links if _BUNDLE.match(name)]
    if len(bundles) == 1:
        return bundles[0]
    return links[0] if len(links) == 1 and links[0].lower() in _HANDING_ON else None


def _related(inputs: Mapping[str, Value], names: Sequence[str]) -> str | None:
    """The one input whose name has a wanted word in it (`steps_total` for steps), or the only number there is."""
    wanted = set(names)
    found = [name for name in inputs if not wanted.isdisjoint(words_of(name)) and not isinstance(inputs[name], str)]
    if len(found) == 1:
        return found[0]
    numbers = [n for n, value in inputs.items() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return numbers[0] if names and not found and len(numbers) == 1 else None


def switched_rows(node: Node) -> list[dict[str, Json]]:
    """Return the rows of a list widget whose rows are switched on and off one by one (`active`), of all such of a node."""
    found: list[dict[str, Json]] = []
    for value in node.inputs.values():
        rows = value.get("__value__") if isinstance(value, dict) else value
        if isinstance(rows, list):
            found += [row for row in rows if isinstance(row, dict) and "active" in row]
    return found


def number_behind(graph: Graph, value: Value | None, names: Sequence[str] = ()) -> int | float | None:
    """Return the number that an input has, or None. Texts that spell a number count: ComfyUI takes them as one."""
    literal = literal_behind(graph, value, names) if isinstance(value, Link) else value
    if isinstance(literal, bool):
        return None
    if isinstance(literal, (int, float)):
        return literal
    if isinstance(literal, str) and len(literal) <= 40:
        for read in (int, float):
            try:
                number = read(literal)
            except ValueError:
                continue
            return number if math.isfinite(number) else None
    return None


def integer_behind(graph: Graph, value: Value | None, names: Sequence[str] = ()) -> int | None:
    """Return the whole number that an input has, all its digits, or None."""
    number = number_behind(graph, value, names)
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    return number


def word_behind(graph: Graph, value: Value | None, names: Sequence[str] = ()) -> str | None:
    """Return the text that an input has, or None."""
    literal = literal_behind(graph, value, names) if isinstance(value, Link) else value
    return literal if isinstance(literal, str) else None
