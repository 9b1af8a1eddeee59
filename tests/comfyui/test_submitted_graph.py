"""The document that goes out to ComfyUI: never with `is_changed`, and otherwise as it was."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.submitted_graph import IS_CHANGED, submittable

_LEAF = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.text(max_size=8) | st.just(0.1)
_NAME = st.sampled_from([IS_CHANGED, "Is_Changed", "inputs", "class_type", "_meta", ""]) | st.text(max_size=4)
_VALUE = st.recursive(_LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAME, inner, max_size=4))
_GRAPH = st.dictionaries(st.text(max_size=4), _LEAF | st.dictionaries(_NAME, _VALUE, max_size=5), max_size=5)


def spelled(value: Any, escaped: bool) -> str:
    """A value as JSON; with every letter of a name escaped, if wished."""
    if not escaped:
        return json.dumps(value)
    if isinstance(value, dict):
        members = (f'"{_escapes(name)}": {spelled(member, escaped)}' for name, member in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(spelled(item, escaped) for item in value) + "]"
    return json.dumps(value)


def _escapes(name: str) -> str:
    units = name.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))


def sent_by(prompt: str) -> dict[str, Any]:
    """What ComfyUI gets, read as it reads it."""
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(200, json={"prompt_id": "x", "number": 1, "node_errors": {}})

    client = ComfyClient("http://engine.invalid")
    client._http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://engine.invalid")
    client.submit(prompt, extra_data="{}")
    body: dict[str, Any] = json.loads(bodies[0])
    return body


@settings(max_examples=150, deadline=None)
@given(_GRAPH, st.booleans())
def test_no_node_goes_out_with_is_changed_and_everything_else_does(graph: dict[str, Any], escaped: bool) -> None:
    prompt = spelled(graph, escaped)
    body = sent_by(prompt)
    wanted = {
        name: {key: value for key, value in node.items() if key != IS_CHANGED} if isinstance(node, dict) else node
        for name, node in graph.items()
    }
    assert body == {"prompt": wanted, "extra_data": {}}
    assert list(body["prompt"]) == list(wanted)
    if wanted == graph:
        assert submittable(prompt) is prompt, "its spelling is kept"


def test_of_two_members_of_one_name_the_last_counts_as_it_does_for_comfyui() -> None:
    twice = '{"1": {"class_type": "A", "is_changed": ["a"], "is_changed": ["b"]}, "1": {"is_changed": 1, "inputs": {}}}'
    assert sent_by(twice)["prompt"] == {"1": {"inputs": {}}}
