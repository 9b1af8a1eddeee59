"""The model-free core nodes' pixels: filled, loaded, scaled, blended, inverted, in float32 as ComfyUI has them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from memoryd.stand_in.facts import Pixels

_Weights: TypeAlias = "NDArray[np.float64]"

_CUBIC = -0.75
"""The cubic kernel's parameter of `bicubic`. Source: observed equal to torch's interpolation."""


def fill(width: int, height: int, batch: int, colour: int) -> Pixels:
    """Return pictures of one colour, 0xRRGGBB."""
    channels = [(colour >> shift & 0xFF) / 0xFF for shift in (16, 8, 0)]
    return np.broadcast_to(np.array(channels, np.float32), (batch, height, width, 3)).copy()


def load(path: Path) -> tuple[Pixels, Pixels]:
    """Return the picture (1 x height x width x 3), turned as its EXIF says, and its mask: 1 where it is transparent."""
    with Image.open(path) as file:
        upright = ImageOps.exif_transpose(file)
        pixels = np.asarray(upright.convert("RGB"), np.float32) / np.float32(255)
        if "A" in upright.getbands():
            mask = 1 - np.asarray(upright.getchannel("A"), np.float32) / np.float32(255)
        else:
            mask = np.zeros((64, 64), np.float32)
    return pixels[None], mask[None].astype(np.float32)


def to_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    """Return one picture's 8-bit values, as saving truncates them."""
    truncated: NDArray[np.uint8] = np.clip(np.float32(255) * pixels, 0, 255).astype(np.uint8)
    return truncated


def invert(pixels: Pixels) -> Pixels:
    """Return the negative."""
    return np.float32(1) - pixels


def scale(pixels: Pixels, method: str, width: int, height: int, crop: str) -> Pixels:
    """Return the pictures at another size; a size of 0 follows from the other by the aspect. `crop`: disabled, center."""
    old_height, old_width = pixels.shape[1:3]
    if width == 0 and height == 0:
        return pixels
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    if crop == "center":
        pixels = _centre(pixels, width / height)
    if method == "lanczos":
        return np.stack([_lanczos(picture, width, height) for picture in pixels])
    rows = _weights(method, pixels.shape[1], height)
    columns = _weights(method, pixels.shape[2], width)
    scaled = np.einsum("oh,bhwc->bowc", rows, pixels, optimize=True)
    result: Pixels = np.einsum("pw,bowc->bopc", columns, scaled, optimize=True).astype(np.float32)
    return result


def blend(under: Pixels, over: Pixels, factor: float, mode: str) -> Pixels:
    """Return `over` blended onto `under`; it is brought to its size first. Both must have as many channels."""
    if under.shape != over.shape:
        over = scale(over, "bicubic", under.shape[2], under.shape[1], "center")
    mixed = _mix(under, over, mode)
    share = np.float32(factor)
    blended: Pixels = np.clip(under * np.float32(1 - factor) + mixed * share, 0, 1)
    return blended


def paste(under: Pixels, over: Pixels, x: int, y: int, mask: Pixels | None) -> Pixels:
    """Return `over` laid upon `under` with its corner at (x, y), as far as it lies on it; a mask of 1 covers."""
    batch, height, width, _ = under.shape
    pasted = under.copy()
    room = (slice(None), slice(min(y, height), y + over.shape[1]), slice(min(x, width), x + over.shape[2]))
    high, wide = pasted[room].shape[1:3]
    part = np.resize(over, (batch, *over.shape[1:]))[:, :high, :wide]
    if mask is None:
        pasted[room] = part
        return pasted
    fitted = scale(mask.reshape(-1, *mask.shape[-2:], 1), "bilinear", over.shape[2], over.shape[1], "disabled")
    share = np.resize(fitted, (batch, *fitted.shape[1:]))[:, :high, :wide]
    pasted[room] = share * part + (np.float32(1) - share) * pasted[room]
    return pasted


def join(first: Pixels, second: Pixels) -> Pixels:
    """Return one batch of both; the second is brought to the first's size."""
    if first.shape[1:] != second.shape[1:]:
        second = scale(second, "bilinear", first.shape[2], first.shape[1], "center")
    return np.concatenate([first, second])


def _mix(under: Pixels, over: Pixels, mode: str) -> Pixels:
    one, two = np.float32(1), np.float32(2)
    match mode:
        case "normal":
            return over
        case "multiply":
            return under * over
        case "screen":
            return one - (one - under) * (one - over)
        case "overlay":
            return np.where(under <= 0.5, two * under * over, one - two * (one - under) * (one - over))
        case "soft_light":
            low = ((16 * under - 12) * under + 4) * under
            bright = np.where(under <= 0.25, low, np.sqrt(under))
            return np.where(
                over <= 0.5,
                under - (one - two * over) * under * (one - under),
                under + (two * over - one) * (bright - under),
            )
        case "difference":
            return under - over
        case _:
            raise ValueError(f"Unsupported blend mode: {mode}")


def _centre(pixels: Pixels, aspect: float) -> Pixels:
    height, width = pixels.shape[1:3]
    present = width / height
    x = round((width - width * (aspect / present)) / 2) if present > aspect else 0
    y = round((height - height * (present / aspect)) / 2) if present < aspect else 0
    return pixels[:, y : height - y, x : width - x]


def _lanczos(picture: Pixels, width: int, height: int) -> Pixels:
    resized = Image.fromarray(to_bytes(picture)).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.float32) / np.float32(255)


def _weights(method: str, old: int, new: int) -> _Weights:
    """One axis as a matrix, new x old: pixel centres are aligned, borders repeat their last pixel."""
    weights = np.zeros((new, old))
    for index in range(new):
        if method == "area":
            first, last = index * old // new, -((-(index + 1) * old) // new)
            weights[index, first:last] = 1 / (last - first)
            continue
        centre = (index + 0.5) * old / new - 0.5
        if method == "nearest-exact":
            weights[index, min(int(centre + 0.5), old - 1)] = 1
            continue
        if method == "bilinear":
            centre = max(centre, 0)
        left = int(np.floor(centre))
        part = centre - left
        taps = [1 - part, part] if method == "bilinear" else _cubic(part)
        start = left if method == "bilinear" else left - 1
        for offset, weight in enumerate(taps):
            weights[index, min(max(start + offset, 0), old - 1)] += weight
    return weights


def _cubic(part: float) -> list[float]:
    def near(x: float) -> float:
        return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1

    def far(x: float) -> float:
        return ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC

    return [far(1 + part), near(part), near(1 - part), far(2 - part)]
