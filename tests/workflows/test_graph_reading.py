from __future__ import annotations

import json
from typing import Any

import pytest

from memoryd.foundation.findings import Finding
from memoryd.workflows.facts import Graph, Link
from memoryd.workflows.graph_reading import DOCUMENT_LIMIT, FINDINGS_LIMIT, NODES_LIMIT, parse_graph
from memoryd.workflows.identity import VISITS_LIMIT, TooManyOutputs, identify, spelled_nodes
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.topology import Rooted, Topology

SAVE = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}


def parse(prompt: Any) -> tuple[Graph | None, list[str]]:
    raw = prompt if isinstance(prompt, bytes) else json.dumps(prompt).encode()
    graph, findings = parse_graph(raw)
    return graph, [finding.code for finding in findings]


def one(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"1": {"class_type": "Thing", "inputs": inputs}, "2": SAVE}


def test_a_link_is_exactly_an_existing_node_and_an_int() -> None:
    graph, findings = parse(
        one(
            {
                "link": ["2x", 0], "missing": ["9", 0], "text": ["2x", "0"], "flag": ["2x", True], "three": ["2x", 0, 1],
                "float": ["2x", 0.0], "number": [2, 0], "pair": [512, 512], "wrapped": {"__value__": ["2x", 0]},
            }
        )
        | {"2x": {"class_type": "Other", "inputs": {}}}
    )  # fmt: skip
    assert graph is not None
    assert findings == []
    inputs = graph.nodes["1"].inputs
    assert inputs["link"] == Link(node="2x", slot=0)
    assert [name for name, value in inputs.items() if isinstance(value, Link)] == ["link"]
    assert inputs["wrapped"] == ["2x", 0]


def test_large_integers_keep_all_digits() -> None:
    graph, _ = parse(one({"seed": 2**64 - 1, "more": 2**200}))
    assert graph is not None
    assert graph.nodes["1"].inputs["seed"] == 18446744073709551615
    assert graph.nodes["1"].inputs["more"] == 2**200


def test_is_changed_and_title_stand_beside_the_inputs() -> None:
    node = {
        "class_type": "LoadImage",
        "inputs": {"image": "a.png"},
        "is_changed": ["ab" * 32],
        "_meta": {"title": "In"},
    }
    graph, _ = parse({"1": node, "2": SAVE})
    assert graph is not None
    assert graph.nodes["1"].is_changed == ["ab" * 32]
    assert graph.nodes["1"].title == "In"
    assert dict(graph.nodes["1"].inputs) == {"image": "a.png"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_a_finding_that_names_the_input(number: str) -> None:
    raw = b'{"1": {"class_type": "KSampler", "inputs": {"cfg": %s}}}' % number.encode()
    graph, findings = parse_graph(raw)
    assert graph is not None
    assert graph.nodes["1"].inputs["cfg"] is None
    assert [(finding.code, finding.where) for finding in findings] == [("not-a-number", "1.cfg")]
    identify(graph)


def test_comfyuis_own_nan_says_run_again_and_is_no_finding() -> None:
    graph, findings = parse_graph(b'{"1": {"class_type": "LoadImage", "inputs": {}, "is_changed": [NaN]}}')
    assert graph is not None
    assert findings == ()
    assert graph.nodes["1"].is_changed == [None]


@pytest.mark.parametrize("bad", [r"a\u0000b", r"a\ud800b", r"a\udc00b"])
def test_nul_and_lone_surrogates_are_replaced_everywhere(bad: str) -> None:
    raw = '{"%s": {"class_type": "%s", "inputs": {"%s": "%s"}, "_meta": {"title": "%s"}}}' % ((bad,) * 5)
    graph, findings = parse_graph(raw.encode())
    assert graph is not None
    good = "a\ufffdb"
    node = graph.nodes[good]
    assert (node.id, node.class_type, dict(node.inputs), node.title) == (good, good, {good: good}, good)
    assert {finding.code for finding in findings} == {"text-not-storable"}
    for finding in findings:
        json.dumps(finding.as_json()).encode("utf-8")
        assert "\x00" not in finding.where
    identify(graph)
    read_parameters(graph)


def test_an_emoji_written_as_two_escapes_is_one_character() -> None:
    graph, findings = parse(one({"text": "🦊"}))
    assert graph is not None
    assert graph.nodes["1"].inputs["text"] == "🦊"
    assert findings == []


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"a red fox", "not-json"),
        (b"\xff\xfe\x00", "not-json"),
        (b"[]", "not-a-graph"),
        (b"null", "not-a-graph"),
        (b"3", "not-a-graph"),
        (b"{}", "not-a-graph"),
        (b'{"nodes": [], "links": [], "version": 0.4}', "editor-graph"),
        (b'{"1": ' + b"9" * 10_000 + b"}", "not-json"),
        (b"[" * 100_000, "nested-too-deeply"),
        (b'{"1": {"class_type": "A", "inputs": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}}", "nested-too-deeply"),
        (b" " * (DOCUMENT_LIMIT + 1), "document-too-large"),
    ],
)
def test_what_is_no_graph_says_why(raw: bytes, code: str) -> None:
    graph, findings = parse(raw)
    assert graph is None
    assert findings[-1] == code


def test_members_that_are_no_nodes_are_left_out() -> None:
    graph, findings = parse(
        {"1": {"class_type": "A", "inputs": {"a": ["3", 0]}}, "2": 7, "3": {"inputs": {}}, "2s": SAVE}
    )
    assert graph is not None
    assert list(graph.nodes) == ["1", "2s"]
    assert findings == ["not-a-node", "not-a-node"]
    assert graph.nodes["1"].inputs["a"] == ["3", 0]


def test_a_prompt_inside_a_json_string_is_read() -> None:
    graph, findings = parse(json.dumps(one({"a": 1})))
    assert graph is not None
    assert findings == []


def test_latin_1_is_read_where_utf_8_fails() -> None:
    graph, _ = parse('{"1": {"class_type": "A", "inputs": {"text": "caf\xe9"}}}'.encode("latin-1"))
    assert graph is not None
    assert graph.nodes["1"].inputs["text"] == "café"


@pytest.mark.parametrize(
    "links",
    [{"1": "1"}, {"1": "2", "2": "1"}, {"1": "2", "2": "3", "3": "1"}],
    ids=["itself", "two", "three"],
)
def test_a_cyclic_graph_is_a_finding(links: dict[str, str]) -> None:
    prompt: dict[str, Any] = {id_: {"class_type": "A", "inputs": {"a": [source, 0]}} for id_, source in links.items()}
    graph, findings = parse(prompt | {"9": SAVE})
    assert graph is None
    assert findings == ["graph-has-cycle"]
    graph, findings = parse(prompt)
    assert graph is None
    assert findings == ["graph-has-cycle"]


def test_a_cycle_that_no_output_needs_does_no_harm() -> None:
    prompt: dict[str, Any] = {
        "1": {"class_type": "A", "inputs": {}},
        "2": SAVE,
        "3": {"class_type": "B", "inputs": {"b": ["4", 0]}},
        "4": {"class_type": "B", "inputs": {"b": ["3", 0]}},
    }
    graph, findings = parse(prompt)
    assert graph is not None
    assert findings == []
    assert identify(graph).node_count == 2


def test_a_hundred_thousand_nodes_are_a_finding() -> None:
    node = {"class_type": "A", "inputs": {}}
    graph, findings = parse_graph(json.dumps({str(number): node for number in range(100_000)}).encode())
    assert graph is None
    assert findings == (Finding(code="too-many-nodes", detail=f"100000 nodes are beyond {NODES_LIMIT} (NODES_LIMIT)"),)


def test_a_chain_of_many_nodes_is_read_and_identified() -> None:
    count = 10_000
    prompt: dict[str, Any] = {"0": {"class_type": "A", "inputs": {}}}
    prompt |= {str(n): {"class_type": "A", "inputs": {"a": [str(n - 1), 0]}} for n in range(1, count)}
    prompt["s"] = {"class_type": "SaveImage", "inputs": {"images": [str(count - 1), 0]}}
    graph, findings = parse(prompt)
    assert graph is not None
    assert findings == []
    assert identify(graph).node_count == count + 1
    assert read_parameters(graph).node == "s"


def many_outputs(nodes: int, outputs: int) -> dict[str, Any]:
    """A chain that is saved at each of its last nodes."""
    prompt: dict[str, Any] = {"0": {"class_type": "A", "inputs": {}}}
    prompt |= {str(n): {"class_type": "A", "inputs": {"a": [str(n - 1), 0]}} for n in range(1, nodes)}
    prompt |= {
        f"s{n}": {"class_type": "SaveImage", "inputs": {"images": [str(nodes - 1 - n), 0]}} for n in range(outputs)
    }
    return prompt


def test_a_graph_of_too_many_outputs_is_read_and_only_not_compared() -> None:
    graph, findings = parse(many_outputs(15_000, 95))
    assert graph is not None
    assert findings == []
    with pytest.raises(TooManyOutputs, match="VISITS_LIMIT"):
        identify(graph)
    assert read_parameters(graph).node in graph.nodes


def test_the_walk_ends_at_its_limit_whatever_the_graph() -> None:
    graph, _ = parse(many_outputs(5_000, 95))
    assert graph is not None
    nodes = spelled_nodes(graph)
    shape = Topology(tuple(graph.nodes), nodes)
    assert shape.outputs(nodes, VISITS_LIMIT) == ()
    assert shape.visits == VISITS_LIMIT + 1
    # Exactly at the limit it is walked whole: 2 nodes, then 3, of a chain of 3 with two outputs.
    small, _ = parse(many_outputs(2, 2))
    assert small is not None
    nodes = spelled_nodes(small)
    assert len(Topology(tuple(small.nodes), nodes).outputs(nodes, 5)) == 2
    assert Topology(tuple(small.nodes), nodes).outputs(nodes, 4) == ()


def test_reading_a_graph_walks_to_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[Rooted]:
        raise AssertionError

    monkeypatch.setattr(Topology, "_walked", refuse)
    graph, _ = parse(many_outputs(50, 20))
    assert graph is not None
    with pytest.raises(AssertionError):
        identify(graph)


def test_findings_about_values_have_an_end() -> None:
    inputs = ", ".join(f'"i{number}": NaN' for number in range(500))
    _, findings = parse_graph(f'{{"1": {{"class_type": "A", "inputs": {{{inputs}}}}}}}'.encode())
    assert len(findings) == FINDINGS_LIMIT


def test_a_byte_that_was_overwritten_costs_only_what_it_stood_in() -> None:
    raw = b'{"1": {"class_typ\x00": "Odd", "inputs": {}}, "2": {"class_type": "RandomNoise", "input\x00": {"noise_seed": 5}}}'
    graph, findings = parse_graph(raw)
    assert graph is not None
    assert {id_: node.class_type for id_, node in graph.nodes.items()} == {"1": "Odd", "2": "RandomNoise"}
    assert [finding.code for finding in findings] == ["text-not-storable"]
