"""What a file that carries both forms teaches: the order of a class's widgets.

The frontend writes a prompt's inputs in the order of the widgets, then the links of plain sockets; so the names are the
prompt's, and a value of the drawing proves each place. What does not prove itself teaches nothing.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from memoryd.foundation.canonical_json import Json, JsonTooDeep, NotJson, read_json
from memoryd.workflows.editor.aligning import VALUES_LIMIT, align
from memoryd.workflows.editor.drawing import DRAWING_LIMIT, Drawn
from memoryd.workflows.editor.expanding import Placed, expand
from memoryd.workflows.editor.facts import Kind, Widget, WidgetOrder
from memoryd.workflows.facts import Graph, Link, Node

LEARNED_LIMIT = 200
"""Orders that one file teaches."""

WIDGETS_LIMIT = 200
"""Widgets of one class; the largest real class has below 100."""

NAME_LIMIT = 200
"""Characters of the name of a class or an input."""

_PROVEN = 0.6
"""The share of values that must be equal in both forms; a seed may differ, since the editor changes it after the run."""


def learn(prompt: Graph, workflow_raw: bytes, *, known: Container[str] = frozenset()) -> tuple[WidgetOrder, ...]:
    """Return the widget orders that the two forms of one graph prove, at most LEARNED_LIMIT, one per class.

    `known`: classes of which nothing needs to be learned; a file that has no others is not even parsed. A workflow that
    cannot be read teaches nothing: it says so where it is converted.
    """
    classes = {node.class_type for node in prompt.nodes.values() if node.class_type not in known}
    if not classes or len(workflow_raw) > DRAWING_LIMIT:
        return ()
    try:
        document = read_json(workflow_raw)
        if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
            return ()
        nodes = expand(document).nodes
    except (NotJson, JsonTooDeep, RecursionError):
        return ()
    found: dict[str, WidgetOrder] = {}
    for id_, placed in nodes.items():
        node = prompt.nodes.get(id_)
        class_type = placed.drawn.type
        if node is None or node.class_type != class_type or class_type not in classes or class_type in found:
            continue
        widgets = _proven(placed, node)
        if widgets:
            found[class_type] = WidgetOrder(class_type=class_type, widgets=widgets)
            if len(found) >= LEARNED_LIMIT:
                break
    return tuple(found.values())


def _proven(placed: Placed, node: Node) -> tuple[Widget, ...]:
    drawn = placed.drawn
    values = drawn.values
    if isinstance(values, Mapping) or not 0 < len(values) <= VALUES_LIMIT or len(node.class_type) > NAME_LIMIT:
        return ()
    if any(isinstance(value, dict) for value in values):
        return ()
    widgets = _widgets(drawn, node)
    if not 0 < len(widgets) <= WIDGETS_LIMIT or any(len(w.name) > NAME_LIMIT or "\n" in w.name for w in widgets):
        return ()
    aligned = align(widgets, values)
    if aligned.misfits or len(aligned.values) != len(widgets) or aligned.cost >= 1:
        return ()
    literals = [(name, value) for name, value in aligned.values if not isinstance(node.inputs[name], Link)]
    equal = sum(1 for name, value in literals if node.inputs[name] == value)
    if not literals or equal < _PROVEN * len(literals) or equal == 0:
        return ()
    return widgets


def _widgets(drawn: Drawn, node: Node) -> tuple[Widget, ...]:
    """The prompt's inputs that are widgets: literals, and links of which the drawing says that a widget was converted."""
    converted = {slot.name for slot in drawn.inputs if slot.widget is not None}
    sockets = {slot.name for slot in drawn.inputs if slot.widget is None}
    found = []
    for name, value in node.inputs.items():
        if isinstance(value, Link):
            if name in converted:
                found.append(Widget(name=name, kind=Kind.ANY))
        elif name not in sockets and name != "upload":
            found.append(Widget(name=name, kind=_kind(value)))
    return tuple(found)


def _kind(value: Json) -> Kind:
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, (int, float)):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) else Kind.ANY
