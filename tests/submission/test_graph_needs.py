"""What a graph needs before it can run."""

from __future__ import annotations

import json

import pytest

from memoryd.submission.graph_needs import (
    GraphNeeds,
    ModelUnknown,
    NodeClassUnknown,
    check_classes,
    check_models,
    read_needs,
)


def needs(*models: tuple[str, str]) -> GraphNeeds:
    return GraphNeeds(classes=frozenset({"KSampler"}), models=models)


def test_models_are_read_from_the_inputs_that_name_files() -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl/base.safetensors"}},
        "2": {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "lora_name": "ink.safetensors"}},
        "3": {"class_type": "LoraLoader", "inputs": {"model": ["2", 0], "lora_name": "ink.safetensors"}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x.safetensors"}},
    }
    read = read_needs(json.dumps(graph))
    assert read.models == (("checkpoints", "sdxl/base.safetensors"), ("loras", "ink.safetensors"))
    assert read.model_set == "sdxl/base.safetensors"
    assert "LoraLoader" in read.classes


def test_nothing_is_refused_where_nothing_is_known_of_the_pool() -> None:
    check_classes(needs(), None, pool="p")
    check_models(needs(("checkpoints", "a.safetensors")), None, pool="p")
    check_models(needs(("checkpoints", "a.safetensors")), {"loras": {"b.safetensors"}}, pool="p")


def test_a_path_spelled_as_on_another_system_and_an_older_folders_name_are_found() -> None:
    check_models(needs(("checkpoints", "sdxl\\a.safetensors")), {"checkpoints": {"sdxl/a.safetensors"}}, pool="p")
    check_models(needs(("unet", "a.safetensors")), {"diffusion_models": {"a.safetensors"}}, pool="p")
    check_models(needs(("text_encoders", "t.safetensors")), {"clip": {"t.safetensors"}}, pool="p")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(NodeClassUnknown, match="KSampler"):
        check_classes(needs(), {"SaveImage"}, pool="p")
    with pytest.raises(ModelUnknown, match="checkpoints/a"):
        check_models(needs(("checkpoints", "a.safetensors")), {"checkpoints": {"b.safetensors"}}, pool="p")
