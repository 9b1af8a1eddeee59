"""A file that carries both forms teaches the order of its classes' widgets; what does not prove itself teaches nothing."""

from __future__ import annotations

import json
from typing import Any

from memoryd.foundation.database import Session
from memoryd.workflows.editor import known_orders
from memoryd.workflows.editor.facts import Kind, Widget, WidgetOrder
from memoryd.workflows.editor.learning import learn
from memoryd.workflows.editor.lessons import Lessons
from memoryd.workflows.facts import Graph
from memoryd.workflows.graph_reading import parse_graph

ORDER = WidgetOrder(
    class_type="Odd Sampler",
    widgets=(
        Widget(name="noise", kind=Kind.NUMBER),
        Widget(name="mode", kind=Kind.TEXT),
        Widget(name="tiled", kind=Kind.BOOL),
    ),
)


def both(inputs: dict[str, Any], values: list[Any]) -> tuple[Graph, bytes]:
    graph, _ = parse_graph(json.dumps({"4": {"class_type": "Odd Sampler", "inputs": inputs}}).encode())
    assert graph is not None
    drawn = {"id": 4, "type": "Odd Sampler", "inputs": [], "widgets_values": values}
    return graph, json.dumps({"nodes": [drawn], "links": []}).encode()


def test_values_that_agree_prove_an_order() -> None:
    prompt, workflow = both({"noise": 7, "mode": "soft", "tiled": True}, [7, "randomize", "soft", True])
    assert learn(prompt, workflow) == (ORDER,)


def test_values_that_disagree_teach_nothing() -> None:
    prompt, workflow = both({"tiled": True, "mode": "soft", "noise": 7}, [7, "randomize", "soft", True])
    assert learn(prompt, workflow) == ()
    prompt, workflow = both({"noise": 1, "mode": "hard", "tiled": False}, [7, "soft", True])
    assert learn(prompt, workflow) == ()


def test_a_known_class_needs_no_lesson() -> None:
    prompt, _ = both({"noise": 7, "mode": "soft", "tiled": True}, [])
    assert learn(prompt, b"never parsed", known={"Odd Sampler"}) == ()


def test_a_process_learns_once_and_gives_up_after_three_tries() -> None:
    lessons = Lessons()
    prompt, workflow = both({"noise": 7, "mode": "soft", "tiled": True}, [7, "soft", True])
    for _ in range(2):
        assert lessons.take(prompt, b"{}") == ()
    assert lessons.take(prompt, workflow) == (ORDER,)
    assert lessons.take(prompt, workflow) == ()
    tired = Lessons()
    for _ in range(3):
        tired.take(prompt, b"{}")
    assert tired.take(prompt, workflow) == ()


def test_orders_are_kept_once_and_counted(session: Session) -> None:
    assert known_orders.keep(session, [ORDER, ORDER]) == 1
    assert known_orders.keep(session, [ORDER]) == 1
    assert known_orders.keep(session, []) == 0
    (found,) = known_orders.load(session)["Odd Sampler"]
    assert found.widgets == ORDER.widgets
    assert found.seen == 3
