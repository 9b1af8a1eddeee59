"""The node classes that the stand-in executes: their specifications, with the present files as options."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.folders import Folders

_MODEL_OPTIONS = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("LoraLoader", "lora_name"): "loras",
    ("LoraLoaderModelOnly", "lora_name"): "loras",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("VAELoader", "vae_name"): "vae",
}

# Specifications as a ComfyUI 0.29 answers them, without its help texts and without the names of files.
_SPECIFICATIONS: dict[str, dict[str, Json]] = json.loads(Path(__file__).with_name("object_info.json").read_text())

CLASSES = frozenset(_SPECIFICATIONS)
"""The classes that can be executed."""


def specification(class_type: str, folders: Folders) -> dict[str, Json]:
    """Return the answer to /object_info for one class of CLASSES."""
    described = copy.deepcopy(_SPECIFICATIONS[class_type])
    for (owner, name), folder in _MODEL_OPTIONS.items():
        if owner == class_type:
            required_inputs(described)[name][0] = list(folders.model_names(folder))
    if class_type == "LoadImage":
        required_inputs(described)["image"][0] = list(folders.inputs())
    return described


def required_inputs(described: Mapping[str, Json]) -> dict[str, list[Json]]:
    """Return the required inputs of a specification by name: `[type or options, details]` each."""
    groups = described["input"]
    assert isinstance(groups, dict)
    inputs = groups.get("required", {})
    assert isinstance(inputs, dict)
    return {name: spec for name, spec in inputs.items() if isinstance(spec, list)}


def is_output(class_type: str) -> bool:
    """Tell whether the class saves or shows something."""
    return _SPECIFICATIONS[class_type]["output_node"] is True


def display_name(class_type: str) -> str:
    """Return the class's name for people."""
    return str(_SPECIFICATIONS[class_type].get("display_name") or class_type)
