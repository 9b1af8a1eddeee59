"""Whatever a drawing holds, the answer is a graph or a finding, in bounded time."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.workflows.editor.converting import convert
from memoryd.workflows.editor.learning import learn
from memoryd.workflows.facts import Graph, Node
from tests.thoroughness import tries

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 6),
    st.integers(2**53, 2**64),
    st.floats(allow_nan=True),
    st.sampled_from(["", "1", "-10", "SubA", "randomize", "a.safetensors", "euler", "\x00", "\ud800", "workflow>G"]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

types = st.sampled_from(
    [
        *(
            "KSampler",
            "CLIPTextEncode",
            "SaveImage",
            "LoadImage",
            "Odd",
            "VHS_VideoCombine",
            "Power Lora Loader (rgthree)",
        ),
        *("Reroute", "PrimitiveNode", "SetNode", "GetNode", "Note", "SubA", "SubB", "workflow>G", "workflow/G"),
        *("Anything Everywhere", "Anything Everywhere?", "Prompts Everywhere", "Seed Everywhere"),
    ]
)
slots = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["model", "text", "seed", ""]),
            "type": st.sampled_from(["MODEL", "*", "INT", "STRING"]),
        },
        optional={"link": st.integers(0, 8), "widget": st.one_of(st.none(), st.just({"name": "text"}), anything)},
    ),
    max_size=3,
)
nodes = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 5), "type": types},
        optional={
            "inputs": slots | anything,
            "outputs": slots | anything,
            "mode": st.sampled_from([0, 2, 4, "x"]),
            "widgets_values": st.lists(anything, max_size=6) | anything,
            "properties": anything | st.just({"proxyWidgets": [["1", "text"], [-1, "seed"]]}),
            "order": scalars,
        },
    )
    | anything,
    max_size=6,
)
ends = st.integers(-3, 6) | st.sampled_from([-10, -20])
links = st.lists(
    st.tuples(st.integers(0, 8), ends, st.integers(0, 2), ends, st.integers(0, 2), st.just("*")).map(list)
    | st.fixed_dictionaries(
        {
            "id": st.integers(0, 8),
            "origin_id": ends,
            "origin_slot": st.integers(0, 2),
            "target_id": ends,
            "target_slot": st.integers(0, 2),
        }
    )
    | anything,
    max_size=9,
)
canvas = {"nodes": nodes, "links": links}
definition = st.fixed_dictionaries(
    {"id": st.sampled_from(["SubA", "SubB"]), **canvas}, optional={"inputs": slots, "outputs": slots}
)
drawings = st.fixed_dictionaries(
    canvas,
    optional={
        "definitions": st.fixed_dictionaries({"subgraphs": st.lists(definition, max_size=2) | anything}) | anything,
        "extra": st.fixed_dictionaries(
            {},
            optional={
                "groupNodes": st.fixed_dictionaries({"G": st.fixed_dictionaries(canvas)}) | anything,
                "ue_links": anything,
            },
        )
        | anything,
    },
)


@settings(max_examples=tries(50), deadline=None)
@given(drawings)
def test_any_drawing_is_a_graph_or_a_finding(drawing: Any) -> None:
    raw = json.dumps(drawing).encode()
    found = convert(raw)
    assert found.graph is not None or found.findings
    learn(found.graph or Graph(nodes={"1": Node(id="1", class_type="Odd", inputs={})}), raw)


def test_a_ring_of_reroutes_ends() -> None:
    ring = [
        {"id": at, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": at}], "outputs": [{"type": "*"}]}
        for at in range(3)
    ]
    save = {
        "id": 9,
        "type": "SaveImage",
        "inputs": [{"name": "images", "type": "IMAGE", "link": 9}],
        "widgets_values": ["x"],
    }
    links = [[at, (at + 1) % 3, 0, at, 0, "*"] for at in range(3)] + [[9, 0, 0, 9, 0, "*"]]
    found = convert(json.dumps({"nodes": [*ring, save], "links": links}).encode())
    assert found.graph is not None
    assert dict(found.graph.nodes["9"].inputs) == {"filename_prefix": "x"}


def test_links_and_nodes_beyond_the_limits_are_findings() -> None:
    many = {
        "nodes": [{"id": at, "type": "SaveImage"} for at in range(20_010)],
        "links": [[1, 2, 0, 3, 0, "*"]] * 200_001,
    }
    found = convert(json.dumps(many).encode())
    assert {"too-many-links", "too-many-nodes"} <= {finding.code for finding in found.findings}


def test_deep_nesting_is_a_finding() -> None:
    found = convert(b'{"nodes":[{"id":1,"type":"Odd","widgets_values":[' + b"[" * 900 + b"]" * 900 + b']}],"links":[]}')
    assert found.graph is None
    assert found.findings
