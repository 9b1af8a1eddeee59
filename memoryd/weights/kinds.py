"""What a model file is for, and of which family: read from its tensors, else from what it says, else from its folder."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from memoryd.weights.safetensors import SafetensorsHeader, Tensor


class ModelKind(enum.StrEnum):
    """What weights are for."""

    CHECKPOINT = "checkpoint"
    """Several parts in one file: at least a diffusion model and a VAE or text encoder."""
    DIFFUSION_MODEL = "diffusion_model"
    LORA = "lora"
    VAE = "vae"
    TEXT_ENCODER = "text_encoder"
    CLIP_VISION = "clip_vision"
    CONTROLNET = "controlnet"
    EMBEDDING = "embedding"
    UPSCALER = "upscaler"
    UNKNOWN = "unknown"


_BY_FOLDER = {
    "checkpoints": ModelKind.CHECKPOINT,
    "diffusion_models": ModelKind.DIFFUSION_MODEL,
    "unet": ModelKind.DIFFUSION_MODEL,
    "loras": ModelKind.LORA,
    "vae": ModelKind.VAE,
    "text_encoders": ModelKind.TEXT_ENCODER,
    "clip": ModelKind.TEXT_ENCODER,
    "clip_vision": ModelKind.CLIP_VISION,
    "controlnet": ModelKind.CONTROLNET,
    "t2i_adapter": ModelKind.CONTROLNET,
    "embeddings": ModelKind.EMBEDDING,
    "upscale_models": ModelKind.UPSCALER,
    "latent_upscale_models": ModelKind.UPSCALER,
}
"""Source: ComfyUI folder_paths.py, names and legacy names of model folders."""

_LORA_MARKS = (".lora_down.", ".lora_up.", ".lora_a.", ".lora_b.", ".hada_w1", ".lokr_w", ".lora.down.", ".lora.up.")
_CONTROL_MARKS = ("control_model.", "controlnet_", "input_hint_block.", "controlnet_blocks.", "zero_convs.")
_DIFFUSION_MARKS = (
    "input_blocks.0.0.weight",
    "double_blocks.0.",
    "joint_blocks.0.",
    "transformer_blocks.0.",
    "down_blocks.0.",
    "blocks.0.cross_attn.",
    "noise_refiner.0.",
)
_VAE_MARKS = ("first_stage_model.", "vae.")
_TEXT_MARKS = ("cond_stage_model.", "conditioner.", "text_encoders.")

_FAMILIES_STATED = (
    ("stable-diffusion-xl", "sdxl"),
    ("sdxl", "sdxl"),
    ("stable-diffusion-v3", "sd3"),
    ("sd3", "sd3"),
    ("stable-diffusion-v2", "sd2"),
    ("sd_v2", "sd2"),
    ("stable-diffusion-v1", "sd15"),
    ("sd_v1", "sd15"),
    ("flux", "flux"),
    ("wan", "wan"),
    ("hunyuan", "hunyuan"),
    ("ltx", "ltx"),
    ("qwen-image", "qwen-image"),
    ("z-image", "z-image"),
)
"""How writers begin the family's name. Source: Stability-AI/ModelSpec, architectures; kohya-ss, ss_base_model_version."""

_FAMILY_BY_CONTEXT = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
"""Width of the text context that cross attention reads. Source: the published configurations of SD 1.5, 2.1 and XL."""


def guess_kind(header: SafetensorsHeader | None, path: PurePath | str) -> ModelKind:
    """Return what a file is for; `path` as seen from the models folder, `header` None for formats that have none."""
    found = _kind_of_tensors(header.tensors) if header is not None else ModelKind.UNKNOWN
    if found is ModelKind.UNKNOWN:
        for part in PurePath(str(path).replace("\\", "/")).parts[:-1]:
            if part in _BY_FOLDER:
                return _BY_FOLDER[part]
    return found


def guess_base(header: SafetensorsHeader | None) -> str | None:
    """Return the family a file belongs to (`sd15`, `sdxl`, `flux` …), None where neither tensors nor texts tell."""
    if header is None:
        return None
    return _family_of_tensors(header.tensors) or _family_stated(header.metadata)


def _kind_of_tensors(tensors: Mapping[str, Tensor]) -> ModelKind:
    names = [name.lower() for name in tensors]

    def any_contains(marks: Iterable[str]) -> bool:
        return any(mark in name for name in names for mark in marks)

    def any_begins(*marks: str) -> bool:
        return any(name.startswith(marks) for name in names)

    if any_contains(_LORA_MARKS):
        return ModelKind.LORA
    if any_begins(*_CONTROL_MARKS):
        return ModelKind.CONTROLNET
    diffusion = any_begins("model.diffusion_model.", *_DIFFUSION_MARKS)
    if diffusion and any_begins(*_VAE_MARKS, *_TEXT_MARKS):
        return ModelKind.CHECKPOINT
    if any_begins("vision_model.", "visual."):
        return ModelKind.CLIP_VISION
    if any_begins("text_model.", "encoder.block.0.layer.", "model.embed_tokens.", "transformer.text_model."):
        return ModelKind.TEXT_ENCODER
    if any_begins("encoder.conv_in.", "decoder.conv_in.", "first_stage_model.", "encoder.conv1.", "decoder.conv1."):
        return ModelKind.VAE
    if diffusion:
        return ModelKind.DIFFUSION_MODEL
    if set(names) and set(names) <= {"emb_params", "clip_l", "clip_g"}:
        return ModelKind.EMBEDDING
    return ModelKind.UNKNOWN


def _family_of_tensors(tensors: Mapping[str, Tensor]) -> str | None:
    contexts: set[int] = set()
    for name, tensor in tensors.items():
        plain = name.replace(".", "_")
        if "double_blocks_0_img_attn" in plain:
            return "flux"
        if "joint_blocks_0_" in plain:
            return "sd3"
        if plain.startswith("lora_te2_") or name.startswith("conditioner.embedders.1."):
            return "sdxl"
        if "attn2_to_k_weight" in plain or "attn2_to_k_lora_down_weight" in plain:
            contexts.update(tensor.shape[1:2])
    families = {_FAMILY_BY_CONTEXT.get(width) for width in contexts}
    return families.pop() if len(families) == 1 else None


def _family_stated(metadata: Mapping[str, str]) -> str | None:
    for key in ("modelspec.architecture", "ss_base_model_version"):
        stated = metadata.get(key, "").lower()
        for beginning, family in _FAMILIES_STATED:
            if stated.startswith(beginning):
                return family
    return None
