"""Group nodes, the older way to fold several nodes into one: `workflow>Name`, body in `extra.groupNodes`.

The outside shows the inner nodes' unlinked inputs, their unlinked outputs and their widgets, in the order of the inner
nodes. Source: ComfyUI_frontend 1.47, groupNode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.editor.drawing import LINKS_LIMIT, Drawn, Origin, Slot, as_list, index_of, read_drawing, text_in

GROUPED_LIMIT = 1_000
"""Nodes of one group node."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group node's body. Inner nodes are named by their index.

    `takes`: (inner node, input) to the outside's input: its name, and its place among those without a widget.
    `gives`: what the outside's outputs are, in order. `hidden`: values that the outside does not show, by inner node.
    """

    nodes: tuple[Drawn, ...]
    takes: Mapping[tuple[int, int], tuple[str, int]]
    gives: tuple[Origin, ...]
    hidden: Mapping[int, int]
    body: Mapping[str, Json]

    def values_outside(self, values: list[Json] | Mapping[str, Json]) -> dict[int, list[Json]]:
        """Return the inner nodes' values that the outside's values are; nothing where the numbers do not agree."""
        counts = [0 if not isinstance(node.values, list) else len(node.values) for node in self.nodes]
        shown = [count - min(count, self.hidden.get(index, 0)) for index, count in enumerate(counts)]
        if not isinstance(values, list) or any(self.hidden.values()) or sum(shown) != len(values):
            return {}
        found, at = {}, 0
        for index, count in enumerate(shown):
            if count:
                found[index] = values[at : at + count]
                at += count
        return found


def read_groups(document: Mapping[str, Json]) -> dict[str, Group]:
    """Return the workflow's group nodes by the types that stand for them."""
    extra = document.get("extra")
    listed = extra.get("groupNodes") if isinstance(extra, dict) else None
    found = {}
    for name, body in listed.items() if isinstance(listed, dict) else ():
        if isinstance(body, dict) and isinstance(body.get("nodes"), list):
            group = _read(body)
            for between in (">", "/"):
                found[f"workflow{between}{name}"] = group
    return found


def _read(body: Mapping[str, Json]) -> Group:
    listed = [node if isinstance(node, dict) else {} for node in as_list(body.get("nodes"))[:GROUPED_LIMIT]]
    drawn = read_drawing({"nodes": [{"type": "", **node, "id": index} for index, node in enumerate(listed)]}).nodes
    inside, given = _inner_links(body.get("links"), len(drawn))
    nodes = tuple(
        dataclasses.replace(
            node,
            inputs=tuple(
                dataclasses.replace(slot, origin=inside.get((index, at))) for at, slot in enumerate(node.inputs)
            ),
        )
        for index, node in enumerate(drawn)
    )
    config = body.get("config")
    settings: Mapping[str, Json] = config if isinstance(config, dict) else {}
    shown = {
        (node, slot)
        for entry in as_list(body.get("external"))
        if isinstance(entry, list) and len(entry) >= 2
        for node, slot in [(index_of(entry[0]), index_of(entry[1]))]
        if node is not None and slot is not None
    }
    gives = tuple(
        (str(index), at)
        for index, node in enumerate(nodes)
        for at in range(len(node.outputs))
        if _is_visible(settings, index, "output", str(at), (index, at) not in given or (index, at) in shown)
    )
    hidden = {index: _hidden_widgets(settings, index, node) for index, node in enumerate(nodes)}
    return Group(nodes=nodes, takes=_takes(nodes, settings), gives=gives, hidden=hidden, body=body)


def _inner_links(raw: Json, count: int) -> tuple[dict[tuple[int, int], Origin], set[tuple[int, int]]]:
    """Links between inner nodes: by where they end, and the outputs where they begin."""
    inside: dict[tuple[int, int], Origin] = {}
    given: set[tuple[int, int]] = set()
    for link in as_list(raw)[:LINKS_LIMIT]:
        ends = [index_of(part) for part in link[:4]] if isinstance(link, list) and len(link) >= 4 else []
        if len(ends) != 4:
            continue
        origin, slot, target, at = ends
        if origin is None or slot is None or target is None or at is None or origin >= count or target >= count:
            continue
        inside[target, at] = (str(origin), slot)
        given.add((origin, slot))
    return inside, given


def _takes(nodes: tuple[Drawn, ...], settings: Mapping[str, Json]) -> dict[tuple[int, int], tuple[str, int]]:
    found: dict[tuple[int, int], tuple[str, int]] = {}
    seen: set[str] = set()
    place = 0
    for index, node in enumerate(nodes):
        for at, slot in enumerate(node.inputs):
            if slot.origin is not None:
                continue
            name = _renamed(settings, index, slot) or slot.label or slot.name
            if name in seen:
                name = f"{node.title or node.type} {slot.name}"
            seen.add(name)
            if slot.widget is None and not _is_visible(settings, index, "input", slot.name, True):
                continue
            found[index, at] = (name, place)
            place += slot.widget is None
    return found


def _setting(settings: Mapping[str, Json], index: int, side: str, name: str) -> Json:
    node = settings.get(str(index))
    slots = node.get(side) if isinstance(node, dict) else None
    return slots.get(name) if isinstance(slots, dict) else None


def _is_visible(settings: Mapping[str, Json], index: int, side: str, name: str, otherwise: bool) -> bool:
    setting = _setting(settings, index, side, name)
    visible = setting.get("visible") if isinstance(setting, dict) else None
    return visible if isinstance(visible, bool) else otherwise


def _renamed(settings: Mapping[str, Json], index: int, slot: Slot) -> str | None:
    return text_in(_setting(settings, index, "input", slot.name), "name")


def _hidden_widgets(settings: Mapping[str, Json], index: int, node: Drawn) -> int:
    config = settings.get(str(index))
    inputs = config.get("input") if isinstance(config, dict) else None
    if not isinstance(inputs, dict):
        return 0
    sockets = {slot.name for slot in node.inputs}
    return sum(
        1
        for name, setting in inputs.items()
        if name not in sockets and isinstance(setting, dict) and setting.get("visible") is False
    )
