"""From a size that somebody names to where the picture stands in it. Pure."""

from __future__ import annotations

import re

from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.imaging.scaling_back import Box
from memoryd.reproduction.enlargements.facts import Fit, Layout

SIDE_LIMIT = 16_384
"""Pixels of a side. Source: ComfyUI 0.29, nodes.py, MAX_RESOLUTION."""
PIXELS_LIMIT = 8_192 * 8_192
"""Pixels of an enlargement: 768 MiB as ComfyUI holds it, and as much again while it is scaled."""
SIDES = {"4k": (3840, 2160), "8k": (7680, 4320)}
"""Names of sizes. Source: SMPTE ST 2036-1, UHDTV1 and UHDTV2."""

_SIZE = re.compile(r"([1-9][0-9]{0,5})\s*[xX\u00d7*]\s*([1-9][0-9]{0,5})")
_FACTOR = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*[xX\u00d7]")


class BadSize(NotAcceptable):
    """This is no size."""


class EnlargementTooLarge(TooLarge):
    """An enlargement of this size is too large."""


class NotLarger(NotAcceptable):
    """This size is not larger than the picture."""


class ShapeDiffers(NotAcceptable):
    """This size has another shape than the picture."""


def read_size(spelled: str, width: int, height: int) -> tuple[int, int]:
    """Return the size that is meant for a picture of `width` x `height`.

    `4k` and `8k` stand upright where the picture does. Raises: BadSize, EnlargementTooLarge.
    """
    text = spelled.strip().lower()
    size, factor = _SIZE.fullmatch(text), _FACTOR.fullmatch(text)
    if text in SIDES:
        long, short = SIDES[text]
        found = (short, long) if height > width else (long, short)
    elif size is not None:
        found = int(size[1]), int(size[2])
    elif factor is not None:
        found = round(width * float(factor[1])), round(height * float(factor[1]))
    else:
        raise BadSize(f"{spelled[:40]!r}", hint="such as 3840x2160, 4k, or 2x for twice as wide and high")
    if max(found) > SIDE_LIMIT or found[0] * found[1] > PIXELS_LIMIT:
        raise EnlargementTooLarge(
            f"{found[0]} x {found[1]} pixels",
            hint=f"{SIDE_LIMIT} a side (SIDE_LIMIT), {PIXELS_LIMIT} in all (PIXELS_LIMIT)",
        )
    return found


def lay_out(width: int, height: int, to: tuple[int, int], fit: Fit) -> Layout:
    """Return how a picture of `width` x `height` comes to stand in a size.

    A shape is the same within a pixel. Raises: NotLarger, ShapeDiffers.
    """
    wide, high = to
    whole = Box(0, 0, width, height)
    if _same_shape(width, height, wide, high):
        if wide <= width and high <= height:
            raise _not_larger(width, height, to)
        return Layout(width=wide, height=high, fit=Fit.SAME, taken=whole, shown=Box(0, 0, wide, high))
    match fit:
        case Fit.CROP:
            taken = _middle(width, height, wide, high)
            if wide <= taken.width and high <= taken.height:
                raise _not_larger(taken.width, taken.height, to)
            return Layout(width=wide, height=high, fit=fit, taken=taken, shown=Box(0, 0, wide, high))
        case Fit.PAD:
            scale = min(wide / width, high / height)
            inner = max(1, round(width * scale)), max(1, round(height * scale))
            if inner[0] <= width and inner[1] <= height:
                raise _not_larger(width, height, to)
            shown = Box((wide - inner[0]) // 2, (high - inner[1]) // 2, *inner)
            return Layout(width=wide, height=high, fit=fit, taken=whole, shown=shown)
        case Fit.SAME:
            across, down = round(high * width / height), round(wide * height / width)
            raise ShapeDiffers(
                f"the picture is {width} x {height}, and {wide} x {high} is of another shape",
                hint=f"--to {across}x{high} or --to {wide}x{down} keeps it; --crop cuts off what stands over, --pad puts "
                "borders around it",
            )


def _same_shape(width: int, height: int, wide: int, high: int) -> bool:
    return abs(wide - high * width / height) < 1 or abs(high - wide * height / width) < 1


def _middle(width: int, height: int, wide: int, high: int) -> Box:
    """The part that ComfyUI's ImageScale keeps with `center`. Source: ComfyUI 0.29, comfy/utils.py, common_upscale."""
    old, new = width / height, wide / high
    left = round((width - width * (new / old)) / 2) if old > new else 0
    top = round((height - height * (old / new)) / 2) if old < new else 0
    return Box(left, top, width - 2 * left, height - 2 * top)


def _not_larger(width: int, height: int, to: tuple[int, int]) -> NotLarger:
    return NotLarger(
        f"{to[0]} x {to[1]} asked for, and {width} x {height} are there", hint="name a size that is larger, such as 2x"
    )
