"""What each node class does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from memoryd.comfyui.facts import STAND_IN_MARK
from memoryd.foundation.canonical_json import Json
from memoryd.stand_in import pictures
from memoryd.stand_in.facts import VERSION, Latent, Made, NodeResult, Pixels
from memoryd.stand_in.folders import PREVIEW_LEVEL, SAVE_LEVEL, Folders, Saver, temporary_prefix
from memoryd.stand_in.painting import paint


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a node sees besides its inputs.

    `prompt` and `extra` are what a saving node embeds, and `painted` whether the painter took part in what it saves;
    `level` gives the level of compression that this machine makes of ComfyUI's own;
    `step(value, maximum)` tells of a sampler's progress, and raises
    when the run was interrupted; `noise` is None, or numbers that no run repeats.
    """

    folders: Folders
    prompt: Mapping[str, Json]
    extra: Mapping[str, Json]
    painted: bool
    step: Callable[[int, int], None]
    level: Callable[[int], int]
    noise: np.random.Generator | None


_Inputs = Mapping[str, Any]

UPSCALE_FACTOR = 4
"""What most upscale models do; here by plain interpolation."""


PAINTERS = frozenset({"ImageUpscaleWithModel", "VAEDecode"})
"""What comes from these is painted here, where a ComfyUI would have asked a trained model."""


def marked(extra: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the texts of a painted picture: those of its sender, and last, once, who painted it."""
    return {**{key: value for key, value in extra.items() if key != STAND_IN_MARK}, STAND_IN_MARK: VERSION}


def _made(*recipe: Json) -> Made:
    return Made(recipe=recipe)


def _recipe(value: Made) -> Json:
    return list(value.recipe)


def _checkpoint(inputs: _Inputs, stage: Stage) -> NodeResult:
    name = stage.folders.weights("checkpoints", inputs["ckpt_name"])
    return NodeResult(values=(_made("model", name), _made("clip", name), _made("vae", name)))


def _lora(inputs: _Inputs, stage: Stage) -> NodeResult:
    name = stage.folders.weights("loras", inputs["lora_name"])
    model = _made("lora", name, inputs["strength_model"], _recipe(inputs["model"]))
    if "clip" not in inputs:
        return NodeResult(values=(model,))
    return NodeResult(values=(model, _made("lora", name, inputs["strength_clip"], _recipe(inputs["clip"]))))


def _vae(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=(_made("vae", stage.folders.weights("vae", inputs["vae_name"])),))


def _text(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=(_made("text", inputs["text"], _recipe(inputs["clip"])),))


def _clip_layer(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=(_made("layer", inputs["stop_at_clip_layer"], _recipe(inputs["clip"])),))


def _empty_latent(inputs: _Inputs, stage: Stage) -> NodeResult:
    # A latent pixel is eight of the picture's; the rest of the division is lost, as in ComfyUI.
    width, height = inputs["width"] // 8 * 8, inputs["height"] // 8 * 8
    return NodeResult(values=(Latent(width=width, height=height, batch=inputs["batch_size"]),))


def _sample(latent: Latent, stage: Stage, steps: int, denoise: float, *recipe: Json) -> Latent:
    for step in range(steps):
        stage.step(step + 1, steps)
    noise: list[Json] = [int(stage.noise.integers(2**62))] if stage.noise is not None else []
    size: list[Json] = [latent.width, latent.height, latent.batch]
    made = (*recipe, list(latent.recipe), size, steps, denoise, noise)
    strength = 1 - (1 - latent.strength) * (1 - denoise) if latent.base is not None else 0.0
    return dataclasses.replace(latent, recipe=made, strength=strength)


def _ksampler(inputs: _Inputs, stage: Stage) -> NodeResult:
    texts = [_recipe(inputs[name]) for name in ("model", "positive", "negative")]
    facts: list[Json] = [inputs[name] for name in ("cfg", "sampler_name", "scheduler")]
    latent = inputs["latent_image"]
    sampled = _sample(latent, stage, inputs["steps"], inputs["denoise"], "sampled", inputs["seed"], texts, facts)
    return NodeResult(values=(sampled,))


def _noise(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=(_made("noise", inputs["noise_seed"]),))


def _sampler(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=(_made("sampler", inputs["sampler_name"]),))


def _sigmas(inputs: _Inputs, stage: Stage) -> NodeResult:
    words = [inputs[name] for name in ("scheduler", "steps", "denoise")]
    return NodeResult(values=(_made("sigmas", *words, _recipe(inputs["model"])),))


def _guider(inputs: _Inputs, stage: Stage) -> NodeResult:
    texts = [_recipe(inputs[name]) for name in ("model", "positive", "negative")]
    return NodeResult(values=(_made("guider", inputs["cfg"], texts),))


def _sample_custom(inputs: _Inputs, stage: Stage) -> NodeResult:
    _, _, steps, denoise, _ = inputs["sigmas"].recipe
    facts = [_recipe(inputs[name]) for name in ("noise", "guider", "sampler", "sigmas")]
    sampled = _sample(inputs["latent_image"], stage, steps, denoise, "sampled", *facts)
    return NodeResult(values=(sampled, sampled))


def _scale_latent(inputs: _Inputs, stage: Stage) -> NodeResult:
    latent: Latent = inputs["samples"]
    width, height = inputs["width"] or latent.width, inputs["height"] or latent.height
    recipe = ("scaled", inputs["upscale_method"], inputs["crop"], list(latent.recipe))
    scaled = dataclasses.replace(latent, width=width // 8 * 8, height=height // 8 * 8, recipe=recipe)
    return NodeResult(values=(scaled,))


def _decode(inputs: _Inputs, stage: Stage) -> NodeResult:
    latent: Latent = inputs["samples"]
    if latent.base is not None and not latent.recipe:
        return NodeResult(values=(latent.base,))
    return NodeResult(values=(paint(dataclasses.replace(latent, recipe=(*latent.recipe, _recipe(inputs["vae"])))),))


def _encode(inputs: _Inputs, stage: Stage) -> NodeResult:
    pixels: Pixels = inputs["pixels"]
    height, width = (size // 8 * 8 for size in pixels.shape[1:3])
    kept = np.ascontiguousarray(pixels[:, :height, :width, :3])
    return NodeResult(values=(Latent(width=width, height=height, batch=len(pixels), base=kept),))


def _empty_image(inputs: _Inputs, stage: Stage) -> NodeResult:
    filled = pictures.fill(inputs["width"], inputs["height"], inputs["batch_size"], inputs["color"])
    return NodeResult(values=(filled,))


def _load_image(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=pictures.load(stage.folders.annotated(inputs["image"])))


def _scale_image(inputs: _Inputs, stage: Stage) -> NodeResult:
    words = [inputs[name] for name in ("image", "upscale_method", "width", "height", "crop")]
    return NodeResult(values=(pictures.scale(*words),))


def _upscaler(inputs: _Inputs, stage: Stage) -> NodeResult:
    name = inputs["model_name"]
    return NodeResult(values=(_made("upscaler", stage.folders.weights("upscale_models", name)),))


def _upscale(inputs: _Inputs, stage: Stage) -> NodeResult:
    pixels: Pixels = inputs["image"]
    height, width = (size * UPSCALE_FACTOR for size in pixels.shape[1:3])
    return NodeResult(values=(pictures.scale(pixels, "bicubic", width, height, "disabled"),))


def _composite(inputs: _Inputs, stage: Stage) -> NodeResult:
    source: Pixels = inputs["source"]
    destination: Pixels = inputs["destination"]
    if inputs["resize_source"]:
        source = pictures.scale(source, "bilinear", destination.shape[2], destination.shape[1], "disabled")
    return NodeResult(values=(pictures.paste(destination, source, inputs["x"], inputs["y"], inputs.get("mask")),))


def _blend(inputs: _Inputs, stage: Stage) -> NodeResult:
    words = [inputs[name] for name in ("image1", "image2", "blend_factor", "blend_mode")]
    return NodeResult(values=(pictures.blend(*words),))


def _invert(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=(pictures.invert(inputs["image"]),))


def _batch(inputs: _Inputs, stage: Stage) -> NodeResult:
    return NodeResult(values=(pictures.join(inputs["image1"], inputs["image2"]),))


def _save(inputs: _Inputs, stage: Stage) -> NodeResult:
    return _write(inputs["images"], stage, "output", inputs["filename_prefix"], SAVE_LEVEL)


def _preview(inputs: _Inputs, stage: Stage) -> NodeResult:
    return _write(inputs["images"], stage, "temp", temporary_prefix(), PREVIEW_LEVEL)


def _write(pixels: Pixels, stage: Stage, kind: str, prefix: str, level: int) -> NodeResult:
    folder = stage.folders.of_type(kind)
    assert folder is not None
    extra = marked(stage.extra) if stage.painted else stage.extra
    saver = Saver(folder=folder, type=kind, prefix=prefix, level=stage.level(level), prompt=stage.prompt, extra=extra)
    files: list[Json] = [file.as_json() for file in saver.save(pixels)]
    return NodeResult(values=(pixels,), shown={"images": files})


ACTIONS: Mapping[str, Callable[[_Inputs, Stage], NodeResult]] = {
    "BasicScheduler": _sigmas,
    "CFGGuider": _guider,
    "CLIPSetLastLayer": _clip_layer,
    "CLIPTextEncode": _text,
    "CheckpointLoaderSimple": _checkpoint,
    "EmptyImage": _empty_image,
    "EmptyLatentImage": _empty_latent,
    "ImageBatch": _batch,
    "ImageBlend": _blend,
    "ImageCompositeMasked": _composite,
    "ImageInvert": _invert,
    "ImageScale": _scale_image,
    "ImageUpscaleWithModel": _upscale,
    "KSampler": _ksampler,
    "KSamplerSelect": _sampler,
    "LatentUpscale": _scale_latent,
    "LoadImage": _load_image,
    "LoraLoader": _lora,
    "LoraLoaderModelOnly": _lora,
    "PreviewImage": _preview,
    "RandomNoise": _noise,
    "SamplerCustomAdvanced": _sample_custom,
    "SaveImage": _save,
    "UpscaleModelLoader": _upscaler,
    "VAEDecode": _decode,
    "VAEEncode": _encode,
    "VAELoader": _vae,
}
"""What is done for each class of the catalogue."""
