"""A workflow's subgraphs and group nodes laid out flat: every drawn node with the id that the frontend gives it.

A node inside the subgraph that node 5 stands for is `5:3`; nested ones `5:3:8`. Source: ComfyUI_frontend 1.47.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.findings import Finding
from memoryd.workflows.editor.drawing import (
    BYPASSED,
    INPUT_BOUNDARY,
    MUTED,
    Drawing,
    Drawn,
    Origin,
    Slot,
    as_list,
    id_of,
    read_drawing,
    text_in,
)
from memoryd.workflows.editor.group_nodes import Group, read_groups

EXPANDED_LIMIT = 20_000
"""Nodes after subgraphs and group nodes are laid out; as many as a prompt may have."""

DEPTH_LIMIT = 16
"""Subgraphs inside subgraphs. Real ones nest three deep; a definition that contains itself would never end."""

EXPANDED_BYTES_LIMIT = 16 * 1024 * 1024
"""Bytes of JSON of all subgraphs and group nodes laid out: one that is drawn once and used ten thousand times counts so
often. The largest real workflow comes to 4 MB."""

PROMOTED_LIMIT = 300
"""Widgets that one subgraph shows on its outside."""

CONTROL_WORDS = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
"""What an editor does with a seed after a run: a value of its own beside the seed's."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Placed:
    """One node of the flat graph. Its inputs' origins are ids of the flat graph.

    `gives`: where each output of a subgraph or group node comes from inside it (None for any other node).
    `owner`: the node whose inputs an input boundary hands in, whose inputs `takes` names. `set_outside`: values of
    widgets that a subgraph's outside sets, by the widget's name. `runs`: it is not inside something muted or bypassed.
    """

    id: str
    scope: str
    drawn: Drawn
    inputs: tuple[Slot, ...]
    runs: bool
    gives: tuple[Origin | None, ...] | None = None
    owner: str | None = None
    takes: tuple[str, ...] = ()
    set_outside: Mapping[str, Json] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, kw_only=True)
class Expanded:
    """All nodes of a workflow, flat, in the order of drawing; and the drawing of each scope."""

    nodes: dict[str, Placed] = dataclasses.field(default_factory=dict)
    drawings: dict[str, Drawing] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Canvas:
    """One drawing to lay out, and what its outside says about it. `outside`: values by inner node, by widget."""

    drawing: Drawing
    scope: str
    depth: int
    runs: bool
    outside: Mapping[str, Mapping[str, Json]]


def expand(document: Mapping[str, Json]) -> Expanded:
    """Return the workflow's nodes laid out flat. Beyond EXPANDED_LIMIT or DEPTH_LIMIT: a finding, and the rest left out."""
    definitions = _definitions(document)
    groups = read_groups(document)
    found = Expanded()
    drawings: dict[str, Drawing] = {}
    sizes: dict[str, int] = {}
    spent = 0
    waiting = [_Canvas(drawing=read_drawing(document), scope="", depth=0, runs=True, outside={})]
    for canvas in waiting:
        found.drawings[canvas.scope] = canvas.drawing
        if canvas.drawing.is_cut:
            found.findings.append(Finding(code="too-many-links", detail="links beyond LINKS_LIMIT are left out"))
        for drawn in canvas.drawing.nodes:
            if len(found.nodes) >= EXPANDED_LIMIT:
                detail = f"nodes beyond {EXPANDED_LIMIT} (EXPANDED_LIMIT) are left out"
                found.findings.append(Finding(code="too-many-nodes", detail=detail))
                return found
            body = definitions.get(drawn.type) or (groups[drawn.type].body if drawn.type in groups else None)
            if body is not None:
                if drawn.type not in sizes:
                    sizes[drawn.type] = len(json.dumps(body))
                spent += sizes[drawn.type]
                if spent > EXPANDED_BYTES_LIMIT:
                    detail = "subgraphs and group nodes beyond EXPANDED_BYTES_LIMIT are left out"
                    found.findings.append(Finding(code="too-many-nodes", detail=detail))
                    return found
            if drawn.type in definitions:
                if drawn.type not in drawings:
                    drawings[drawn.type] = read_drawing(definitions[drawn.type])
                inner = _place_subgraph(found, canvas, drawn, drawings[drawn.type])
                if inner is not None:
                    waiting.append(inner)
            elif drawn.type in groups:
                _place_group(found, canvas, drawn, groups[drawn.type])
            else:
                _place(found, canvas, drawn)
    return found


def _definitions(document: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    holder = document.get("definitions")
    listed = as_list(holder.get("subgraphs")) if isinstance(holder, dict) else []
    found = {}
    for definition in listed:
        id_ = text_in(definition, "id")
        if id_ is not None and isinstance(definition, dict):
            found[id_] = definition
    return found


def _place(found: Expanded, canvas: _Canvas, drawn: Drawn) -> Placed:
    id_ = canvas.scope + drawn.id
    placed = Placed(
        id=id_,
        scope=canvas.scope,
        drawn=drawn,
        inputs=tuple(_moved(slot, canvas.scope) for slot in drawn.inputs),
        runs=canvas.runs,
        set_outside=canvas.outside.get(drawn.id, {}),
    )
    found.nodes[id_] = placed
    return placed


def _moved(slot: Slot, scope: str) -> Slot:
    if slot.origin is None or not scope:
        return slot
    return dataclasses.replace(slot, origin=(scope + slot.origin[0], slot.origin[1]))


def _place_subgraph(found: Expanded, canvas: _Canvas, drawn: Drawn, inner: Drawing) -> _Canvas | None:
    placed = _place(found, canvas, drawn)
    if canvas.depth >= DEPTH_LIMIT:
        detail = f"subgraphs nest deeper than {DEPTH_LIMIT} (DEPTH_LIMIT): what is inside is left out"
        found.findings.append(Finding(code="subgraphs-too-deep", detail=detail, where=placed.id))
        placed.gives = ()
        return None
    scope = f"{placed.id}:"
    outside, by_name = _promoted(drawn)
    by_name.update(placed.set_outside)
    for widgets in outside.values():
        widgets.update({name: by_name[name] for name in widgets if name in placed.set_outside})
    placed.set_outside = by_name
    placed.gives = tuple(
        _given(drawn, inner, index, scope) for index in range(max(len(drawn.outputs), len(inner.gives)))
    )
    placed.takes = inner.takes
    boundary = scope + INPUT_BOUNDARY
    found.nodes[boundary] = Placed(
        id=boundary, scope=scope, drawn=drawn, inputs=(), runs=False, owner=placed.id, takes=inner.takes
    )
    runs = canvas.runs and drawn.mode not in (MUTED, BYPASSED)
    return _Canvas(drawing=inner, scope=scope, depth=canvas.depth + 1, runs=runs, outside=outside)


def _given(drawn: Drawn, inner: Drawing, index: int, scope: str) -> Origin | None:
    """Where an instance's output comes from: by its name where the definition has that name once, else by its place."""
    place = inner.names_given.get(drawn.outputs[index].name, index) if index < len(drawn.outputs) else index
    origin = inner.gives[place] if place < len(inner.gives) else None
    return None if origin is None else (scope + origin[0], origin[1])


def _promoted(drawn: Drawn) -> tuple[dict[str, dict[str, Json]], dict[str, Json]]:
    """Return the values that a subgraph's outside sets: of inner nodes' widgets, and of its own inputs by name."""
    by_node: dict[str, dict[str, Json]] = {}
    by_name: dict[str, Json] = {}
    if isinstance(drawn.values, dict):
        by_name.update(drawn.values)
        return by_node, by_name
    shown = list(_shown_widgets(drawn))
    values = drawn.values
    if len(values) != len(shown):
        values = [value for value in values if not (isinstance(value, str) and value in CONTROL_WORDS)]
        shown = [(inner, name) for inner, name in shown if name != "control_after_generate"]
    if len(values) != len(shown):
        return by_node, by_name
    for (inner, name), value in zip(shown, values, strict=True):
        if value is None or name == "control_after_generate":
            continue
        if inner is None:
            by_name[name] = value
        else:
            by_node.setdefault(inner, {})[name] = value
    return by_node, by_name


def _shown_widgets(drawn: Drawn) -> Iterator[tuple[str | None, str]]:
    """The widgets on a subgraph's outside, in order: (inner node or None for an input of its own, widget's name)."""
    listed = drawn.properties.get("proxyWidgets")
    if isinstance(listed, list) and listed:
        for entry in listed[:PROMOTED_LIMIT]:
            parts = as_list(entry)
            inner, name = (id_of(parts[0]), parts[1]) if len(parts) >= 2 else (None, None)
            if isinstance(name, str):
                yield (None if inner in (None, "-1") else inner), name
        return
    for slot in drawn.inputs[:PROMOTED_LIMIT]:
        if slot.widget is not None:
            yield None, slot.name


def _place_group(found: Expanded, canvas: _Canvas, drawn: Drawn, group: Group) -> None:
    outer = _place(found, canvas, drawn)
    scope = f"{outer.id}:"
    runs = canvas.runs and drawn.mode not in (MUTED, BYPASSED)
    outer.gives = tuple((scope + origin[0], origin[1]) for origin in group.gives)
    by_name = {slot.name: slot.origin for slot in outer.inputs}
    sockets = [slot.origin for slot in outer.inputs if slot.widget is None]
    outside = group.values_outside(drawn.values)
    for index, inner in enumerate(group.nodes[: EXPANDED_LIMIT - len(found.nodes)]):
        slots = []
        for at, slot in enumerate(inner.inputs):
            origin = None
            if slot.origin is not None:
                origin = (scope + slot.origin[0], slot.origin[1])
            elif (index, at) in group.takes:
                name, place = group.takes[index, at]
                if name in by_name:
                    origin = by_name[name]
                elif slot.widget is None and place < len(sockets):
                    origin = sockets[place]
            slots.append(dataclasses.replace(slot, origin=origin))
        id_ = f"{scope}{index}"
        node = dataclasses.replace(inner, values=outside.get(index, inner.values))
        found.nodes[id_] = Placed(id=id_, scope=scope, drawn=node, inputs=tuple(slots), runs=runs)
