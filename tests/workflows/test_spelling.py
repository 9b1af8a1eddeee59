"""What is remembered of nodes and shapes changes no identity: each graph has those it would have alone."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from memoryd.workflows import graph_reading, preparing, spelling, topology
from memoryd.workflows.facts import Graph, Link, Node
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.identity import GraphHasCycle, identify
from memoryd.workflows.preparing import prepare_graph
from memoryd.workflows.spelling import Remembered

CLASSES = (
    "KSampler",
    "SaveImage",
    "PreviewImage",
    "CLIPTextEncode",
    "PrimitiveString",
    "SeedInt",
    "LoadImage",
    "easy seed",
)
NAMES = ("seed", "text", "cfg", "image", "filename_prefix", "positive", "model", "on")


def value(chance: random.Random) -> Any:
    kinds: tuple[Any, ...] = (1, 1.0, True, False, 0, "1", None, [1], [True], {"a": 1.0}, ["7", 0], 2**70, -0.0, "text")
    return chance.choice(kinds)


def prompt(chance: random.Random) -> dict[str, Any]:
    count = chance.randint(1, 7)
    return {
        str(number): {
            "class_type": chance.choice(CLASSES),
            "inputs": {
                chance.choice(NAMES): [str(chance.randrange(number)), chance.randrange(2)]
                if number and chance.random() < 0.5
                else value(chance)
                for _ in range(chance.randint(0, 4))
            },
        }
        for number in range(count)
    }


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_reading, "_nodes", Remembered(4))
    monkeypatch.setattr(spelling, "_spelled", Remembered(4))
    monkeypatch.setattr(topology, "_shapes", Remembered(4))
    monkeypatch.setattr(preparing, "_values", Remembered(4))


def read(document: dict[str, Any]) -> Any:
    graph, findings = parse_graph(json.dumps(document).encode())
    return None if graph is None else (repr(graph), repr(prepare_graph(graph)), findings)


def test_a_graph_read_after_many_others_is_the_one_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [prompt(random.Random(seed)) for seed in range(400)]
    together = [read(document) for document in documents]
    again = [read(document) for document in documents]
    assert again == together
    for document, expected in zip(documents[::7], together[::7], strict=True):
        forget(monkeypatch)
        assert read(document) == expected


def test_a_list_is_a_link_only_where_its_node_is_there() -> None:
    save = {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}}
    alone, _ = parse_graph(json.dumps({"1": save}).encode())
    linked, _ = parse_graph(json.dumps({"1": save, "7": {"class_type": "A", "inputs": {}}}).encode())
    once_more, _ = parse_graph(json.dumps({"1": save}).encode())
    assert alone is not None
    assert linked is not None
    assert alone.nodes["1"].inputs["images"] == ["7", 0]
    assert linked.nodes["1"].inputs["images"] == Link(node="7", slot=0)
    assert once_more == alone


def test_what_was_not_asked_for_is_forgotten_and_what_was_is_kept() -> None:
    memory: Remembered[int, str] = Remembered(2)
    for number in range(3):
        memory.keep(number, str(number))
    assert memory.get(0) == "0"  # of the old generation, and taken into the new one
    memory.keep(4, "4")
    memory.keep(5, "5")
    assert memory.get(0) == "0"
    assert memory.get(1) is None


def test_a_link_to_nothing_has_no_identity() -> None:
    node = Node(id="1", class_type="SaveImage", inputs={"images": Link(node="nowhere", slot=0)})
    with pytest.raises(GraphHasCycle):
        identify(Graph(nodes={"1": node}))
