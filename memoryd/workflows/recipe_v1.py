"""What identities of recipe v1 depend on: which classes save, and which inputs differ from run to run.

Frozen. Digests that are stored were made with these tables: a better one is a new recipe in a new file, computed beside
this one. What only parameters need (roles of nodes, models, samplers) is in `node_roles`, which may grow.
"""

from __future__ import annotations

import enum
import functools
import re

NAME_CACHE_SIZE = 8192
"""Class and input names whose rules are remembered; names come from files, so there is an end to it."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SAVING_WORDS = frozenset(("save", "saver", "saves", "export", "exporter"))
_SAVING_CLASSES = frozenset(
    ("VHS_VideoCombine", "ETN_SendImageWebSocket", "SendImageWebSocket", "ADE_AnimateDiffCombine")
)
_PREVIEW_WORDS = frozenset(("preview", "previewer", "show", "display", "compare", "comparer", "viewer"))

_SEED = re.compile(r"^(?:.*[_ ])?seed(?:[_ ]?(?:num|value|\d+))?$|^control_(?:after|before)_generate$")
_TEXT = re.compile(
    r"^(?:.*[_ ])?(?:text|prompt|positive|negative|string)(?:[_ ]?(?:[a-z]|\d+))?$"
    r"|^(?:clip_l|clip_g|t5xxl|llama|bert|mt5xl|qwen25_7b|tags|lyrics|pos_[glr]|neg_[glr]|populated_text)$"
)
_SAVED_NAME = re.compile(r"^filename_prefix$|^save_prefix$")
_SAVED_PLACE = frozenset(
    ("filename", "file_name", "path", "output_path", "save_path", "folder", "foldername", "subfolder", "subfolder_name")
)
_INPUT_FILE = frozenset(
    ("image", "images", "video", "audio", "file", "filename", "model_file", "mask", "path", "directory")
)
_VALUE_SOURCE_WORDS = frozenset(
    (
        "primitive", "string", "strings", "text", "prompt", "wildcard", "wildcards", "concat", "concatenate", "join",
        "joiner", "seed", "int", "integer", "number", "value", "reroute", "multiline",
    )
)  # fmt: skip

_NO_VALUE_SOURCE_WORDS = frozenset(
    ("encode", "encoder", "conditioning", "sampler", "scheduler", "load", "loader", "model", "lora", "vae", "clip")
)
_MODEL_WORDS = frozenset(("model", "models", "lora", "vae", "clip", "unet", "checkpoint", "controlnet", "embedding"))


class Instance(enum.Enum):
    """What an input says of one run rather than of the workflow."""

    SEED = enum.auto()
    TEXT = enum.auto()
    NAME = enum.auto()
    """A name to save under, or a file to read."""


@functools.lru_cache(NAME_CACHE_SIZE)
def class_words(class_type: str) -> frozenset[str]:
    """Return the words in a class's name, lower case: `VHS_VideoCombine` has vhs, video, combine."""
    return frozenset(word.lower() for word in _WORD.findall(class_type))


@functools.lru_cache(NAME_CACHE_SIZE)
def is_saving(class_type: str) -> bool:
    """Tell whether nodes of the class write what is kept."""
    return class_type in _SAVING_CLASSES or not _SAVING_WORDS.isdisjoint(class_words(class_type))


@functools.lru_cache(NAME_CACHE_SIZE)
def is_preview(class_type: str) -> bool:
    """Tell whether nodes of the class only show something."""
    return not is_saving(class_type) and not _PREVIEW_WORDS.isdisjoint(class_words(class_type))


@functools.lru_cache(NAME_CACHE_SIZE)
def is_value_source(class_type: str) -> bool:
    """Tell whether nodes of the class hand on a text or a number that is typed into them."""
    words = class_words(class_type)
    return (
        not is_saving(class_type)
        and not _VALUE_SOURCE_WORDS.isdisjoint(words)
        and _NO_VALUE_SOURCE_WORDS.isdisjoint(words)
    )


@functools.lru_cache(NAME_CACHE_SIZE)
def instance_parameter(class_type: str, name: str) -> Instance | None:
    """Return what the input says of one run, or None where it belongs to the workflow."""
    lowered = name.lower()
    if _SEED.match(lowered):
        return Instance.SEED
    if _TEXT.match(lowered):
        return Instance.TEXT
    if _SAVED_NAME.match(lowered) or (lowered in _SAVED_PLACE and is_saving(class_type)):
        return Instance.NAME
    words = class_words(class_type)
    if lowered in _INPUT_FILE and "load" in words and _MODEL_WORDS.isdisjoint(words):
        return Instance.NAME
    return None
