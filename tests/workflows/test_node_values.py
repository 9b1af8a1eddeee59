from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memoryd.workflows.facts import Graph, NodeValue
from memoryd.workflows.node_values import NODE_VALUES_LIMIT, node_values

Make = Callable[[dict[str, Any]], Graph]
Real = Callable[[str], Graph]


def test_values_of_executed_nodes_are_listed_once(real: Real) -> None:
    values = node_values(real("txt2img_orphan_lora"))
    assert NodeValue(class_type="KSampler", input="cfg", number=7.0) in values
    assert NodeValue(class_type="KSampler", input="sampler_name", text="euler") in values
    assert not [value for value in values if value.class_type == "LoraLoader"]
    assert len(set(values)) == len(values)


def test_what_differs_from_run_to_run_is_not_listed(real: Real) -> None:
    one, other = node_values(real("txt2img_basic")), node_values(real("txt2img_seed_u64max"))
    assert one == other
    assert {value.input for value in one}.isdisjoint({"seed", "text", "filename_prefix"})


def test_a_class_without_literals_is_listed_by_itself(real: Real) -> None:
    values = node_values(real("txt2img_orphan_lora"))
    assert [value for value in values if value.class_type == "VAEDecode"] == [
        NodeValue(class_type="VAEDecode", input="", text="")
    ]
    assert NodeValue(class_type="SaveImage", input="", text="") in values
    assert [value.input for value in values if value.class_type == "KSampler"] != [""]


def test_each_value_is_a_number_or_a_text(graph_of: Make) -> None:
    inputs = {"a": 1, "b": 2**60, "c": "x", "d": "y" * 5000, "e": True, "f": None, "g": [1, 2, 3], "h": ""}
    values = node_values(graph_of({"1": ("Thing", inputs)}))
    assert [(value.input, value.number, value.text) for value in values if value.class_type == "Thing"] == [
        ("a", 1.0, None),
        ("b", None, str(2**60)),
        ("c", None, "x"),
        ("e", None, "true"),
    ]


def test_values_have_a_limit(graph_of: Make) -> None:
    prompt: dict[str, Any] = {str(number): ("Thing", {"value_of": number}) for number in range(NODE_VALUES_LIMIT + 10)}
    prompt["s"] = ("SaveImage", {f"i{number}": [str(number), 0] for number in range(NODE_VALUES_LIMIT + 10)})
    assert len(node_values(graph_of(prompt))) == NODE_VALUES_LIMIT
