"""A way to draw small workflows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from memoryd.workflows.editor.converting import convert
from memoryd.workflows.editor.facts import Converted

Drawn = dict[str, Any]


@pytest.fixture
def converted() -> Callable[..., Converted]:
    """Return a function from nodes and links to what they convert into; further members of the workflow by name."""

    def draw(
        nodes: list[Drawn], links: list[Any] | None = None, *, orders: Any = None, specs: Any = None, **more: Any
    ) -> Converted:
        if links is None:
            links = []
        raw = json.dumps({"nodes": nodes, "links": links, "version": 0.4, **more}).encode()
        return convert(raw, orders=orders, specs=specs)

    return draw


@pytest.fixture
def node() -> Callable[..., Drawn]:
    """Return a function that draws one node: `inputs` are (name, type, link) or (name, type, link, widget)."""

    def draw(id_: int, type_: str, *, inputs: Any = (), outputs: Any = (), values: Any = (), **more: Any) -> Drawn:
        slots = []
        for name, kind, link, *widget in inputs:
            slot = {"name": name, "type": kind, "link": link}
            if widget:
                slot["widget"] = {"name": widget[0]}
            slots.append(slot)
        return {
            "id": id_,
            "type": type_,
            "inputs": slots,
            "outputs": [{"name": kind, "type": kind} for kind in outputs],
            "widgets_values": values if isinstance(values, dict) else list(values),
            **more,
        }

    return draw
