"""An editor's graph as the prompt that ComfyUI's frontend would have sent for it.

The prompt is written as its JSON and read by graph_reading, so that links, literals, limits and texts mean exactly what
they mean in an executed one.
"""

from __future__ import annotations

import json

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import Json, JsonTooDeep, NotJson, read_json
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.workflows.editor.drawing import DRAWING_LIMIT
from memoryd.workflows.editor.expanding import Expanded, Placed, expand
from memoryd.workflows.editor.facts import Converted, Kind, WidgetOrder
from memoryd.workflows.editor.file_names import resolve_prefixes
from memoryd.workflows.editor.naming import Effort, Named, Orders, name_values
from memoryd.workflows.editor.prose import without_comments
from memoryd.workflows.editor.wiring import Literal, Own, Wiring, is_real, sockets
from memoryd.workflows.graph_reading import parse_graph

NAMED_LIMIT = 10
"""Classes that one finding names."""


def convert(raw: bytes, *, specs: NodeSpecs | None = None, orders: Orders | None = None) -> Converted:
    """Return the graph of an editor's document (UI JSON, any schema), or none and the findings that say why.

    `specs`: the node specifications of a ComfyUI that has these nodes; `orders`: widget orders learned here, by class.
    Muted nodes are absent, bypassed ones are passed through, subgraphs and group nodes are laid out (`5:3`), what lives
    in the editor only is resolved. Findings: `widgets-not-named` where inputs got usual names (their nodes are in
    `guessed`); those of graph_reading. Source: ComfyUI_frontend 1.47, graphToPrompt.
    """
    if len(raw) > DRAWING_LIMIT:
        return _failed("document-too-large", f"{len(raw)} bytes are beyond DRAWING_LIMIT")
    try:
        document = _document(raw)
        expanded = expand(document) if isinstance(document, dict) else Expanded()
    except JsonTooDeep as error:
        return _failed("nested-too-deeply", error.detail)
    except NotJson as error:
        return _failed("not-json", storable(error.detail)[0])
    except RecursionError:
        return _failed("nested-too-deeply", "a value nests deeper than can be laid out (JSON_DEPTH_LIMIT)")
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        return _failed("not-an-editor-graph", "the document holds no list of nodes")
    wiring = Wiring(expanded)
    effort = Effort()
    findings = list(expanded.findings)
    prompt: dict[str, Json] = {}
    guessed: dict[str, str] = {}
    learned: dict[str, WidgetOrder] = {}
    for placed in expanded.nodes.values():
        if not is_real(placed):
            continue
        named = name_values(placed, specs, orders or {}, effort)
        if named.is_guessed:
            guessed[placed.id] = placed.drawn.type
        if named.tells and all(widget.kind is not Kind.ANY for widget in named.tells):
            learned[placed.drawn.type] = WidgetOrder(class_type=placed.drawn.type, widgets=named.tells)
        prompt[placed.id] = _node(placed, named, wiring)
    resolve_prefixes(expanded.nodes.values(), prompt)
    if guessed:
        findings.append(_not_named(guessed))
    if wiring.is_exhausted or effort.is_exhausted:
        detail = "links or values beyond STEPS_LIMIT or NAMED_VALUES_LIMIT are left out"
        findings.append(Finding(code="drawing-not-whole", detail=detail))
    if not prompt:
        return Converted(
            graph=None, findings=(*findings, Finding(code="not-a-graph", detail="no node of the drawing is executed"))
        )
    try:
        written = json.dumps(prompt).encode()
    except RecursionError:
        return _failed("nested-too-deeply", "a value nests deeper than can be written (JSON_DEPTH_LIMIT)")
    graph, more = parse_graph(written)
    return Converted(
        graph=graph,
        findings=(*findings, *more),
        learned=tuple(learned.values()),
        guessed=frozenset(storable(id_)[0] for id_ in guessed),
    )


def _document(raw: bytes) -> Json:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    value = read_json(text)
    return read_json(value) if isinstance(value, str) else value


def _failed(code: str, detail: str) -> Converted:
    return Converted(graph=None, findings=(Finding(code=code, detail=detail),))


def _not_named(guessed: dict[str, str]) -> Finding:
    classes = sorted(set(guessed.values()))
    listed = ", ".join(classes[:NAMED_LIMIT]) + (", …" if len(classes) > NAMED_LIMIT else "")
    detail = f"nobody here knows the widgets of {listed}: their values have usual names"
    return Finding(code="widgets-not-named", detail=storable(detail)[0], where=storable(next(iter(guessed)))[0])


def _node(placed: Placed, named: Named, wiring: Wiring) -> Json:
    """The node as a prompt has it: widgets in their order, then links of plain sockets."""
    inputs: dict[str, Json] = {
        name: _literal(without_comments(value) if name in named.prose else value) for name, value in named.values
    }
    for name, value in placed.set_outside.items():
        if name in inputs or any(slot.widget == name for slot in placed.inputs):
            inputs[name] = _literal(without_comments(value) if name in named.prose else value)
    for index, slot in sockets(placed):
        found = wiring.behind(placed, index)
        name = slot.widget or slot.name
        if isinstance(found, tuple):
            inputs[name] = [found[0], found[1]]
        elif isinstance(found, Literal):
            inputs[name] = _literal(found.value)
        elif isinstance(found, Own) or slot.origin is None or slot.widget is not None:
            continue
    node: dict[str, Json] = {"class_type": placed.drawn.type, "inputs": inputs}
    if placed.drawn.title:
        node["_meta"] = {"title": placed.drawn.title}
    return node


def _literal(value: Json) -> Json:
    """A value as a prompt spells it: a list would be read as a link, and is wrapped as the frontend does."""
    return {"__value__": value} if isinstance(value, (list, dict)) and _is_wrapped(value) else value


def _is_wrapped(value: Json) -> bool:
    return isinstance(value, list) or (isinstance(value, dict) and "__value__" in value)
