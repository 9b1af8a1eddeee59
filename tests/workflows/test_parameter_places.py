"""Where a picture's parameters stand in its graph, over graphs of a real ComfyUI and some that hand values on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.parameter_places import ParameterPlace, find_parameter_places


def places(document: dict[str, Any], saving: str | None = None) -> dict[str, list[ParameterPlace]]:
    graph, _ = parse_graph(json.dumps(document).encode())
    assert graph is not None
    found: dict[str, list[ParameterPlace]] = {}
    for place in find_parameter_places(graph, saving=saving):
        found.setdefault(place.name, []).append(place)
    return found


def graph_of(files: Path, name: str) -> dict[str, Any]:
    with Image.open(files / "comfyui" / "images" / f"{name}.png") as picture:
        document: dict[str, Any] = json.loads(picture.text["prompt"])  # type: ignore[attr-defined]
    return document


def addresses(found: dict[str, list[ParameterPlace]]) -> dict[str, list[str]]:
    return {name: [place.address for place in several] for name, several in found.items()}


def test_a_plain_graph_has_each_parameter_in_one_place(files: Path) -> None:
    found = places(graph_of(files, "txt2img_seed_u64max"))
    assert found["seed"][0].value == 2**64 - 1
    assert addresses(found) == {
        "seed": ["3.seed"],
        "steps": ["3.steps"],
        "cfg": ["3.cfg"],
        "sampler": ["3.sampler_name"],
        "scheduler": ["3.scheduler"],
        "denoise": ["3.denoise"],
        "prompt": ["6.text"],
        "negative": ["7.text"],
        "width": ["5.width"],
        "height": ["5.height"],
        "model": ["4.ckpt_name"],
    }


def test_two_passes_have_two_seeds_and_the_size_is_the_last(files: Path) -> None:
    found = addresses(places(graph_of(files, "txt2img_hires_two_samplers")))
    assert found["seed"] == ["3.seed", "31.seed"]
    assert found["width"] == ["30.width"]


def test_settings_that_other_nodes_hand_in_are_found_there(files: Path) -> None:
    found = addresses(places(graph_of(files, "txt2img_sampler_custom_advanced")))
    assert (found["seed"], found["steps"], found["cfg"]) == (["40.noise_seed"], ["42.steps"], ["43.cfg"])


def test_a_lora_that_took_no_part_is_none_of_the_parameters(files: Path) -> None:
    assert "lora" not in places(graph_of(files, "txt2img_orphan_lora"))
    assert addresses(places(graph_of(files, "txt2img_lora")))["lora_strength"] == [
        "10.strength_model",
        "10.strength_clip",
    ]


def test_a_value_node_holds_what_a_sampler_takes(files: Path) -> None:
    document = graph_of(files, "txt2img_basic")
    document["20"] = {"class_type": "PrimitiveInt", "inputs": {"value": 2**63}}
    document["21"] = {"class_type": "PrimitiveString", "inputs": {"value": "雪 🦊"}}
    document["3"]["inputs"]["seed"] = ["20", 0]
    document["6"]["inputs"]["text"] = ["21", 0]
    found = places(document)
    assert addresses(found)["seed"] == ["20.value"]
    assert (found["prompt"][0].address, found["prompt"][0].value) == ("21.value", "雪 🦊")


@pytest.mark.parametrize("computed", ["StringConcatenate", "JoinStrings"])
def test_a_text_that_is_joined_of_others_stands_nowhere(files: Path, computed: str) -> None:
    document = graph_of(files, "txt2img_basic")
    document["21"] = {"class_type": computed, "inputs": {"string_a": "a", "string_b": "fox", "delimiter": " "}}
    document["6"]["inputs"]["text"] = ["21", 0]
    assert "prompt" not in places(document)


def test_of_several_outputs_the_one_that_saved_it_counts(files: Path) -> None:
    document = graph_of(files, "txt2img_basic")
    document["13"] = {"class_type": "KSampler", "inputs": {**document["3"]["inputs"], "seed": 99}}
    document["18"] = {"class_type": "VAEDecode", "inputs": {"samples": ["13", 0], "vae": ["4", 2]}}
    document["19"] = {"class_type": "SaveImage", "inputs": {"images": ["18", 0], "filename_prefix": "other"}}
    assert addresses(places(document, "19"))["seed"] == ["13.seed"]
    assert addresses(places(document, "9"))["seed"] == ["3.seed"]
