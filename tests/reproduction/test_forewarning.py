"""What is said in advance of graphs that may not repeat themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.forewarning import forewarn, is_service
from memoryd.workflows.facts import Graph
from memoryd.workflows.graph_reading import parse_graph

CUDA: dict[str, Json] = {"devices": [{"type": "cuda", "name": "cuda:0 NVIDIA H200"}]}
CPU: dict[str, Json] = {"devices": [{"type": "cpu", "name": "cpu"}]}


def graph(*nodes: tuple[str, dict[str, Any]]) -> Graph:
    document = {str(n): {"class_type": kind, "inputs": inputs} for n, (kind, inputs) in enumerate(nodes, 1)}
    found, findings = parse_graph(json.dumps(document).encode())
    assert found is not None, findings
    return found


def codes(found: Graph, environment: dict[str, Json] | None) -> list[str]:
    return [cause.code for cause in forewarn(found, environment)]


@pytest.mark.parametrize(
    ("kind", "inputs", "noisy"),
    [
        ("KSampler", {"sampler_name": "euler_ancestral"}, True),
        ("KSampler", {"sampler_name": "lcm"}, True),
        ("KSampler", {"sampler_name": "dpmpp_2m_sde_gpu"}, True),
        ("KSampler", {"sampler_name": "dpmpp_2m_sde"}, False),
        ("KSampler", {"sampler_name": "euler"}, False),
        ("KSamplerSelect", {"sampler_name": "er_sde"}, True),
        ("SamplerDPMPP_2M_SDE", {"noise_device": "gpu"}, True),
        ("SamplerDPMPP_2M_SDE", {"noise_device": "cpu"}, False),
        ("SamplerEulerAncestral", {"eta": 1.0}, True),
        ("SamplerEulerAncestral", {"eta": 0.0}, False),
        ("CLIPTextEncode", {"text": "euler_ancestral"}, False),
    ],
)
def test_noise_of_the_device_is_named_where_the_device_was_not_the_processor(
    kind: str, inputs: dict[str, Any], noisy: bool
) -> None:
    found = graph((kind, inputs))
    expected = ["device-noise"] if noisy else []
    assert codes(found, CUDA) == expected
    assert codes(found, None) == expected, "an unknown device may have been a card"
    assert codes(found, CPU) == []


def test_a_sampler_is_found_through_a_node_that_hands_it_on() -> None:
    found = graph(("PrimitiveString", {"value": "dpmpp_2s_ancestral"}), ("KSampler", {"sampler_name": ["1", 0]}))
    assert codes(found, CUDA) == ["device-noise"]


def test_what_others_compute_and_what_chance_decides_is_named() -> None:
    assert codes(graph(("KlingTextToVideoNode", {"prompt": "x"})), CPU) == ["api-node"]
    assert codes(graph(("SVD_img2vid_Conditioning", {"augmentation_level": 0.1})), CPU) == ["known-nondeterministic"]
    assert codes(graph(("SVD_img2vid_Conditioning", {"augmentation_level": 0.0})), CPU) == []
    assert codes(graph(("LoadImageFromUrl", {"url": "https://example.org/a.png"})), CPU) == ["known-nondeterministic"]
    assert codes(graph(("KSampler", {})), {**CPU, "flags": ["--fast"]}) == ["known-nondeterministic"]
    assert codes(graph(("KSampler", {})), {**CPU, "attention": "xformers"}) == ["known-nondeterministic"]


def test_every_warning_says_what_to_do() -> None:
    found = graph(("KSampler", {"sampler_name": "lcm"}), ("OpenAIDalle3", {}), ("LoadImageFromUrl", {}))
    assert all(cause.detail and cause.next_step for cause in forewarn(found, None))


@pytest.mark.parametrize(
    "kind", ["KSampler", "LoadImage", "TripoSplatConditioning", "SaveImage", "FluxGuidance", "WanImageToVideo"]
)
def test_nodes_that_compute_here_are_no_services(kind: str) -> None:
    assert not is_service(kind)
