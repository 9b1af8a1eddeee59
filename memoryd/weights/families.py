"""Of which family a model is: read from its tensors, else from what it says. Names are fixed: terms hang on them.

Source for the tensors' names: the published weights, as ComfyUI's comfy/model_detection.py and comfy/sd.py tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from memoryd.weights.adapters import Adapter, adapter_of, is_adapter
from memoryd.weights.headers import Header, Tensor

FAMILIES_STATED = (
    ("stable-diffusion-xl-v1-refiner", "sdxl-refiner"),
    ("stable-diffusion-xl", "sdxl"),
    ("sdxl", "sdxl"),
    ("stable-diffusion-v3", "sd3"),
    ("stable-diffusion-3", "sd3"),
    ("sd3", "sd3"),
    ("stable-diffusion-v2", "sd2"),
    ("sd_v2", "sd2"),
    ("stable-diffusion-v1", "sd15"),
    ("sd_v1", "sd15"),
    ("sd1", "sd15"),
    ("stable-cascade", "stable-cascade"),
    ("flux-1-dev", "flux-dev"),
    ("flux.1-dev", "flux-dev"),
    ("flux-1-kontext", "flux-dev"),
    ("flux1_kontext", "flux-dev"),
    ("flux-1-schnell", "flux-schnell"),
    ("flux.1-schnell", "flux-schnell"),
    ("flux-2", "flux2"),
    ("flux2", "flux2"),
    ("flux.2", "flux2"),
    ("flux", "flux"),
    ("chroma", "chroma"),
    ("wan", "wan"),
    ("hunyuan-dit", "hunyuan-dit"),
    ("hunyuandit", "hunyuan-dit"),
    ("hunyuan3d", "hunyuan3d"),
    ("hunyuan", "hunyuan-video"),
    ("hyvid", "hunyuan-video"),
    ("framepack", "hunyuan-video"),
    ("ltx", "ltxv"),
    ("qwen-image", "qwen-image"),
    ("qwen_image", "qwen-image"),
    ("z-image", "z-image"),
    ("z_image", "z-image"),
    ("lumina2", "lumina2"),
    ("lumina-2", "lumina2"),
    ("hidream", "hidream"),
    ("aura", "auraflow"),
    ("mochi", "mochi"),
    ("cogvideox", "cogvideox"),
    ("pixart", "pixart"),
    ("kolors", "kolors"),
    ("cosmos", "cosmos"),
    ("t5", "t5"),
    ("qwen", "qwen"),
    ("llama", "llama"),
    ("gemma", "gemma"),
)
"""How writers begin the family's name. Source: Stability-AI/ModelSpec, architectures; kohya-ss, ss_base_model_version;
city96/ComfyUI-GGUF, general.architecture."""

_REFINED = {
    "flux": {"flux-dev", "flux-schnell", "chroma", "hunyuan-video", "flux2"},
    "sdxl": {"sdxl-refiner", "kolors"},
    "lumina2": {"z-image"},
}
"""What a file may say more than its tensors show: LoRAs of these families look alike."""

_STATED_KEYS = ("modelspec.architecture", "ss_base_model_version", "general.architecture")
_BY_CONTEXT = {768: "sd15", 1024: "sd2", 1280: "sdxl-refiner", 2048: "sdxl", 4096: "kolors"}
"""Width of the text that cross attention reads. Source: the published configurations of SD 1.5, 2.1, XL and Kolors."""

_PREFIXES = re.compile(
    r"^(?:model\.diffusion_model\.|diffusion_model\.|model\.model\.|transformer\.|net\.|unet\.|model\.)"
)

_Shapes = Mapping[str, tuple[int, ...]]
_Rule = tuple[str, Callable[[_Shapes], bool]]


def guess_base(header: Header | None) -> str | None:
    """Return the family a file belongs to (`sd15`, `sdxl`, `flux-dev` …), None where neither tensors nor texts tell."""
    if header is None:
        return None
    shown, stated = _family_of_tensors(header.tensors), _family_stated(header.metadata)
    if shown is None or stated in _REFINED.get(shown, ()):
        return stated or shown
    return shown


def family_named(text: str) -> str | None:
    """Return the family that a name begins with, as writers of headers name them."""
    lower = text.strip().lower().replace(" ", "-")
    return next((family for beginning, family in FAMILIES_STATED if lower.startswith(beginning)), None)


def _family_stated(metadata: Mapping[str, str]) -> str | None:
    return next((found for key in _STATED_KEYS if (found := family_named(metadata.get(key, ""))) is not None), None)


def _family_of_tensors(tensors: Mapping[str, Tensor]) -> str | None:
    if is_adapter(tensors):
        return _family_of_adapter(adapter_of(tensors))
    shapes = {_PREFIXES.sub("", name): tensor.shape for name, tensor in tensors.items()}
    for family, holds in _RULES:
        if holds(shapes):
            return family
    contexts = {shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) > 1}
    families = {_BY_CONTEXT.get(width) for width in contexts}
    found = families.pop() if len(families) == 1 else None
    if found == "sdxl" and shapes.get("label_emb.0.0.weight", ())[1:] == (5632,):
        return "kolors"
    if found is None and any(name.startswith("conditioner.embedders.1.") for name in tensors):
        return "sdxl"
    return found or _family_of_text(shapes) or _family_of_embedding(tensors)


def _has(*parts: str) -> Callable[[_Shapes], bool]:
    """Every one of these is a name, or where it ends with a dot or a star, the beginning of one."""

    def holds(shapes: _Shapes) -> bool:
        return all(part in shapes or (part[-1] in ".*" and _any_begins(shapes, part.rstrip("*"))) for part in parts)

    return holds


def _any_begins(shapes: _Shapes, beginning: str) -> bool:
    return any(name.startswith(beginning) for name in shapes)


def _is_flux2(shapes: _Shapes) -> bool:
    return _any_begins(shapes, "double_stream_modulation_img.")


def _is_whole_flux(shapes: _Shapes) -> bool:
    # Of a part of the model it cannot be told whether guidance is missing or lies elsewhere.
    original = _any_begins(shapes, "double_blocks.0.img_attn.") and "img_in.weight" in shapes
    return original or ("x_embedder.weight" in shapes and _any_begins(shapes, "single_transformer_blocks.0."))


def _is_flux_dev(shapes: _Shapes) -> bool:
    guided = _any_begins(shapes, "guidance_in.") or _any_begins(shapes, "time_text_embed.guidance_embedder.")
    return guided and _is_whole_flux(shapes)


def _is_flux_schnell(shapes: _Shapes) -> bool:
    pooled = _has("vector_in.in_layer.weight", "final_layer.")(shapes)
    return _is_whole_flux(shapes) and (pooled or _has("time_text_embed.text_embedder.", "proj_out.weight")(shapes))


def _wide(name: str, side: int, width: int) -> Callable[[_Shapes], bool]:
    return lambda shapes: len(shapes.get(name, ())) > side and shapes[name][side] == width


_RULES: tuple[_Rule, ...] = (
    ("chroma", _has("distilled_guidance_layer.")),
    ("hunyuan-video", _has("txt_in.individual_token_refiner.")),
    ("hunyuan-video", _has("context_embedder.token_refiner.")),
    ("flux2", _is_flux2),
    ("flux-dev", _is_flux_dev),
    ("flux-schnell", _is_flux_schnell),
    ("flux", _has("double_blocks.0.img_attn.")),
    ("flux", _has("single_transformer_blocks.0.proj_mlp.")),
    ("sd3", _has("joint_blocks.0.")),
    ("stable-cascade", _has("clf.1.weight")),
    ("auraflow", _has("double_layers.0.attn.")),
    ("auraflow", _has("joint_transformer_blocks.0.")),
    ("hunyuan-dit", _has("mlp_t5.0.weight")),
    ("mochi", _has("t5_yproj.weight")),
    ("mochi", _has("transformer_blocks.0.attn1.add_k_proj.", "time_embed.")),
    ("pixart", _has("t_block.1.weight")),
    ("pixart", _has("adaln_single.emb.", "pos_embed.proj.weight")),
    ("ltxv", _has("adaln_single.emb.", "patchify_proj.weight")),
    ("ltxv", _has("time_embed.emb.", "scale_shift_table", "proj_in.weight", "transformer_blocks.0.attn1.")),
    ("ltxv", _has("adaln_single.emb.", "scale_shift_table")),
    ("cosmos", _has("blocks.block0.blocks.0.")),
    ("cosmos", _has("blocks.0.mlp.layer1.weight", "x_embedder.proj.1.weight")),
    ("z-image", _has("noise_refiner.0.", "cap_pad_token")),
    ("z-image", lambda shapes: _has("noise_refiner.0.")(shapes) and _wide("cap_embedder.1.weight", 0, 3840)(shapes)),
    ("lumina2", _has("noise_refiner.0.", "cap_embedder.1.weight")),
    ("cogvideox", _has("blocks.0.norm1.linear.weight", "blocks.0.attn1.")),
    ("cogvideox", _has("transformer_blocks.0.norm1.linear.weight", "transformer_blocks.0.attn1.", "patch_embed.")),
    ("wan", _has("head.modulation", "blocks.0.cross_attn.")),
    ("wan", _has("condition_embedder.", "blocks.0.attn2.", "scale_shift_table")),
    ("hidream", _has("caption_projection.0.linear.weight", "double_stream_blocks.0.")),
    ("qwen-image", _has("txt_norm.weight", "transformer_blocks.0.img_mod.")),
    ("sd3", _has("transformer_blocks.0.attn.add_k_proj.weight", "pos_embed.proj.weight", "context_embedder.weight")),
    ("kolors", _has("encoder_hid_proj.weight", "down_blocks.")),
    # VAEs that belong to one family only.
    ("wan", _has("decoder.middle.0.residual.0.gamma")),
    ("ltxv", _has("decoder.up_blocks.0.res_blocks.0.conv1.conv.weight")),
    ("cosmos", _has("decoder.unpatcher3d.")),
    ("cogvideox", _has("decoder.conv_in.conv.weight", "decoder.mid_block.resnets.0.norm1.norm_layer.weight")),
    ("flux2", _has("bn.running_mean", "decoder.conv_in.weight")),
    ("stable-cascade", _has("vquantizer.codebook.weight")),
    ("sdxl-refiner", _wide("label_emb.0.0.weight", 1, 2560)),
)  # fmt: skip
"""The first that holds counts: those that only one family has stand first."""

_TEXT_RULES: tuple[_Rule, ...] = (
    ("clip-g", _has("text_model.encoder.layers.31.")),
    ("clip-h", _has("text_model.encoder.layers.22.")),
    ("clip-l", _has("text_model.encoder.layers.11.")),
    ("t5xxl", _wide("encoder.block.0.layer.0.SelfAttention.k.weight", 1, 4096)),
    ("t5xxl", _wide("enc.blk.0.attn_k.weight", 1, 4096)),
    ("umt5", _wide("shared.weight", 0, 256_384)),
    ("t5", _has("encoder.block.0.layer.0.SelfAttention.k.weight")),
    ("gemma", _has("layers.0.post_feedforward_layernorm.weight")),
    ("qwen", _has("layers.0.self_attn.k_proj.bias", "layers.0.self_attn.q_proj.bias")),
    ("qwen", _has("layers.0.self_attn.q_norm.weight", "layers.0.mlp.gate_proj.weight")),
    ("qwen", _has("language_model.layers.0.self_attn.q_norm.weight")),
    ("llama", _wide("embed_tokens.weight", 0, 128_256)),
    ("llama", _wide("embed_tokens.weight", 0, 128_320)),
)


def _family_of_text(shapes: _Shapes) -> str | None:
    if _wide("shared.weight", 0, 256_384)(shapes):
        return "umt5"
    return next((family for family, holds in _TEXT_RULES if holds(shapes)), None)


def _family_of_embedding(tensors: Mapping[str, Tensor]) -> str | None:
    names = set(tensors)
    if names == {"clip_l", "clip_g"}:
        return "sdxl"
    if names and names <= {"emb_params", "*", "string_to_param.*"}:
        shape = next(iter(tensors.values())).shape
        return {768: "sd15", 1024: "sd2"}.get(shape[-1]) if shape else None
    return None


def _family_of_adapter(adapter: Adapter) -> str | None:
    modules = adapter.modules

    def any_has(*parts: str) -> bool:
        return any(part in module for module in modules for part in parts)

    for family, parts in _ADAPTER_MARKS:
        if any_has(*parts):
            return family
    if any_has("double_blocks_0_", "double_blocks_1_") or any_has("single_transformer_blocks_"):
        return _flux_adapter(adapter)
    for pattern, by_width in _ADAPTER_WIDTHS:
        told = {by_width.get(adapter.takes[m]) for m in modules if m in adapter.takes and pattern.fullmatch(m)}
        if len(told) == 1 and (wide := told.pop()) is not None:
            return wide
    if any(module.startswith("lora_te2") for module in adapter.text_modules):
        return "sdxl"
    contexts = {adapter.takes[m] for m in modules if m.endswith("attn2_to_k") and m in adapter.takes}
    families = {_BY_CONTEXT.get(context) for context in contexts}
    return families.pop() if len(families) == 1 else None


_ADAPTER_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("chroma", ("distilled_guidance_layer",)),
    ("hunyuan-video", ("individual_token_refiner", "_img_mlp_fc", "_img_mod_linear", "double_blocks_19_")),
    ("hidream", ("double_stream_blocks_0_", "caption_projection_0_")),
    ("auraflow", ("joint_transformer_blocks_", "double_layers_0_")),
    ("qwen-image", ("transformer_blocks_0_img_mlp", "transformer_blocks_0_img_mod", "transformer_blocks_0_txt_m")),
    ("sd3", ("joint_blocks_",)),
    ("mochi", ("blocks_0_attn_qkv_x", "transformer_blocks_0_attn1_add_k")),
    ("cosmos", ("blocks_0_cross_attn_q_proj", "blocks_0_self_attn_q_proj", "blocks_block0_")),
)  # fmt: skip
_ADAPTER_WIDTHS: tuple[tuple[re.Pattern[str], Mapping[int, str]], ...] = (
    (re.compile(r"transformer_blocks_\d+_attn_(?:add_k_proj|to_k)"), {3072: "qwen-image", 1536: "sd3", 2432: "sd3"}),
    (re.compile(r"transformer_blocks_\d+_attn1_to_k"), {1152: "pixart", 2048: "ltxv", 4096: "ltxv", 1920: "cogvideox",
                                                        3072: "cogvideox"}),
    (re.compile(r"layers_\d+_attention_(?:to_k|qkv)"), {2304: "lumina2", 3840: "z-image"}),
    (re.compile(r"blocks_\d+_(?:self_attn_k|cross_attn_k|attn1_to_k)"), {1536: "wan", 3072: "wan", 5120: "wan"}),
)  # fmt: skip
"""Widths of the blocks of families whose modules have the same names. Source: the published configurations."""


def _flux_adapter(adapter: Adapter) -> str:
    for module, width in adapter.gives.items():
        within = adapter.takes.get(module)
        if within and module.endswith("_linear1"):
            # One matrix holds query, key, value and what the gated or ungated part of the block takes.
            return "flux2" if width == 9 * within else "flux"
        if within and module.endswith(("_img_mlp_0", "to_qkv_mlp_proj")):
            return "flux" if width == 4 * within else "flux2"
    return "flux2" if 6144 in adapter.takes.values() else "flux"
