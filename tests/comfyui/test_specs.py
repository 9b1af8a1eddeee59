from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from memoryd.comfyui.specs import NodeSpecs


@pytest.fixture(scope="module")
def info(fixtures: Path) -> Any:
    return json.loads(gzip.decompress((fixtures / "object_info.json.gz").read_bytes()))


@pytest.fixture(scope="module")
def specs(info: Any) -> NodeSpecs:
    return NodeSpecs(info)


def test_seeds_are_found_by_what_the_editor_does_with_them(specs: NodeSpecs) -> None:
    assert specs.seeds("KSampler") == ("seed",)
    assert specs.seeds("RandomNoise") == ("noise_seed",)
    assert specs.seeds("SaveImage") == ()
    assert specs.inputs("KSampler")["seed"].maximum == 2**64 - 1


def test_both_encodings_of_a_choice_are_read(specs: NodeSpecs) -> None:
    assert specs.inputs("ImageScale")["crop"].options == ("disabled", "center")
    assert "overlay" in (specs.inputs("ImageBlend")["blend_mode"].options or ())
    assert specs.inputs("KSampler")["model"].options is None


def test_choices_inside_choices_are_dotted_inputs(specs: NodeSpecs) -> None:
    inputs = specs.inputs("SaveImageAdvanced")
    assert inputs["format"].options == ("png", "exr")
    assert {"format.bit_depth", "format.input_color_space"} <= set(inputs)
    assert not inputs["format.bit_depth"].required


def test_outputs_and_saving_classes_are_told(specs: NodeSpecs) -> None:
    assert specs.is_output("SaveImage")
    assert specs.is_output("PreviewImage")
    assert not specs.is_output("VAEDecode")
    assert specs.outputs("CheckpointLoaderSimple") == ("MODEL", "CLIP", "VAE")
    assert "KSampler" in specs
    assert "NoSuchNode" not in specs
    assert specs.inputs("NoSuchNode") == {}


def test_model_inputs_are_those_that_a_probe_found(specs: NodeSpecs, info: Any, fixtures: Path) -> None:
    rows = json.loads((fixtures / "api" / "model_inputs.json").read_text())["rows"]
    probed = copy.deepcopy(info)
    folders: dict[str, list[str]] = {}
    for row in rows:
        (folder,) = row["folders"]
        folders[folder] = [f"probe-{folder}.safetensors"]
        declared = probed[row["class_type"]]["input"]
        spec = next(group[row["input"]] for group in declared.values() if row["input"] in group)
        if isinstance(spec[0], list):
            spec[0] = [*spec[0], *folders[folder]]
        else:
            spec[1]["options"] = [*spec[1]["options"], *folders[folder]]
    found = {(use.class_type, use.input): use.folder for use in NodeSpecs(probed).model_inputs(folders)}
    assert {(row["class_type"], row["input"]): row["folders"][0] for row in rows}.items() <= found.items()


def test_a_new_model_file_is_no_new_catalogue_but_a_new_input_is(info: Any, specs: NodeSpecs) -> None:
    more_models, more_inputs = copy.deepcopy(info), copy.deepcopy(info)
    more_models["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0].append("new.safetensors")
    more_inputs["KSampler"]["input"]["required"]["new"] = ["INT", {}]
    assert NodeSpecs(more_models).digest == specs.digest
    assert NodeSpecs(more_inputs).digest != specs.digest


def test_nonsense_has_no_inputs() -> None:
    specs = NodeSpecs({"A": None, "B": {"input": {"required": {"x": [], "y": "INT", "z": [None]}, "optional": 3}}})
    assert specs.inputs("A") == {}
    assert list(specs.inputs("B")) == ["z"]
