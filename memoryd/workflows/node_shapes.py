"""What a node does with its inputs as far as their names tell, worked out once for each class and its input names.

Everything that looks only at names is decided here and remembered, so that reading a graph looks at values alone.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
from collections.abc import Mapping

from memoryd.workflows.node_roles import (
    is_generating_service,
    is_known_class,
    makes_pictures_of_text,
    model_role,
    reads_loras_in_text,
    text_inputs,
    writes_text_at_run_time,
)
from memoryd.workflows.recipe_v1 import NAME_CACHE_SIZE, class_words, is_saving
from memoryd.workflows.switches import Switch, switch_of

_NAME_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_POSITIVE_WORDS = frozenset(("positive", "positives", "pos"))
_NEGATIVE_WORDS = frozenset(("negative", "negatives", "neg", "uncond"))
_NO_TEXT_ENDS = frozenset(
    (
        "normalization", "interpretation", "mode", "scale", "score", "ascore", "strength", "weight", "style", "type", "method",
        "enabled", "format", "length", "version", "path", "count", "x", "y", "percent", "model", "seed", "toggle", "language",
    )
)  # fmt: skip
_CONDITIONING_WORDS = frozenset(
    (
        "conditioning", "cond", "conds", "guider", "embeds", "embed", "pipe", "ctx", "context", "tuple", "bus", "condition",
        "conditionings",
    )
)  # fmt: skip
_NO_CONDITIONING_WORDS = frozenset(
    (
        "image",
        "images",
        "latent",
        "latents",
        "vision",
        "video",
        "audio",
        "model",
        "clip",
        "options",
        "mask",
        "net",
        "hook",
    )
)
_BUNDLE_WORDS = frozenset(("pipe", "ctx", "context", "tuple", "bus"))
_ELSEWHERE = re.compile(
    r"^(?:\w*models?\w*|(?:\w+_)?clip|vae|\w*images?\w*|\w*latents?\w*|\w*masks?\w*|pixels|samples\w*|noise\w*|sigmas\w*"
    r"|samplers?(?:_name)?|scheduler\w*|control_?net\w*|\w*vision\w*|\w*width|\w*height|\w*seed\w*|\w*steps|cfg|\w*strength\w*"
    r"|ip_?adapter\w*|\w*detector\w*|\w*audio\w*|\w*videos?\w*|\w*frames?\w*|\w*percent|upscal\w*|fps|batch\w*|denoise|vae_\w*"
    r"|\w*unet\w*|lora\w*|stage_[a-c]|insightface|segs|filename_prefix)(?:_?\d+)?$",
    re.IGNORECASE,
)
_NOT_PICTURE = re.compile(
    r"^(?:\w*models?|model_?\d*|(?:\w+_)?clip|(?:\w+_)?vae|conditioning\w*|cond\d?|control_?net\w*|clip_vision\w*"
    r"|noise|guider|sampler|sigmas|\w*masks?\w*|\w*width|\w*height|\w*seed\w*|\w*steps|cfg|denoise|text\w*|\w*string\w*"
    r"|filename_prefix|batch_size|\w*detector\w*|\w*model_opt|value|fps|frame_rate|\w*audio|\w*prompts?|\w*lora\w*|meta_batch"
    r"|float|int|trigger|boolean|select|switch|index|ipadapter\w*|image_ref\w*|reference\w*|style\w*|vae_name|ckpt_name)(?:_?\d+)?$",
    re.IGNORECASE,
)
_SAVED_PICTURE = re.compile(
    r"^(?:images?|pictures?|frames?|videos?|audio|samples|latents?|pixels)(?:_\d+)?$", re.IGNORECASE
)
_SETTING_WORDS = frozenset(
    (
        "noise", "guider", "sampler", "samplers", "sigmas", "pipe", "settings", "options", "tuple", "ctx", "context", "params",
        "parameters", "config", "scheduler", "bus", "guides", "args",
    )
)  # fmt: skip
_NO_SETTING_WORDS = frozenset(("name", "mask", "image", "strength", "seed"))

_SAMPLING_CLASS = re.compile(r"sampler|ksample|(?:^|[_ ])sample(?:$|[_ ])|detailer", re.IGNORECASE)
_NOT_SAMPLING = frozenset(
    (
        "select", "selector", "scheduler", "schedule", "settings", "parameters", "options", "info", "config", "overwrite",
        "script", "sigmas", "loader", "patch", "hook", "encode", "print", "name", "compare", "load", "convert", "wildcard",
    )
)  # fmt: skip
_SAMPLED = frozenset(
    (
        "latent_image", "latent", "samples", "pipe", "basic_pipe", "guider", "text_embeds", "conditioning", "sdxl_tuple",
        "latents", "detailer_pipe", "context",
    )
)  # fmt: skip
_STEERED = frozenset(
    ("cfg", "model", "pipe", "guider", "noise", "sigmas", "basic_pipe", "pipeline", "sdxl_tuple", "context")
)
_FED = frozenset(
    (
        "model", "pipe", "basic_pipe", "pipeline", "text_embeds", "conditioning", "latent_image", "guider", "sdxl_tuple",
        "detailer_pipe", "model_opt", "SUPIR_model", "prompt", "context",
    )
)  # fmt: skip
_SERVICE_PROMPT = re.compile(r"^(?:\w*prompt\w*|text\w*)$", re.IGNORECASE)
_SIZE_PRESET = re.compile(r"dimension|resolution|size|aspect|ratio|preset", re.IGNORECASE)


class Sampling(enum.IntEnum):
    """How sure it is that a node samples."""

    NO = 0
    SETTINGS = 1
    """It holds a pass's settings, and something else samples by them."""
    RULE = 2
    TABLE = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeShape:
    """A class with its input names, in the document's order, sorted by what they are for."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    texts: tuple[str, ...]
    conditioning: tuple[str, ...]
    """Inputs that bring conditioning beside a text of the node's own."""
    bundles: tuple[str, ...]
    onward: tuple[str, ...]
    """Inputs that may lead to a text where nothing better is known."""
    settings: tuple[str, ...]
    """Inputs that hand a sampler its settings."""
    picture: tuple[str, ...]
    """Inputs by which pictures and latents come."""
    roles: Mapping[str, str]
    """Models folder by input, for the inputs that name a model file by the tables."""
    presets: tuple[str, ...]
    """Inputs whose literal may spell a size: `1024 x 768`."""
    sampling: Sampling
    switch: Switch | None
    is_known: bool
    is_service: bool
    is_saving: bool
    is_template: bool
    reads_loras: bool
    wipes: bool
    """Whether it gives an empty conditioning whatever comes in."""
    is_guider: bool
    gives_conditioning: bool


def words_of(name: str) -> list[str]:
    """Return the words of an input's name, in order, lower case, without numbers."""
    return [word.lower() for word in _NAME_WORD.findall(name)]


@functools.lru_cache(NAME_CACHE_SIZE)
def shape_of(class_type: str, names: tuple[str, ...]) -> NodeShape:
    """Return what a node of this class with these input names does."""
    words = {name: words_of(name) for name in names}
    sided = {name: _side(name, words[name]) for name in names}
    negative = tuple(name for name in names if sided[name] is False)
    positive = tuple(name for name in names if sided[name] is True)
    texts = _texts(class_type, names, words, sided)
    if negative and not positive:
        positive = texts or tuple(name for name in names if name == "cond1")
    conditioning = tuple(
        name
        for name in names
        if sided[name] is None
        and not _CONDITIONING_WORDS.isdisjoint(words[name])
        and _NO_CONDITIONING_WORDS.isdisjoint(words[name])
    )
    class_lower = class_type.lower()
    class_set = class_words(class_type)
    return NodeShape(
        positive=positive,
        negative=negative,
        texts=texts,
        conditioning=conditioning,
        bundles=tuple(name for name in conditioning if not _BUNDLE_WORDS.isdisjoint(words[name])),
        onward=tuple(name for name in names if name in conditioning or not _ELSEWHERE.match(name)),
        settings=tuple(
            name
            for name in names
            if not _SETTING_WORDS.isdisjoint(words[name]) and _NO_SETTING_WORDS.isdisjoint(words[name])
        ),
        picture=_pictures(class_type, names, words, sided, conditioning),
        roles={name: role for name in names if (role := model_role(class_type, name)) is not None},
        presets=tuple(name for name in names if _SIZE_PRESET.search(name)),
        sampling=_sampling(class_type, names, words, bool(positive or negative)),
        switch=switch_of(class_type, names),
        is_known=is_known_class(class_type),
        is_service=any(_SERVICE_PROMPT.match(name) for name in names)
        and (
            is_generating_service(class_type)
            or ("seed" in names and not (positive or negative) and makes_pictures_of_text(class_type))
        ),
        is_saving=is_saving(class_type),
        is_template=writes_text_at_run_time(class_type),
        reads_loras=reads_loras_in_text(class_type),
        wipes="zeroout" in class_lower or "zero_out" in class_lower,
        is_guider="guider" in class_set,
        gives_conditioning=not class_set.isdisjoint(_CONDITIONING_GIVERS),
    )


_CONDITIONING_GIVERS = frozenset(
    (
        "encode",
        "encoder",
        "conditioning",
        "apply",
        "guider",
        "sampler",
        "controlnet",
        "zero",
        "cond",
        "ipadapter",
        "loader",
    )
)


def _pictures(
    class_type: str,
    names: tuple[str, ...],
    words: dict[str, list[str]],
    sided: dict[str, bool | None],
    conditioning: tuple[str, ...],
) -> tuple[str, ...]:
    if is_saving(class_type):
        # Savers are also told prompts, seeds and whatever else to write down.
        saved = tuple(name for name in names if _SAVED_PICTURE.match(name))
        if saved:
            return saved
    return tuple(
        name
        for name in names
        if sided[name] is None
        and not _NOT_PICTURE.match(name)
        and (name not in conditioning or not _BUNDLE_WORDS.isdisjoint(words[name]))
    )


def _side(name: str, words: list[str]) -> bool | None:
    """True for what is wanted, False for what is not wanted, None where the name takes no side."""
    if not words or words[-1] in _NO_TEXT_ENDS:
        return None
    if not _NEGATIVE_WORDS.isdisjoint(words):
        return False
    return True if not _POSITIVE_WORDS.isdisjoint(words) else None


def _texts(
    class_type: str, names: tuple[str, ...], words: dict[str, list[str]], sided: dict[str, bool | None]
) -> tuple[str, ...]:
    if "populated_text" in names:
        return ("populated_text",)
    known = text_inputs(class_type)
    if known is not None:
        return tuple(name for name in names if name in known)
    return tuple(name for name in names if sided[name] is None and _names_text(name, words[name]))


_TEXT_NAMES = frozenset(
    (
        "clip_l",
        "clip_g",
        "t5xxl",
        "llama",
        "bert",
        "mt5xl",
        "qwen25_7b",
        "value",
        "prefix",
        "suffix",
        "text_g",
        "text_l",
    )
)
_TEXT_ENDS = frozenset(
    (
        "addition",
        "append",
        "prepend",
        "text",
        "texts",
        "prompt",
        "prompts",
        "string",
        "strings",
        "tags",
        "lyrics",
        "caption",
        "description",
        "instruction",
        "str",
    )
)
_NO_TEXT_WORDS = frozenset(
    ("system", "lora", "search", "find", "replace", "replacement", "exclude", "add", "log", "file", "save", "linebreak")
)


def _names_text(name: str, words: list[str]) -> bool:
    if name.lower() in _TEXT_NAMES:
        return True
    if not _NO_TEXT_WORDS.isdisjoint(words):
        return False
    # `text_a`, `prompt_g`: a letter behind only counts them.
    while len(words) > 1 and len(words[-1]) == 1:
        words = words[:-1]
    return bool(words) and words[-1] in _TEXT_ENDS


def _sampling(class_type: str, names: tuple[str, ...], words: dict[str, list[str]], is_sided: bool) -> Sampling:
    class_set = class_words(class_type)
    if is_saving(class_type) or (class_type.startswith("Sampler") and not class_type.startswith("SamplerCustom")):
        # ComfyUI's SamplerEuler… are algorithms handed to a sampler.
        return Sampling.NO
    given = frozenset(names)
    seeded = any("seed" in parts for parts in words.values())
    stepped = any("steps" in parts for parts in words.values())
    steered = stepped or ("cfg" in given and ("sampler_name" in given or "sampler" in given))
    if is_known_class(class_type, sampler=True):
        return Sampling.TABLE
    fed = is_sided or not given.isdisjoint(_FED)
    is_named = _SAMPLING_CLASS.search(class_type) is not None
    if class_set.isdisjoint(_NOT_SAMPLING) and "sampling" not in class_set and "pre" not in class_set:
        if seeded and stepped and fed:
            return Sampling.RULE
        if is_named and "detailer" not in class_set and "provider" not in class_set:
            is_steered = (
                seeded or steered or not given.isdisjoint(_STEERED) or any("sampler" in p for p in words.values())
            )
            if (is_sided or not given.isdisjoint(_SAMPLED)) and is_steered:
                return Sampling.RULE
    return Sampling.SETTINGS if seeded and steered else Sampling.NO
