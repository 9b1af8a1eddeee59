"""Values that say by themselves what they are: files of models, samplers, schedulers, seeds."""

from __future__ import annotations

import re

_MODEL_FILE = re.compile(r"\.(?:safetensors|ckpt|pth?|bin|gguf|sft|onnx)$", re.IGNORECASE)

_SAMPLER = re.compile(
    r"^(?:sample_)?(?:euler|heun|dpm|ddim$|ddpm|lms|lcm|uni_pc|unipc|res_|deis|ipndm|er_sde|seeds_|sa_solver|gradient_est|k_)"
)
_SCHEDULERS = frozenset(
    """normal karras exponential sgm_uniform simple ddim_uniform beta linear_quadratic kl_optimal polyexponential
    align_your_steps gits bong_tangent beta57""".split()  # noqa: SIM905
)

_SEED_FROM = 2**31
"""A whole number beyond is a seed rather than a measure: no other widget's usual range reaches it."""


def is_model_file(text: str) -> bool:
    """Tell whether a text is the name of a model's file."""
    return _MODEL_FILE.search(text) is not None


def is_sampler(text: str) -> bool:
    """Tell whether a text is a sampler's name."""
    return _SAMPLER.match(text) is not None and len(text) <= 60


def is_scheduler(text: str) -> bool:
    """Tell whether a text is a scheduler's name."""
    return text in _SCHEDULERS


def looks_like_seed(number: int | float) -> bool:
    """Tell whether a number can hardly be anything but a seed. 2^31 - 1 and 2^32 - 1 are usual limits, no seeds."""
    return isinstance(number, int) and number > _SEED_FROM and number not in (2**32 - 1, 2**63 - 1, 2**64 - 1)
