"""Of which family a model is: names and shapes as the published files have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from memoryd.weights.families import guess_base
from memoryd.weights.headers import Tensor
from memoryd.weights.kinds import ModelKind, guess_kind
from memoryd.weights.safetensors import SafetensorsHeader

D = "model.diffusion_model."
Shapes = Mapping[str, Sequence[int]]


def header(tensors: Shapes, **metadata: str) -> SafetensorsHeader:
    described = {name: Tensor(dtype="BF16", shape=tuple(shape)) for name, shape in tensors.items()}
    return SafetensorsHeader(metadata=metadata, tensors=described, missing_bytes=0)


FLUX = {
    "img_in.weight": [3072, 64],
    "txt_in.weight": [3072, 4096],
    "vector_in.in_layer.weight": [3072, 768],
    "double_blocks.0.img_attn.norm.key_norm.scale": [128],
    "double_blocks.0.img_attn.qkv.weight": [9216, 3072],
    "final_layer.linear.weight": [64, 3072],
}
GUIDED = {**FLUX, "guidance_in.in_layer.weight": [3072, 256]}

WHOLE: list[tuple[str, ModelKind, Shapes]] = [
    ("flux-dev", ModelKind.DIFFUSION_MODEL, GUIDED),
    ("flux-dev", ModelKind.DIFFUSION_MODEL, {f"{D}{name}": shape for name, shape in GUIDED.items()}),
    ("flux-schnell", ModelKind.DIFFUSION_MODEL, FLUX),
    ("flux2", ModelKind.DIFFUSION_MODEL, {**GUIDED, "double_stream_modulation_img.lin.weight": [36864, 6144]}),
    ("chroma", ModelKind.DIFFUSION_MODEL, {**FLUX, "distilled_guidance_layer.norms.0.scale": [5120]}),
    (
        "flux-dev",
        ModelKind.DIFFUSION_MODEL,
        {
            "x_embedder.weight": [3072, 64],
            "single_transformer_blocks.0.proj_mlp.weight": [12288, 3072],
            "time_text_embed.text_embedder.linear_1.weight": [3072, 768],
            "time_text_embed.guidance_embedder.linear_1.weight": [3072, 256],
            "proj_out.weight": [64, 3072],
        },
    ),
    (
        "sd3",
        ModelKind.CHECKPOINT,
        {
            f"{D}joint_blocks.0.context_block.attn.qkv.weight": [4608, 1536],
            f"{D}x_embedder.proj.weight": [1536, 16, 2, 2],
            "first_stage_model.decoder.conv_in.weight": [512, 16, 3, 3],
        },
    ),
    (
        "sdxl",
        ModelKind.CHECKPOINT,
        {
            f"{D}input_blocks.0.0.weight": [320, 4, 3, 3],
            f"{D}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [640, 2048],
            f"{D}label_emb.0.0.weight": [1280, 2816],
            "conditioner.embedders.1.model.ln_final.weight": [1280],
        },
    ),
    (
        "kolors",
        ModelKind.DIFFUSION_MODEL,
        {
            f"{D}input_blocks.0.0.weight": [320, 4, 3, 3],
            f"{D}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [640, 2048],
            f"{D}label_emb.0.0.weight": [1280, 5632],
        },
    ),
    (
        "sdxl-refiner",
        ModelKind.DIFFUSION_MODEL,
        {
            f"{D}input_blocks.0.0.weight": [384, 4, 3, 3],
            f"{D}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [768, 1280],
        },
    ),
    (
        "wan",
        ModelKind.DIFFUSION_MODEL,
        {"head.modulation": [1, 2, 5120], "blocks.0.cross_attn.k.weight": [5120, 5120]},
    ),
    (
        "qwen-image",
        ModelKind.DIFFUSION_MODEL,
        {
            "txt_norm.weight": [3584],
            "transformer_blocks.0.img_mod.1.weight": [18432, 3072],
            "transformer_blocks.0.attn.add_k_proj.weight": [3072, 3072],
        },
    ),
    (
        "hunyuan-video",
        ModelKind.DIFFUSION_MODEL,
        {
            "txt_in.individual_token_refiner.blocks.0.norm1.weight": [3072],
            "double_blocks.0.img_attn_qkv.weight": [9216, 3072],
        },
    ),
    (
        "ltxv",
        ModelKind.DIFFUSION_MODEL,
        {
            "adaln_single.emb.timestep_embedder.linear_1.bias": [2048],
            "patchify_proj.weight": [2048, 128],
            "scale_shift_table": [2, 2048],
            "transformer_blocks.0.attn2.to_k.weight": [2048, 2048],
        },
    ),
    (
        "hidream",
        ModelKind.DIFFUSION_MODEL,
        {
            "caption_projection.0.linear.weight": [2560, 4096],
            "double_stream_blocks.0.block.attn1.to_k.weight": [2560, 2560],
        },
    ),
    (
        "lumina2",
        ModelKind.DIFFUSION_MODEL,
        {"cap_embedder.1.weight": [2304, 2304], "noise_refiner.0.attention.k_norm.weight": [96]},
    ),
    (
        "z-image",
        ModelKind.DIFFUSION_MODEL,
        {
            "cap_embedder.1.weight": [3840, 2560],
            "noise_refiner.0.attention.k_norm.weight": [128],
            "cap_pad_token": [1, 3840],
        },
    ),
    ("auraflow", ModelKind.DIFFUSION_MODEL, {"double_layers.0.attn.w1q.weight": [3072, 3072]}),
    ("mochi", ModelKind.DIFFUSION_MODEL, {"t5_yproj.weight": [1536, 4096], "blocks.0.attn.qkv_x.weight": [9216, 3072]}),
    (
        "cogvideox",
        ModelKind.DIFFUSION_MODEL,
        {
            "transformer_blocks.0.norm1.linear.weight": [18432, 512],
            "transformer_blocks.0.attn1.to_k.weight": [3072, 3072],
            "patch_embed.proj.weight": [3072, 16, 2, 2],
        },
    ),
    (
        "pixart",
        ModelKind.DIFFUSION_MODEL,
        {"t_block.1.weight": [6912, 1152], "x_embedder.proj.weight": [1152, 4, 2, 2]},
    ),
    (
        "cosmos",
        ModelKind.DIFFUSION_MODEL,
        {"net.blocks.block0.blocks.0.block.attn.to_q.0.weight": [4096, 4096]},
    ),
    ("stable-cascade", ModelKind.DIFFUSION_MODEL, {"clf.1.weight": [64, 2048, 1, 1], "clip_txt_mapper.weight": [2048]}),
    ("clip-l", ModelKind.TEXT_ENCODER, {"text_model.encoder.layers.11.mlp.fc1.weight": [3072, 768]}),
    ("clip-g", ModelKind.TEXT_ENCODER, {"text_model.encoder.layers.31.mlp.fc1.weight": [5120, 1280]}),
    ("t5xxl", ModelKind.TEXT_ENCODER, {"encoder.block.0.layer.0.SelfAttention.k.weight": [4096, 4096]}),
    (
        "qwen",
        ModelKind.TEXT_ENCODER,
        {
            "model.layers.0.self_attn.k_proj.bias": [512],
            "model.layers.0.self_attn.q_proj.bias": [3584],
            "visual.blocks.0.attn.qkv.weight": [3840, 1280],
        },
    ),
    ("llama", ModelKind.TEXT_ENCODER, {"model.embed_tokens.weight": [128_320, 4096]}),
    (
        "gemma",
        ModelKind.TEXT_ENCODER,
        {
            "model.layers.0.post_feedforward_layernorm.weight": [2304],
            "model.layers.0.self_attn.q_proj.weight": [2048, 2304],
        },
    ),
    ("wan", ModelKind.VAE, {"decoder.middle.0.residual.0.gamma": [384, 1, 1, 1], "encoder.conv1.weight": [96, 3, 3]}),
    ("sd15", ModelKind.EMBEDDING, {"emb_params": [4, 768]}),
    ("sdxl", ModelKind.EMBEDDING, {"clip_l": [4, 768], "clip_g": [4, 1280]}),
    (
        "sd15",
        ModelKind.CONTROLNET,
        {
            "control_model.input_hint_block.0.weight": [16, 3, 3, 3],
            "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": [320, 768],
        },
    ),
]


@pytest.mark.parametrize(("base", "kind", "tensors"), WHOLE, ids=lambda value: str(value)[:30])
def test_published_models_are_told(base: str, kind: ModelKind, tensors: Shapes) -> None:
    assert (guess_base(header(tensors)), guess_kind(header(tensors), "x.safetensors")) == (base, kind)


def lora(module: str, down: int, up: int, style: str = "kohya") -> Shapes:
    first, second = {"kohya": ("lora_down", "lora_up"), "peft": ("lora_A", "lora_B")}[style]
    return {f"{module}.{first}.weight": [16, down], f"{module}.{second}.weight": [up, 16]}


LORAS: list[tuple[str | None, Shapes]] = [
    ("sd15", lora("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768, 320)),
    ("sdxl", lora("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048, 640)),
    ("flux", lora("lora_unet_double_blocks_0_img_attn_qkv", 3072, 9216)),
    ("flux", lora("transformer.single_transformer_blocks.0.attn.to_q", 3072, 3072, "peft")),
    ("flux2", lora("diffusion_model.double_blocks.0.img_attn.qkv", 6144, 18432, "peft")),
    ("flux2", lora("diffusion_model.double_blocks.0.img_mlp.0", 3072, 18432, "peft")),
    ("sd3", lora("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536, 4608)),
    ("sd3", lora("transformer.transformer_blocks.0.attn.add_k_proj", 2432, 2432, "peft")),
    ("qwen-image", lora("transformer.transformer_blocks.0.attn.add_k_proj", 3072, 3072, "peft")),
    ("qwen-image", lora("transformer_blocks.0.img_mlp.net.0.proj", 3072, 12288, "peft")),
    ("wan", lora("diffusion_model.blocks.0.cross_attn.k", 5120, 5120, "peft")),
    ("wan", lora("lora_unet_blocks_0_self_attn_k", 1536, 1536)),
    ("hunyuan-video", lora("diffusion_model.double_blocks.0.img_mlp.fc1", 3072, 12288, "peft")),
    ("ltxv", lora("diffusion_model.transformer_blocks.0.attn1.to_k", 2048, 2048, "peft")),
    ("hidream", lora("diffusion_model.double_stream_blocks.0.block.attn1.to_k", 2560, 2560, "peft")),
    ("z-image", lora("diffusion_model.layers.0.attention.qkv", 3840, 11520, "peft")),
    ("lumina2", lora("lora_unet_layers_0_attention_qkv", 2304, 6912)),
    ("cosmos", lora("diffusion_model.blocks.0.cross_attn.q_proj", 2048, 2048, "peft")),
    (
        "sd15",
        {
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_a": [1280, 8],
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_b": [8, 768],
        },
    ),
    (
        "sdxl",
        {
            "lora_unet_output_blocks_0_1_transformer_blocks_0_attn2_to_k.lokr_w1": [8, 16],
            "lora_unet_output_blocks_0_1_transformer_blocks_0_attn2_to_k.lokr_w2_a": [160, 4],
            "lora_unet_output_blocks_0_1_transformer_blocks_0_attn2_to_k.lokr_w2_b": [4, 128],
        },
    ),
    (None, lora("lora_te_text_model_encoder_layers_0_mlp_fc1", 768, 3072)),
    (None, lora("diffusion_model.something.new", 1000, 1000, "peft")),
]


@pytest.mark.parametrize(("base", "tensors"), LORAS, ids=lambda value: str(value)[:60])
def test_loras_are_told_where_they_can_be(base: str | None, tensors: Shapes) -> None:
    assert guess_kind(header(tensors), "x.safetensors") is ModelKind.LORA
    assert guess_base(header(tensors)) == base


def test_of_look_alikes_what_the_file_says_counts() -> None:
    tensors = lora("lora_unet_double_blocks_0_img_attn_qkv", 3072, 9216)
    said = {"modelspec.architecture": "Flux-1-schnell/lora"}
    assert guess_base(header(tensors, **said)) == "flux-schnell"
    assert guess_base(header(GUIDED, **said)) == "flux-dev"
    assert guess_base(header(tensors, **{"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"})) == "flux"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (ModelKind.UPSCALER, ["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight", "model.10.weight"]),
        (ModelKind.UPSCALER, ["conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight"]),
        (ModelKind.IP_ADAPTER, ["image_proj.norm.weight", "ip_adapter.1.to_k_ip.weight"]),
        (ModelKind.STYLE_MODEL, ["redux_up.weight", "redux_down.weight"]),
        (ModelKind.CLIP_VISION, ["vision_model.embeddings.class_embedding", "visual_projection.weight"]),
        (ModelKind.CONTROLNET, ["controlnet_blocks.0.weight", "transformer_blocks.0.attn.to_k.weight"]),
        (ModelKind.VAE, ["taesd_decoder.1.weight"]),
        (ModelKind.UNKNOWN, ["layer.weight"]),
    ],
)
def test_other_kinds_are_told(kind: ModelKind, names: list[str]) -> None:
    assert guess_kind(header({name: [3, 3] for name in names}), "x.safetensors") is kind
