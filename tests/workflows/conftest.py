"""Real graphs, and a way to write small ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memoryd.plugin_api.png import read_png
from memoryd.workflows.facts import Graph
from memoryd.workflows.graph_reading import parse_graph

Prompt = dict[str, Any]


@pytest.fixture(scope="session")
def real(files: Path) -> Callable[[str], Graph]:
    """Return the graph in a picture of tests/files, by the picture's name."""

    def read(name: str) -> Graph:
        with (files / "comfyui" / "images" / f"{name}.png").open("rb") as stream:
            raw = next(text.raw for text in read_png(stream).texts if text.key == "prompt")
        graph, findings = parse_graph(raw)
        assert graph is not None
        assert findings == ()
        return graph

    return read


@pytest.fixture(scope="session")
def graph_of() -> Callable[[Prompt], Graph]:
    """Return the graph of a prompt; nodes may be written as (class, inputs)."""

    def make(prompt: Prompt) -> Graph:
        written = {
            id_: {"class_type": node[0], "inputs": node[1]} if isinstance(node, tuple) else node
            for id_, node in prompt.items()
        }
        graph, findings = parse_graph(json.dumps(written).encode())
        assert graph is not None, findings
        return graph

    return make


@pytest.fixture
def txt2img() -> Prompt:
    """A small graph of the usual kind, to be changed by the test."""
    return {
        "4": ("CheckpointLoaderSimple", {"ckpt_name": "base.safetensors"}),
        "5": ("EmptyLatentImage", {"width": 512, "height": 768, "batch_size": 1}),
        "6": ("CLIPTextEncode", {"text": "a red fox", "clip": ["4", 1]}),
        "7": ("CLIPTextEncode", {"text": "blurry", "clip": ["4", 1]}),
        "3": (
            "KSampler",
            {
                "seed": 42, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
                "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
            },
        ),
        "8": ("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
        "9": ("SaveImage", {"filename_prefix": "fox", "images": ["8", 0]}),
    }  # fmt: skip
