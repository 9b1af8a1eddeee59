"""What node classes do, as far as their parameters are read: tables of ComfyUI's own nodes and of common packs.

Unlike `recipe_v1` these may grow at any time: what they decide is a fact with its evidence, never an identity.
Source: ComfyUI 0.29 and the sources of 32 node packs, read class by class for what their inputs name.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path

from memoryd.comfyui.input_names import MEDIA_NAME, NAME_LIMIT
from memoryd.workflows.recipe_v1 import NAME_CACHE_SIZE, class_words

MODEL_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx")

_ROLE_BY_INPUT: Mapping[str, str] = {
    "ckpt_name": "checkpoints", "base_model": "checkpoints", "refiner_model": "checkpoints", "sdxl_model": "checkpoints",
    "supir_model": "checkpoints", "ltxv_path": "checkpoints", "unet_name": "diffusion_models", "lora_name": "loras",
    "lora": "loras", "lora_model": "loras", "existing_lora": "loras", "default_lora": "loras", "vae_name": "vae",
    "vae_model": "vae", "clip_name": "text_encoders", "gemma_path": "text_encoders", "clip_vision_name": "clip_vision",
    "control_net_name": "controlnet", "controlnet_name": "controlnet", "sparsectrl_name": "controlnet",
    "cnet": "controlnet", "cn_lora_name": "controlnet", "tile_controlnet": "controlnet",
    "style_model_name": "style_models", "gligen_name": "gligen", "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker", "audio_encoder_name": "audio_encoders", "upscale_model": "upscale_models",
    "bg_removal_name": "background_removal", "model_patch": "model_patches", "ipadapter_file": "ipadapter",
    "instantid_file": "instantid", "pulid_file": "pulid", "select_to_add_lora": "loras", "insert_lora": "loras",
    "controlnet_path": "controlnet", "embeddingslist": "embeddings", "insert_embedding": "embeddings",
}  # fmt: skip
"""Input name -> models folder, wherever the name says enough. Numbers, `_opt` and words before it do not matter."""

_MODEL_NAME_BY_CLASS: Mapping[str, str] = {
    "UpscaleModelLoader": "upscale_models", "easy hiresFix": "upscale_models", "ttN hiresfixScale": "upscale_models",
    "Upscale Model Loader": "upscale_models", "LatentUpscaleModelLoader": "latent_upscale_models",
    "LowVRAMLatentUpscaleModelLoader": "latent_upscale_models", "OpticalFlowLoader": "optical_flow",
    "LoadDA3Model": "geometry_estimation", "LoadMoGeModel": "geometry_estimation",
    "FrameInterpolationModelLoader": "frame_interpolation", "LoadMediaPipeFaceLandmarker": "detection",
    "WanVideoVAELoader": "vae", "LoadWanVideoT5TextEncoder": "text_encoders",
    "LoadWanVideoClipTextEncoder": "text_encoders", "DiffusionModelSelector": "diffusion_models",
    "DiffusionModelLoaderKJ": "diffusion_models", "GGUFLoaderKJ": "diffusion_models", "ONNXDetectorProvider": "onnx",
    "SAMLoader": "sams", "easy samLoaderPipe": "sams", "MMDetLoader": "mmdets", "MMDetDetectorProvider": "mmdets",
    "UltralyticsDetectorProvider": "ultralytics", "easy ultralyticsDetectorPipe": "ultralytics",
    "easy LLLiteLoader": "controlnet", "INPAINT_LoadInpaintModel": "inpaint", "ClownModelLoader": "diffusion_models",
    "FluxLoader": "diffusion_models", "SD35Loader": "diffusion_models",
    "ADE_LoadAnimateDiffModel": "animatediff_models", "ADE_AnimateDiffLoaderGen1": "animatediff_models",
    "ADE_AnimateDiffLoaderWithContext": "animatediff_models",
}  # fmt: skip
"""Classes whose input `model_name` names a file of this folder."""

_BY_CLASS_AND_INPUT: Mapping[tuple[str, str], str] = {
    ("CLIPVisionLoader", "clip_name"): "clip_vision", ("UltraSharkSampler_Tiled", "clip_name"): "clip_vision",
    ("LoadFluxIPAdapter", "clip_vision"): "clip_vision", ("LoadFluxIPAdapter", "ipadatper"): "ipadapter",
    ("ModelPatchLoader", "name"): "model_patches", ("WanVideoModelLoader", "model"): "diffusion_models",
    ("ACN_ControlNet++LoaderAdvanced", "name"): "controlnet", ("ACN_ControlNet++LoaderSingle", "name"): "controlnet",
    ("ACN_CtrLoRALoader", "base"): "controlnet", ("ACN_CtrLoRALoader", "lora"): "controlnet",
    ("INPAINT_LoadFooocusInpaint", "head"): "inpaint", ("INPAINT_LoadFooocusInpaint", "patch"): "inpaint",
    ("LTXAVTextEncoderLoader", "text_encoder"): "text_encoders", ("LTXVLoadConditioning", "file_name"): "embeddings",
    ("easy cascadeLoader", "stage_a"): "vae", ("easy cascadeLoader", "stage_b"): "checkpoints",
    ("easy cascadeLoader", "stage_c"): "checkpoints",
}  # fmt: skip

_HEURISTIC_ROLES = (
    ("lora", "loras"), ("lycoris", "loras"), ("vae", "vae"), ("taesd", "vae"), ("clip_vision", "clip_vision"),
    ("clipvision", "clip_vision"), ("siglip", "clip_vision"), ("sigclip", "clip_vision"), ("control", "controlnet"),
    ("t2i", "controlnet"), ("ipadapter", "ipadapter"), ("ip_adapter", "ipadapter"), ("ip-adapter", "ipadapter"),
    ("upscal", "upscale_models"), ("esrgan", "upscale_models"), ("hypernet", "hypernetworks"),
    ("motion", "animatediff_models"), ("animatediff", "animatediff_models"), ("instantid", "instantid"), ("pulid", "pulid"),
    ("detector", "ultralytics"), ("ultralytics", "ultralytics"), ("yolo", "ultralytics"), ("bbox", "ultralytics"),
    ("clip", "text_encoders"), ("t5xxl", "text_encoders"), ("umt5", "text_encoders"), ("text_encoder", "text_encoders"),
    ("textencoder", "text_encoders"), ("text encoder", "text_encoders"), ("gligen", "gligen"),
    ("embedding", "embeddings"), ("photomaker", "photomaker"), ("inpaint", "inpaint"), ("segment", "sams"),
    ("interpol", "frame_interpolation"), ("rife", "frame_interpolation"), ("face", "facerestore_models"),
    ("rembg", "background_removal"), ("birefnet", "background_removal"), ("brushnet", "inpaint"), ("powerpaint", "inpaint"),
    ("preprocessor", "annotators"), ("pose", "annotators"), ("llava", "LLM"), ("llm", "LLM"), ("florence", "LLM"),
    ("chatglm", "text_encoders"), ("gimm", "frame_interpolation"),
)  # fmt: skip
_WEAK_ROLES = (("depth", "annotators"), ("patch", "model_patches"), ("style", "style_models"))
_HEURISTIC_WORDS = {
    "sam": "sams",
    "sam2": "sams",
    "t5": "text_encoders",
    "te": "text_encoders",
    "clip": "text_encoders",
}
_BASE_ROLES = (
    ("ckpt", "checkpoints"), ("checkpoint", "checkpoints"), ("unet", "diffusion_models"), ("diffusion", "diffusion_models"),
    ("transformer", "diffusion_models"), ("gguf", "diffusion_models"),
)  # fmt: skip
_WEIGHTS_OF_MODELS = (".safetensors", ".ckpt", ".gguf", ".sft")
_PATH = re.compile(r"[\\/]")
_WORDS = re.compile(r"[a-z]+\d*")
_NUMBER = re.compile(r"[ _]?\d+(?=_|$)|_opt$|_[abc](?=_name$)")

_TEXT_INPUTS: Mapping[str, tuple[str, ...]] = {
    "CLIPTextEncode": ("text",), "CLIPTextEncodeSDXL": ("text_g", "text_l"), "CLIPTextEncodeSDXLRefiner": ("text",),
    "CLIPTextEncodeSD3": ("clip_l", "clip_g", "t5xxl"), "CLIPTextEncodeFlux": ("clip_l", "t5xxl"),
    "CLIPTextEncodeHiDream": ("clip_l", "clip_g", "t5xxl", "llama"), "CLIPTextEncodeHunyuanDiT": ("bert", "mt5xl"),
    "CLIPTextEncodeKandinsky5": ("clip_l", "qwen25_7b"), "CLIPTextEncodeLumina2": ("user_prompt",),
    "CLIPTextEncodePixArtAlpha": ("text",), "CLIPTextEncodeControlnet": ("text",), "PhotoMakerEncode": ("text",),
    "GLIGENTextBoxApply": ("text",), "TextEncodeAceStepAudio": ("tags", "lyrics"),
    "TextEncodeAceStepAudio1.5": ("tags", "lyrics"), "ImpactWildcardEncode": ("populated_text",),
    "ImpactWildcardProcessor": ("populated_text",), "smZ CLIPTextEncode": ("text", "text_g", "text_l"),
    "CLIPTextEncode (NSP)": ("text",), "WAS_AdvancedCLIPTextEncode": ("text",),
    "CLIPTextEncodeFluxUnguided": ("clip_l", "t5xxl"), "BNK_CLIPTextEncodeSDXLAdvanced": ("text_g", "text_l"),
    "RgthreeSDXLPowerPromptPositive": ("prompt_g", "prompt_l"),
    "RgthreeSDXLPowerPromptSimple": ("prompt_g", "prompt_l"),
}  # fmt: skip
_HELPERS = (
    ("preprocessor", "annotators"),
    (" vfi", "frame_interpolation"),
    ("interpolation", "frame_interpolation"),
)
_LORA_TEXT = re.compile(
    r"lora ?manager|loramanager|prompt ?control|wildcard|power prompt|powerprompt|^easy |^ttn |^pclazy"
    r"|lora.*(?:tag|load|appl|stack|hook|schedul|from ?text|from ?prompt)|(?:load|appl|schedul|from ?text|from ?prompt).*lora"
)
_TEMPLATE_WORDS = frozenset(
    (
        "random", "wildcard", "wildcards", "llm", "llama", "ollama", "gpt", "chat", "florence", "tagger", "caption",
        "captioner", "interrogate", "interrogator", "blip", "joy", "describe", "load", "line", "file", "replace", "csv",
        "style", "styler", "translate", "translator", "nsp", "dynamic", "generator", "enhance", "enhancer",
    )
)  # fmt: skip

_INPUT_FILES: Mapping[str, tuple[str, ...]] = {
    "LoadImage": ("image",), "LoadImageMask": ("image",), "LoadImageOutput": ("image",), "LoadAudio": ("audio",),
    "LoadVideo": ("file",), "Load3D": ("model_file",), "Load3DAdvanced": ("model_file",), "Painter": ("image",),
    "VHS_LoadVideo": ("video",), "VHS_LoadVideoPath": ("video",), "VHS_LoadAudio": ("audio_file",),
    "VHS_LoadAudioUpload": ("audio",), "VHS_LoadImagePath": ("image",), "VHS_LoadVideoFFmpeg": ("video",),
    "Image Load": ("image_path",),
}  # fmt: skip
_PICTURES_OF_TEXT = re.compile(
    r"(?:image|video)generat|generat(?:e|or|ion)?(?:image|video)|te?xt(?:to|2)(?:image|img|video|vid)|(?<![a-z])t2[iv](?![a-z])",
    re.IGNORECASE,
)
_GENERATING_SERVICE = re.compile(
    r"dall-?e|gptimage|openaiimage|fluxpro|fluxkontext(?:pro|max)|flux2(?:pro|max)|ideogramv|recraft\w*to|stabilityst|stabilityultra|gemini\w*image"
    r"|^kling|^luma\w*(?:image|video)|^runway|^veo|^minimax|^pixverse|^moonvalley|^pika|^vidu|^bytedance|^bria|^wan\w*api",
    re.IGNORECASE,
)


@functools.lru_cache(NAME_CACHE_SIZE)
def model_role(class_type: str, name: str) -> str | None:
    """Return the models folder that an input names a file of, by the tables; None where they do not say."""
    known = _BY_CLASS_AND_INPUT.get((class_type, name)) or _known_classes()[2].get(class_type, {}).get(name)
    if known is not None:
        return known
    if name == "model_name":
        return _MODEL_NAME_BY_CLASS.get(class_type)
    bare = _NUMBER.sub("", name.lower().replace(" ", "_"))
    if bare == "lora" or bare == "lora_name":
        return "loras"
    while bare:
        if bare in _ROLE_BY_INPUT:
            role = _ROLE_BY_INPUT[bare]
            return _helper_role(class_type) or role if role == "checkpoints" else role
        _, _, bare = bare.partition("_")
    return None


def _helper_role(class_type: str) -> str | None:
    """The folder of a class that calls its file a checkpoint though no picture is sampled by it."""
    told = class_type.lower()
    return next((role for word, role in _HELPERS if word in told), None)


@functools.lru_cache(NAME_CACHE_SIZE)
def guessed_model_role(class_type: str, name: str, file: str = "") -> str:
    """Return the likeliest folder of a model file by the words of its input, of its class, and then of the file's name."""
    texts = (name.lower(), class_type.lower().replace(" ", ""), _PATH.split(file.lower())[-1])
    for text in texts[:2]:
        found = _special_role(text)
        if found is not None:
            return found
    for table in (_BASE_ROLES, _WEAK_ROLES):
        for text in texts[:2]:
            for word, role in table:
                if word in text:
                    return role
    found = _special_role(texts[2])
    if found is None and "model" in texts[0] + texts[1] and texts[2].endswith(_WEIGHTS_OF_MODELS):
        return "diffusion_models"
    return found or "unknown"


def _special_role(text: str) -> str | None:
    found = next((role for word, role in _HEURISTIC_ROLES if word in text), None)
    if found is None:
        words = _WORDS.findall(text)
        found = next((role for word, role in _HEURISTIC_WORDS.items() if word in words), None)
    return found


def names_model_file(text: str) -> bool:
    """Tell whether a literal looks like the name of a model file."""
    return len(text) < 1000 and text.lower().endswith(MODEL_SUFFIXES)


@functools.lru_cache(NAME_CACHE_SIZE)
def text_inputs(class_type: str) -> tuple[str, ...] | None:
    """Return the inputs that hold a class's text by the tables, None where they do not say."""
    return _TEXT_INPUTS.get(class_type)


@functools.lru_cache(NAME_CACHE_SIZE)
def reads_loras_in_text(class_type: str) -> bool:
    """Tell whether `<lora:name:0.8>` in a text has an effect in this class. In ComfyUI's own it has none."""
    return _LORA_TEXT.search(class_type.lower()) is not None


@functools.lru_cache(NAME_CACHE_SIZE)
def writes_text_at_run_time(class_type: str) -> bool:
    """Tell whether the text that the class gives is made while it runs, so that the graph holds a template of it."""
    return class_type not in _TEXT_INPUTS and not _TEMPLATE_WORDS.isdisjoint(class_words(class_type))


@functools.lru_cache(NAME_CACHE_SIZE)
def input_files(class_type: str) -> tuple[str, ...] | None:
    """Return the inputs that name files to read, an empty tuple where any may, None where the class reads none."""
    known = _INPUT_FILES.get(class_type)
    if known is not None:
        return known
    return None if class_words(class_type).isdisjoint(("load", "loader", "reader", "read")) else ()


def names_media_file(text: str) -> bool:
    """Tell whether a literal looks like the name of a picture, film or sound."""
    return len(text) < NAME_LIMIT and MEDIA_NAME.search(text) is not None


@functools.lru_cache(NAME_CACHE_SIZE)
def is_known_class(class_type: str, *, sampler: bool = False) -> bool:
    """Tell whether the tables know the class, or know that it samples."""
    samplers, others, _ = _known_classes()
    return class_type in samplers or (not sampler and (class_type in others or class_type in _TEXT_INPUTS))


@functools.lru_cache(1)
def _known_classes() -> tuple[frozenset[str], frozenset[str], Mapping[str, Mapping[str, str]]]:
    """The shipped table: classes that sample, other classes that are known, folders by class and input."""
    table = json.loads(Path(__file__).with_name("known_classes.json").read_text(encoding="ascii"))
    return frozenset(table["samplers"]), frozenset(table["others"]), table["loaders"]


@functools.lru_cache(NAME_CACHE_SIZE)
def makes_pictures_of_text(class_type: str) -> bool:
    """Tell whether the class says that a text goes in and a picture or film comes out: JanusImageGeneration."""
    told = re.sub(r"[ _-]", "", class_type)
    return "prompt" not in told.lower() and _PICTURES_OF_TEXT.search(told) is not None


@functools.lru_cache(NAME_CACHE_SIZE)
def is_generating_service(class_type: str) -> bool:
    """Tell whether nodes of the class have a picture generated elsewhere, over somebody's API."""
    return _GENERATING_SERVICE.search(class_type.replace(" ", "").replace("_", "")) is not None
