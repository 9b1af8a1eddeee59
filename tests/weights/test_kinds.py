"""What a model file is for, and of which family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from memoryd.weights.families import guess_base
from memoryd.weights.headers import Tensor
from memoryd.weights.kinds import ModelKind, guess_kind
from memoryd.weights.safetensors import SafetensorsHeader


def header(tensors: Mapping[str, Sequence[int]], **metadata: str) -> SafetensorsHeader:
    described = {name: Tensor(dtype="F16", shape=tuple(shape)) for name, shape in tensors.items()}
    return SafetensorsHeader(metadata=metadata, tensors=described, missing_bytes=0)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.x"], ModelKind.CHECKPOINT),
        (["model.diffusion_model.input_blocks.0.0.weight"], ModelKind.DIFFUSION_MODEL),
        (["double_blocks.0.img_attn.qkv.weight"], ModelKind.DIFFUSION_MODEL),
        (["lora_unet_down_blocks_0.lora_down.weight"], ModelKind.LORA),
        (["diffusion_model.blocks.0.q.lora_A.weight"], ModelKind.LORA),
        (["control_model.input_hint_block.0.weight", "down_blocks.0.x"], ModelKind.CONTROLNET),
        (["encoder.conv_in.weight", "decoder.conv_in.weight"], ModelKind.VAE),
        (["text_model.embeddings.token_embedding.weight"], ModelKind.TEXT_ENCODER),
        (["vision_model.embeddings.class_embedding"], ModelKind.CLIP_VISION),
        (["emb_params"], ModelKind.EMBEDDING),
        (["something.else"], ModelKind.UNKNOWN),
    ],
)
def test_tensors_tell_the_kind(names: list[str], kind: ModelKind) -> None:
    assert guess_kind(header({name: [1] for name in names}), "x.safetensors") is kind


def test_where_tensors_do_not_tell_the_folder_does() -> None:
    assert guess_kind(None, "upscale_models/4x.pth") is ModelKind.UPSCALER
    assert guess_kind(None, "loras\\style\\x.pt") is ModelKind.LORA
    assert guess_kind(None, "loras") is ModelKind.UNKNOWN
    assert guess_kind(header({"emb_params": [1]}), "loras/x.safetensors") is ModelKind.EMBEDDING


@pytest.mark.parametrize(
    ("tensors", "base"),
    [
        ({"model.diffusion_model.input_blocks.1.1.attn2.to_k.weight": [320, 768]}, "sd15"),
        ({"model.diffusion_model.input_blocks.1.1.attn2.to_k.weight": [320, 1024]}, "sd2"),
        ({"model.diffusion_model.input_blocks.4.1.attn2.to_k.weight": [640, 2048]}, "sdxl"),
        ({"lora_unet_down_blocks_0_attn2_to_k.lora_down.weight": [4, 768]}, "sd15"),
        ({"lora_te2_text_model.lora_down.weight": [4, 1280]}, "sdxl"),
        ({"double_blocks.0.img_attn.qkv.weight": [1, 1]}, "flux"),
        ({"joint_blocks.0.x_block.attn.qkv.weight": [1, 1]}, "sd3"),
        ({"a.attn2.to_k.weight": [1, 768], "b.attn2.to_k.weight": [1, 1024]}, None),
        ({"a.attn2.to_k.weight": []}, None),
    ],
)
def test_tensors_tell_the_family_and_contradictions_tell_nothing(
    tensors: dict[str, list[int]], base: str | None
) -> None:
    assert guess_base(header(tensors)) == base


def test_what_a_file_says_is_asked_after_its_tensors() -> None:
    stated = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}
    assert guess_base(header({}, **stated)) == "sdxl"
    assert guess_base(header({"double_blocks.0.img_attn.qkv.weight": [1]}, **stated)) == "flux"
    assert guess_base(header({}, ss_base_model_version="sd_v1")) == "sd15"
    assert guess_base(header({}, ss_base_model_version="unheard of")) is None
    assert guess_base(None) is None
