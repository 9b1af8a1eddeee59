"""Usual names for the widgets of a class that nobody here knows, by what its values look like and what it takes and gives.

Never certain: the caller says that these are guesses. What looks like nothing usual gets a name that no reader takes for
anything (`widget_3`).
"""

from __future__ import annotations

import re

from memoryd.foundation.canonical_json import Json
from memoryd.workflows.editor.drawing import Drawn
from memoryd.workflows.editor.expanding import CONTROL_WORDS
from memoryd.workflows.editor.usual_values import is_model_file, is_sampler, is_scheduler

_PICTURE_FILE = re.compile(r"\.(?:png|jpe?g|webp|gif|bmp)(?: \[\w+\])?$", re.IGNORECASE)

_ROLES = (
    ("LORA", "lora_name"),
    ("CONTROL", "control_net_name"),
    ("CLIP_VISION", "clip_name"),
    ("CLIPVISION", "clip_name"),
    ("UPSCALE", "model_name"),
    ("VAE", "vae_name"),
    ("UNET", "unet_name"),
    ("DIFFUSION", "unet_name"),
    ("CHECKPOINT", "ckpt_name"),
    ("CKPT", "ckpt_name"),
    ("CLIP", "clip_name"),
    ("TEXTENCODER", "clip_name"),
)

_SEED_FROM = 2**24
"""A whole number beyond is a seed rather than a measure."""

_MEASURE = range(64, 16_385)


def guess(drawn: Drawn, values: list[Json]) -> list[tuple[str, Json]]:
    """Return the values by usual names, each name once; a value alike a second time gets a numbered name."""
    takes = {slot.type for slot in drawn.inputs}
    gives = {output.type for output in drawn.outputs}
    samples = "LATENT" in gives and "MODEL" in takes
    sides = _sides(drawn, values)
    found: list[tuple[str, Json]] = []
    used: set[str] = set()
    for index, value in enumerate(values):
        if isinstance(value, str) and value in CONTROL_WORDS:
            continue
        before = values[index - 1] if index else None
        after = values[index + 1] if index + 1 < len(values) else None
        name = sides.get(index) or _name(drawn, value, before, after, samples, gives, used) or f"widget_{index}"
        unique, count = name, 1
        while unique in used:
            count += 1
            unique = f"{name}_{count}"
        used.add(unique)
        found.append((unique, value))
    return found


def _sides(drawn: Drawn, values: list[Json]) -> dict[int, str]:
    """The first two texts of a node that gives both prompts: as two outputs that are called so, or encoded in one."""
    told = [output.name.lower() for output in drawn.outputs]
    both = any("positive" in name for name in told) and any("negative" in name for name in told)
    encoded = len(drawn.outputs) == 1 and "EMBEDS" in drawn.outputs[0].type
    prose = [index for index, value in enumerate(values) if isinstance(value, str) and _is_prose(value)]
    if len(prose) < 2 or not (both or encoded):
        return {}
    return {prose[0]: "positive", prose[1]: "negative"}


def _is_prose(text: str) -> bool:
    text = text.strip()
    return (" " in text or not text.isascii()) and not is_model_file(text) and not _PICTURE_FILE.search(text)


def _name(
    drawn: Drawn, value: Json, before: Json, after: Json, samples: bool, gives: set[str], used: set[str]
) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return _name_of_text(drawn, value, samples, gives)
    if isinstance(value, int) and _is_seed(value, after, samples, used):
        return "seed"
    if isinstance(value, (int, float)):
        return _name_of_number(value, before, after, samples, gives, used)
    return None


def _is_seed(value: int, after: Json, samples: bool, used: set[str]) -> bool:
    if "seed" in used:
        return False
    return value >= _SEED_FROM or (isinstance(after, str) and after in CONTROL_WORDS) or (samples and value > 20_000)


def _name_of_number(
    value: int | float, before: Json, after: Json, samples: bool, gives: set[str], used: set[str]
) -> str | None:
    if samples:
        if isinstance(value, int) and "steps" not in used and 1 <= value <= 200:
            return "steps"
        if "cfg" not in used and "steps" in used and 0 < value <= 50 and not isinstance(before, str):
            return "cfg"
        if "denoise" not in used and 0 < value <= 1 and {"cfg", "steps"} <= used:
            return "denoise"
        return None
    if "LATENT" in gives and isinstance(value, int) and value in _MEASURE and value % 8 == 0:
        if "width" not in used:
            return "width" if isinstance(after, int) and after in _MEASURE else None
        return "height" if "height" not in used and before is not None else None
    if isinstance(before, str) and is_model_file(before) and -10 <= value <= 10 and "lora_name" in used:
        return "strength_model"
    return None


def _name_of_text(drawn: Drawn, value: str, samples: bool, gives: set[str]) -> str | None:
    if is_model_file(value):
        told = drawn.type.upper().replace(" ", "")
        return next((name for word, name in _ROLES if word in told), "model_name")
    if _PICTURE_FILE.search(value):
        return "image"
    if samples and is_sampler(value):
        return "sampler_name"
    if samples and is_scheduler(value):
        return "scheduler"
    if gives & {"CONDITIONING", "STRING"} and (" " in value.strip() or len(gives) == 1):
        return "text"
    return None
