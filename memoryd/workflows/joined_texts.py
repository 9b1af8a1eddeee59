"""The text that an input has, joined from the nodes that it was written in."""

from __future__ import annotations

import dataclasses

from memoryd.workflows.facts import Graph, Link, Node, Polarity, Value
from memoryd.workflows.literals import chosen_branch, switched_rows
from memoryd.workflows.node_roles import input_files, names_media_file, names_model_file
from memoryd.workflows.node_shapes import NodeShape, shape_of, words_of
from memoryd.workflows.recipe_v1 import class_words

JOINED_LIMIT = 2_000_000
"""Characters joined from several nodes for one picture. A single node's text is taken whole, whatever its length."""

JOIN_DEPTH_LIMIT = 30
"""Nodes that join texts, one after the other. Real graphs have below ten."""

JOIN_STEPS_LIMIT = 2_000
"""Nodes looked at to join one picture's texts: those that each join the one before twice double it at every step."""

_TEXT_GIVERS = frozenset(
    (
        "text", "string", "prompt", "concat", "concatenate", "join", "primitive", "show", "wildcard", "reroute",
        "any", "preview",
        "multiline", "styler", "caption", "tagger", "llm", "value",
    )
)  # fmt: skip
_OPTION_WORDS = frozenset(
    (
        "delimiter", "separator", "mode", "action", "style", "language", "device", "parser", "log", "clean", "type",
        "name",
        "find", "replace", "replacement", "normalization", "interpretation", "method", "format", "model", "seed",
        "linebreak",
        "search", "key", "token", "system", "url", "path", "file", "category", "preset", "select", "position", "joiner",
    )
)  # fmt: skip
_NO_TEXTS = frozenset(
    ("true", "false", "enable", "disable", "enabled", "disabled", "on", "off", "none", "auto", "yes", "no")
)
_SEPARATORS = ("delimiter", "separator", "joiner", "text_delimiter", "linebreak")
_ESCAPES = {"\\n": "\n", "\\t": "\t"}
_PROSE_LENGTH = 20


@dataclasses.dataclass(slots=True)
class Joining:
    """How much was joined for one picture so far. `is_exhausted`: a limit was met, and texts may lack parts."""

    steps: int = 0
    visits: int = 0
    characters: int = 0
    is_template: bool = False
    is_sure: bool = True
    is_exhausted: bool = False
    polarity: Polarity = Polarity.POSITIVE


def joined_text(graph: Graph, value: Value, joining: Joining, polarity: Polarity) -> tuple[str, bool, bool]:
    """Return the text of an input, whether it is a template, and whether no choice between texts was left open.

    `polarity` is the side to take where a node on the way has texts of both.
    """
    if isinstance(value, str):
        return value, False, True
    joining.is_template, joining.is_sure, joining.polarity = False, True, polarity
    text = _gather(graph, value, joining, 0)
    return text, joining.is_template, joining.is_sure


def holds_text(graph: Graph, value: Value | None, polarity: Polarity = Polarity.POSITIVE) -> bool:
    """Tell whether an input holds a text, or a link to a node that gives one rather than a conditioning."""
    for _ in range(JOIN_DEPTH_LIMIT):
        if not isinstance(value, Link):
            return isinstance(value, str)
        node = graph.nodes.get(value.node)
        if node is None:
            return False
        inputs = node.inputs
        shape = shape_of(node.class_type, tuple(inputs))
        if shape.switch is not None:
            branches = shape.switch.branches.values()
            value = inputs.get(chosen_branch(graph, node) or next((n for n in branches if n in inputs), ""))
            continue
        if shape.gives_conditioning or shape.sampling > 0 or len(shape.conditioning) > len(shape.bundles):
            return False
        if len(inputs) == 1 and isinstance(onward := next(iter(inputs.values())), Link):
            value = onward
            continue
        own = shape.negative if polarity is Polarity.NEGATIVE else shape.positive
        told = next((name for name in own if inputs[name]), None) if shape.positive or shape.negative else None
        if told is not None:
            value = inputs[told]
            continue
        if shape.bundles and isinstance(inputs[shape.bundles[0]], Link):
            value = inputs[shape.bundles[0]]
            continue
        if shape.texts or any(isinstance(other, str) for other in inputs.values()):
            return True
        return not class_words(node.class_type).isdisjoint(_TEXT_GIVERS)
    return False


def _gather(graph: Graph, value: Value, joining: Joining, depth: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        return ", ".join(item for item in value if isinstance(item, str))
    node = graph.nodes.get(value.node) if isinstance(value, Link) else None
    if node is None:
        return ""
    joining.steps += 1
    if depth > JOIN_DEPTH_LIMIT or joining.steps > JOIN_STEPS_LIMIT or joining.characters > JOINED_LIMIT:
        joining.is_exhausted = True
        return ""
    shape = shape_of(node.class_type, tuple(node.inputs))
    if shape.is_template:
        joining.is_template = True
    if rows := switched_rows(node):
        # Words to switch on and off; a loader with such rows gives words that are read from its files.
        joining.is_template = joining.is_template or not any("text" in row for row in rows)
        return ", ".join(text for row in rows if row["active"] and isinstance(text := row.get("text"), str))
    parts = [_gather(graph, node.inputs[name], joining, depth + 1) for name in _parts(graph, node, shape, joining)]
    joined = _separator(node).join(part for part in parts if part)
    joining.characters += len(joined)
    return joined


def _is_option(value: Value) -> bool:
    return isinstance(value, str) and value.strip().lower() in _NO_TEXTS


def _separator(node: Node) -> str:
    inputs = node.inputs
    separator = next((s for name in _SEPARATORS if isinstance(s := inputs.get(name), str)), None)
    if separator is None:
        return {"true": "\n", "false": ""}.get(str(inputs.get("linebreak_addition")), " ")
    return _ESCAPES.get(separator, separator)


def _parts(graph: Graph, node: Node, shape: NodeShape, joining: Joining) -> list[str]:
    """The inputs that a node's text is made of, as far as their names or kinds tell."""
    inputs = node.inputs
    if shape.switch is not None:
        chosen = chosen_branch(graph, node)
        if chosen is not None:
            return [chosen]
        branches = [name for name in shape.switch.branches.values() if isinstance(inputs.get(name), (str, Link))]
        joining.is_sure = joining.is_sure and len(branches) < 2
        return branches
    named = [name for name in shape.texts if isinstance(inputs[name], (str, Link, list))]
    if len(named) > 1:
        named = [name for name in named if not _is_option(inputs[name])]
    own = shape.negative if joining.polarity is Polarity.NEGATIVE else shape.positive
    sided = [name for name in own if inputs[name] and isinstance(inputs[name], (str, Link))]
    if sided:
        return sided
    bundles = [name for name in shape.bundles if isinstance(inputs[name], Link)]
    if bundles and not named:
        return bundles
    if inputs.get("action") == "replace" or not _REPLACING.isdisjoint(class_words(node.class_type)):
        joining.is_template = True
        named = named[:1]
    linked = [name for name in named if isinstance(inputs[name], Link)]
    if linked and "show" in class_words(node.class_type):
        return linked  # what it showed last is kept beside what it shows
    if named:
        return named
    if input_files(node.class_type) is not None:
        joining.is_template = True  # the text comes out of a file, or out of what is given instead of one
        return [name for name in shape.onward if isinstance(inputs[name], Link)]
    literals = [
        name
        for name, value in inputs.items()
        if isinstance(value, str)
        and not _is_option(value)
        and _OPTION_WORDS.isdisjoint(words_of(name))
        and not names_model_file(value)
        and not names_media_file(value)
    ]
    if literals:
        joining.is_sure = False  # by no name that says it is the text
        if any(
            isinstance(value, str) and (names_media_file(value) or names_model_file(value)) for value in inputs.values()
        ):
            joining.is_template = True
            return []
        return [name for name in literals if len(str(inputs[name])) > _PROSE_LENGTH or " " in str(inputs[name]).strip()]
    return [name for name in shape.onward if isinstance(inputs[name], Link)]


_REPLACING = frozenset(("replace", "substitute", "regex"))
