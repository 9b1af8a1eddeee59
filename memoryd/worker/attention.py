"""Which attention a ComfyUI computes with: as its launch flags say, or its own log; nothing is concluded."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BY_FLAG = {
    "--use-split-cross-attention": "split",
    "--use-quad-cross-attention": "sub-quadratic",
    "--use-pytorch-cross-attention": "pytorch",
    "--use-sage-attention": "sage",
    "--use-flash-attention": "flash",
}
_BY_LOG = re.compile(
    r"Using (sage attention|Flash Attention|xformers attention|pytorch attention|split optimization for attention"
    r"|sub quadratic optimization for attention)(?! in VAE)"
)
_NAMES = {
    "sage attention": "sage",
    "Flash Attention": "flash",
    "xformers attention": "xformers",
    "pytorch attention": "pytorch",
    "split optimization for attention": "split",
    "sub quadratic optimization for attention": "sub-quadratic",
}
"""Source: ComfyUI 0.29, comfy/ldm/modules/attention.py and comfy/cli_args.py."""


def attention_told(log: str) -> str | None:
    """Return the attention that a ComfyUI's log names last, None where it names none."""
    found = _BY_LOG.findall(log)
    return _NAMES[found[-1]] if found else None


def attention_asked(flags: Sequence[str]) -> str | None:
    """Return the attention that launch flags ask for, None where they leave it to ComfyUI.

    What is asked for is not always had: where a log tells, the log counts.
    """
    return next((_BY_FLAG[flag] for flag in flags if flag in _BY_FLAG), None)
