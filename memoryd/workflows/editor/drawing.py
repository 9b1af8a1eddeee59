"""One editor's graph as it was drawn, read leniently: nodes, their slots, links, subgraphs and group nodes.

Source for the grammar: litegraph's schemas 0.4 (links are lists) and 1.0 (links are objects), ComfyUI_frontend 1.47.
Everything may be missing or of a wrong type; such a part is left out.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json

DRAWING_LIMIT = 8 * 1024 * 1024
"""Bytes of an editor's document. The largest of 1,590 real ones has 1 MB."""

LINKS_LIMIT = 100_000
"""Links of one drawing (a subgraph is one of its own). The largest of 1,590 real workflows has below 2,000."""

SLOTS_LIMIT = 500
"""Inputs or outputs of one node; the largest real ones have below 100."""

TYPE_LIMIT = 300
"""Characters of a class; a longer one names no node."""

INPUT_BOUNDARY, OUTPUT_BOUNDARY = "-10", "-20"
"""The two nodes by which a subgraph touches the outside."""

MUTED, BYPASSED = 2, 4

Origin = tuple[str, int]
"""Where a link begins: a node's id and one of its outputs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One input of a drawn node. `widget`: the name of the widget that it stands for, if any."""

    name: str
    type: str
    widget: str | None = None
    label: str | None = None
    origin: Origin | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of a drawn node."""

    name: str
    type: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One node as drawn. `values` is its `widgets_values`: a list, or members by name."""

    id: str
    type: str
    mode: int
    title: str | None
    inputs: tuple[Slot, ...]
    outputs: tuple[Output, ...]
    values: list[Json] | Mapping[str, Json]
    properties: Mapping[str, Json]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One canvas: the whole graph's, or a subgraph's with what it takes (`takes`) and gives (`gives`)."""

    nodes: tuple[Drawn, ...]
    takes: tuple[str, ...] = ()
    gives: tuple[Origin | None, ...] = ()
    names_given: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Which output has a name; a name that several have is not here."""
    broadcasts: Mapping[tuple[str, int], Origin] = dataclasses.field(default_factory=dict)
    """Links that are only implied: (node, input's index) to where they begin."""
    tells_broadcasts: bool = False
    is_new: bool = False
    """Drawn by a frontend that lists every widget among the inputs; older ones list only those made into inputs."""
    is_cut: bool = False
    """Some of the links are beyond LINKS_LIMIT."""


def read_drawing(raw: Mapping[str, Json]) -> Drawing:
    """Return the drawing of a workflow or of a subgraph's definition."""
    links, ends, is_cut = _links(raw.get("links"))
    listed = [node for node in as_list(raw.get("nodes")) if isinstance(node, dict)]
    nodes = tuple(_node(node, links) for node in sorted(listed, key=_place))
    takes = tuple(text_in(slot, "name") or "" for slot in as_list(raw.get("inputs"))[:SLOTS_LIMIT])
    outputs = [text_in(slot, "name") or "" for slot in as_list(raw.get("outputs"))[:SLOTS_LIMIT]]
    counts = collections.Counter(outputs)
    extra = raw.get("extra")
    implied = extra.get("ue_links") if isinstance(extra, dict) else None
    return Drawing(
        nodes=tuple(node for node in nodes if node is not None),
        is_new=isinstance(extra, dict) and "frontendVersion" in extra,
        takes=takes,
        gives=tuple(ends.get((OUTPUT_BOUNDARY, index)) for index in range(len(outputs))),
        names_given={name: index for index, name in enumerate(outputs) if counts[name] == 1},
        broadcasts=_broadcasts(implied),
        tells_broadcasts=isinstance(implied, list),
        is_cut=is_cut,
    )


def id_of(value: Json) -> str | None:
    """Return a node's id as text, or None where the value cannot be one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (int, str)) else None


def as_list(value: Json) -> list[Json]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text_in(holder: Json, name: str) -> str | None:
    """Return a member that is text."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else None


def index_of(value: Json) -> int | None:
    """Return the value if it is a slot's number."""
    return value if type(value) is int and 0 <= value < SLOTS_LIMIT else None


def _place(node: Mapping[str, Json]) -> int:
    """The node's place in the frontend's order of execution, which is the order of a prompt."""
    order = node.get("order")
    return order if type(order) is int else 0


def _links(raw: Json) -> tuple[dict[str, Origin], dict[tuple[str, int], Origin], bool]:
    """Where each link begins, by its id and by where it ends."""
    by_id: dict[str, Origin] = {}
    by_end: dict[tuple[str, int], Origin] = {}
    listed = as_list(raw)
    for link in listed[:LINKS_LIMIT]:
        if isinstance(link, list) and len(link) >= 5:
            parts = link[:5]
        elif isinstance(link, dict):
            parts = [link.get(name) for name in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
        else:
            continue
        id_, origin, target = id_of(parts[0]), id_of(parts[1]), id_of(parts[3])
        slot, end = index_of(parts[2]), index_of(parts[4])
        if id_ is None or origin is None or slot is None:
            continue
        by_id[id_] = (origin, slot)
        if target is not None and end is not None:
            by_end[target, end] = (origin, slot)
    return by_id, by_end, len(listed) > LINKS_LIMIT


def _node(raw: dict[str, Json], links: Mapping[str, Origin]) -> Drawn | None:
    id_, type_ = id_of(raw.get("id")), text_in(raw, "type")
    if id_ is None or type_ is None or len(type_) > TYPE_LIMIT:
        return None
    mode, values, properties = raw.get("mode"), raw.get("widgets_values"), raw.get("properties")
    return Drawn(
        id=id_,
        type=type_,
        mode=mode if isinstance(mode, int) else 0,
        title=text_in(raw, "title"),
        inputs=tuple(read_slot(slot, links) for slot in as_list(raw.get("inputs"))[:SLOTS_LIMIT]),
        outputs=tuple(
            Output(name=text_in(slot, "name") or "", type=_type(slot))
            for slot in as_list(raw.get("outputs"))[:SLOTS_LIMIT]
        ),
        values=values if isinstance(values, (list, dict)) else [],
        properties=properties if isinstance(properties, dict) else {},
    )


def read_slot(raw: Json, links: Mapping[str, Origin]) -> Slot:
    """Return one input; what is no input at all becomes one without a name, so that the others keep their places."""
    holder = raw if isinstance(raw, dict) else {}
    link = id_of(holder.get("link"))
    name = text_in(holder, "name") or ""
    widget = holder.get("widget")
    return Slot(
        name=name,
        type=_type(holder),
        widget=(text_in(widget, "name") or name) if isinstance(widget, dict) else None,
        label=text_in(holder, "label"),
        origin=links.get(link) if link is not None else None,
    )


def _type(holder: Json) -> str:
    value = holder.get("type") if isinstance(holder, dict) else None
    if isinstance(value, str):
        return value
    # A list of options is a combo's type in old files; 0 and -1 are litegraph's words for "any" and "event".
    return "COMBO" if isinstance(value, list) else "*"


def _broadcasts(raw: Json) -> dict[tuple[str, int], Origin]:
    found: dict[tuple[str, int], Origin] = {}
    for link in as_list(raw)[:LINKS_LIMIT]:
        if not isinstance(link, dict):
            continue
        target, slot = id_of(link.get("downstream")), index_of(link.get("downstream_slot"))
        origin, output = id_of(link.get("upstream")), index_of(link.get("upstream_slot"))
        if target is not None and slot is not None and origin is not None and output is not None:
            found[target, slot] = (origin, output)
    return found
