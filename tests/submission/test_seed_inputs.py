"""Which input of a graph is its seed."""

from __future__ import annotations

from typing import Any

import pytest

from memoryd.submission.seed_inputs import SEED_RANGE, find_seed_input, fresh_seeds


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


SAVED = {"8": node("VAEDecode", samples=["3", 0], vae=["4", 2]), "9": node("SaveImage", images=["8", 0])}
SAMPLER = {
    "steps": 4,
    "cfg": 7.0,
    "sampler_name": "euler",
    "scheduler": "normal",
    "denoise": 1.0,
    "model": ["4", 0],
    "positive": ["6", 0],
    "negative": ["7", 0],
    "latent_image": ["5", 0],
}
REST = {
    "4": node("CheckpointLoaderSimple", ckpt_name="a.safetensors"),
    "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
    "6": node("CLIPTextEncode", text="a", clip=["4", 1]),
    "7": node("CLIPTextEncode", text="b", clip=["4", 1]),
}


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({**REST, **SAVED, "3": node("KSampler", seed=2**64 - 1, **SAMPLER)}, "3.seed"),
        ({**REST, **SAVED, "3": node("KSampler", seed=["12", 0], **SAMPLER), "12": node("Seed", value=5)}, "12.value"),
        (
            {**REST, **SAVED, "1": node("Other", seed=1), "3": node("KSamplerAdvanced", noise_seed=5, **SAMPLER)},
            "3.noise_seed",
        ),
        ({"1": node("Mixer", seed=1), "2": node("SaveImage", images=["1", 0])}, "1.seed"),
        ({"1": node("Mixer", seed=True), "2": node("SaveImage", images=["1", 0])}, None),
        ({"1": node("Mixer", seed="7"), "2": node("SaveImage", images=["1", 0])}, None),
        ({"1": node("Mixer", seed=["2", 0]), "2": node("Mixer", seed=["1", 0])}, None),
        ({"1": {"class_type": "Broken"}, "2": "nothing"}, None),
        ({}, None),
    ],
)
def test_the_seed_is_the_last_samplers_own_or_what_it_comes_from(graph: dict[str, Any], expected: str | None) -> None:
    assert find_seed_input(graph) == expected


def test_fresh_seeds_differ_and_every_editor_can_hold_them() -> None:
    seeds = fresh_seeds(200)
    assert len(set(seeds)) == 200
    assert all(0 <= seed < SEED_RANGE for seed in seeds)
