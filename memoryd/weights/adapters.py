"""LoRAs and their kin: which modules of a model they change, and how wide those are.

Source: kohya-ss/sd-scripts (lora_down, lora_up), KohakuBlueleaf/LyCORIS (hada, lokr), huggingface/peft (lora_A, lora_B).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from memoryd.weights.headers import Tensor

_MARKS = re.compile(
    r"[._](lora_down|lora_up|lora_a|lora_b|lora\.down|lora\.up|hada_w[12](?:_[ab])?|lokr_w[12](?:_[ab])?|lora_mid"
    r"|dora_scale|oft_blocks|oft_diag|lora_magnitude_vector|lora_linear_layer\.(?:down|up))(?:[._].*)?$"
)
_BEFORE = re.compile(
    r"^(?:base_model[._]model[._])?(?:model\.)?"
    r"(?:(?:lora_unet|lora_transformer|lycoris_unet|lycoris|lora)[._]|(?:transformer|diffusion_model|unet|denoiser|dit)\.)"
)
_TEXT_MODULE = re.compile(r"^(?:lora_te\d?|lora_te|text_encoder(?:_2)?|te\d?)[._]")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What a LoRA changes. Names in lower case, with `_` between the parts whatever stood there."""

    modules: frozenset[str]
    """Of the diffusion model, without the adapter's own prefix."""
    text_modules: frozenset[str]
    """Of text encoders, with their prefix."""
    takes: Mapping[str, int]
    """Module to the width of what goes in, where it can be told."""
    gives: Mapping[str, int]
    """Module to the width of what comes out."""


def is_adapter(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the tensors of a LoRA or its kin."""
    return any(_MARKS.search(name.lower()) for name in tensors)


def adapter_of(tensors: Mapping[str, Tensor]) -> Adapter:
    """Return what these tensors change."""
    modules: set[str] = set()
    text_modules: set[str] = set()
    sides: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in tensors.items():
        lower = name.lower()
        found = _MARKS.search(lower)
        if found is None:
            continue
        whole = lower[: found.start()]
        if _TEXT_MODULE.match(whole):
            text_modules.add(whole.replace(".", "_"))
        module = _BEFORE.sub("", whole).replace(".", "_")
        if not _TEXT_MODULE.match(whole):
            modules.add(module)
        sides.setdefault(module, {})[found.group(1).replace(".", "_")] = tensor.shape
    return Adapter(
        modules=frozenset(modules),
        text_modules=frozenset(text_modules),
        takes={module: width for module, shapes in sides.items() if (width := _takes(shapes)) is not None},
        gives={module: width for module, shapes in sides.items() if (width := _gives(shapes)) is not None},
    )


def _takes(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    for mark in ("lora_down", "lora_a", "hada_w1_b", "lora_linear_layer_down"):
        if len(shapes.get(mark, ())) >= 2:
            return shapes[mark][1]
    return _product(shapes, "_b", 1)


def _gives(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    for mark in ("lora_up", "lora_b", "hada_w1_a", "lora_linear_layer_up"):
        if len(shapes.get(mark, ())) >= 2:
            return shapes[mark][0]
    return _product(shapes, "_a", 0)


def _product(shapes: Mapping[str, tuple[int, ...]], half: str, side: int) -> int | None:
    """The width of a Kronecker product: of its two factors, each whole or as the product of two halves."""
    widths = [
        shape[side]
        for number in ("1", "2")
        for mark in (f"lokr_w{number}", f"lokr_w{number}{half}")
        if len(shape := shapes.get(mark, ())) >= 2
    ]
    return widths[0] * widths[1] if len(widths) == 2 else None
