"""What a model file is for: read from its tensors, else from its folder."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath

from memoryd.weights.adapters import is_adapter
from memoryd.weights.headers import Header, Tensor


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
    IP_ADAPTER = "ip_adapter"
    STYLE_MODEL = "style_model"
    EMBEDDING = "embedding"
    UPSCALER = "upscaler"
    HYPERNETWORK = "hypernetwork"
    UNKNOWN = "unknown"


_BY_FOLDER = {
    "checkpoints": ModelKind.CHECKPOINT,
    "diffusion_models": ModelKind.DIFFUSION_MODEL,
    "unet": ModelKind.DIFFUSION_MODEL,
    "unet_gguf": ModelKind.DIFFUSION_MODEL,
    "loras": ModelKind.LORA,
    "vae": ModelKind.VAE,
    "vae_approx": ModelKind.VAE,
    "text_encoders": ModelKind.TEXT_ENCODER,
    "clip": ModelKind.TEXT_ENCODER,
    "clip_gguf": ModelKind.TEXT_ENCODER,
    "clip_vision": ModelKind.CLIP_VISION,
    "style_models": ModelKind.STYLE_MODEL,
    "controlnet": ModelKind.CONTROLNET,
    "t2i_adapter": ModelKind.CONTROLNET,
    "ipadapter": ModelKind.IP_ADAPTER,
    "embeddings": ModelKind.EMBEDDING,
    "hypernetworks": ModelKind.HYPERNETWORK,
    "upscale_models": ModelKind.UPSCALER,
    "latent_upscale_models": ModelKind.UPSCALER,
}
"""Source: ComfyUI folder_paths.py, names and legacy names of model folders."""

_CONTROL_MARKS = (
    "control_model.", "controlnet_", "input_hint_block.", "controlnet_blocks.", "zero_convs.", "controlnet.",
    "control_add_embedding.", "adapter.body.", "lora_controlnet",
)  # fmt: skip
_IP_MARKS = ("ip_adapter.", "ip_adapter_", "image_proj.", "image_proj_model.", "ip_adapter_proj_model.")
_STYLE_MARKS = ("redux_up.", "style_embedding")
_DIFFUSION_MARKS = (
    "input_blocks.0.0.weight", "double_blocks.0.", "joint_blocks.0.", "transformer_blocks.0.", "down_blocks.0.",
    "blocks.0.cross_attn.", "noise_refiner.0.", "double_layers.0.", "single_transformer_blocks.0.", "clf.1.weight",
    "double_stream_blocks.0.", "blocks.block0.blocks.0.", "blocks.0.attn.qkv_x.", "blocks.0.norm1.linear.",
    "t_block.1.", "t5_yproj.", "blocks.0.self_attn.", "joint_transformer_blocks.0.", "net.blocks.", "single_blocks.0.",
)  # fmt: skip
_VAE_MARKS = ("first_stage_model.", "vae.")
_TEXT_MARKS = ("cond_stage_model.", "conditioner.", "text_encoders.")
_ENCODER_MARKS = (
    "text_model.", "encoder.block.0.layer.", "model.embed_tokens.", "transformer.text_model.", "shared.weight",
    "model.layers.0.self_attn.", "model.layers.0.input_layernorm.", "layers.0.self_attn.", "enc.blk.0.",
    "token_embd.weight", "text_projection.weight", "transformer.encoder.layers.", "model.language_model.",
    "language_model.", "transformer.resblocks.",
)  # fmt: skip
_VAE_ALONE = (
    "encoder.conv_in.", "decoder.conv_in.", "first_stage_model.", "encoder.conv1.", "decoder.conv1.", "taesd_",
    "decoder.middle.0.residual.", "decoder.up_blocks.0.", "vquantizer.", "decoder.layers.1.", "encoder.backbone.",
    "decoder.unpatcher3d.", "decoder.22.bias", "vae.",
)  # fmt: skip
_UPSCALER_MARKS = (
    "model.1.sub.", "rrdb_trunk.", "body.0.rdb1.", "params_ema.", "params.", "conv_first.", "layers.0.residual_group.",
    "upsampler.", "mapping_network.", "model.0.weight",
)  # fmt: skip
"""ESRGAN old (`model.1.sub.`), its first names (`RRDB_trunk.`), Real-ESRGAN (`body.0.rdb1.`), SwinIR and HAT."""
_UPSCALER_TAILS = ("conv_up1.weight", "upconv1.weight", "conv_last.weight", "upsample.0.weight", "model.10.weight")
_EMBEDDINGS = ({"emb_params"}, {"clip_l", "clip_g"}, {"clip_l"}, {"clip_g"}, {"string_to_param.*", "*"}, {"*"})


def guess_kind(header: Header | None, path: PurePath | str) -> ModelKind:
    """Return what a file is for; `path` as seen from the models folder, `header` None for formats that have none."""
    found = _kind_of_tensors(header.tensors, header.metadata) if header is not None else ModelKind.UNKNOWN
    if found is ModelKind.UNKNOWN:
        for part in PurePath(str(path).replace("\\", "/")).parts[:-1]:
            if part in _BY_FOLDER:
                return _BY_FOLDER[part]
    return found


def _kind_of_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> ModelKind:
    names = [name.lower() for name in tensors]

    def any_begins(marks: Iterable[str]) -> bool:
        beginnings = tuple(marks)
        return any(name.startswith(beginnings) for name in names)

    if set(names) and any(set(names) <= allowed for allowed in _EMBEDDINGS):
        return ModelKind.EMBEDDING
    if any_begins(_IP_MARKS):
        return ModelKind.IP_ADAPTER
    if any_begins(_CONTROL_MARKS):
        return ModelKind.CONTROLNET
    if is_adapter(tensors):
        return ModelKind.LORA
    if any_begins(_STYLE_MARKS):
        return ModelKind.STYLE_MODEL
    return _kind_of_whole(any_begins, names, metadata.get("general.type", ""))


def _kind_of_whole(any_begins: Callable[[Iterable[str]], bool], names: list[str], stated: str) -> ModelKind:
    diffusion = any_begins(("model.diffusion_model.", *_DIFFUSION_MARKS))
    if diffusion and any_begins((*_VAE_MARKS, *_TEXT_MARKS)):
        return ModelKind.CHECKPOINT
    if any_begins(("vision_model.", "visual.")) and not any_begins(_ENCODER_MARKS):
        return ModelKind.CLIP_VISION
    if any_begins(("v.blk.", "mm.")) and stated == "mmproj":
        return ModelKind.CLIP_VISION
    if any_begins(_ENCODER_MARKS) or any_begins(_TEXT_MARKS):
        return ModelKind.TEXT_ENCODER
    if any_begins(_VAE_ALONE) and not any_begins(("model.diffusion_model.",)):
        return ModelKind.VAE
    if diffusion:
        return ModelKind.DIFFUSION_MODEL
    upscaler = any_begins(_UPSCALER_MARKS) and any(name.endswith(_UPSCALER_TAILS) for name in names)
    return ModelKind.UPSCALER if upscaler else ModelKind.UNKNOWN
