"""Paints a picture from a recipe: the same recipe gives the same pixels, another recipe another picture.

A sky of three colours, hills in layers, a sun, a little grain. No model, no weights: it
is there so that a graph with a sampler has something to save.
"""

from __future__ import annotations

import colorsys
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from memoryd.foundation.canonical_json import Json, canonical_digest
from memoryd.stand_in.facts import VERSION, Latent, Pixels, Recipe

_Plane: TypeAlias = "NDArray[np.float32]"

ROUNDED_SHARE = 0.002
"""Source: reference runs that differ by thread count or SIMD level: at most 1/255 in 0.2 % of the samples."""


def paint(latent: Latent) -> Pixels:
    """Return the pictures of a latent, one per batch index; each is blended over the picture it was encoded from."""
    painted = np.stack([_paint_one(latent, index) for index in range(latent.batch)])
    if latent.base is None or latent.strength >= 1:
        return painted
    share = np.float32(latent.strength)
    return (_fit(latent.base, latent.height, latent.width, latent.batch) * (1 - share) + painted * share).astype(
        np.float32
    )


def rounded(pixels: Pixels, which: int) -> Pixels:
    """Return pictures as another machine rounds them: ROUNDED_SHARE of the samples are off by one of 255.

    `which` decides over the samples.
    """
    numbers = np.random.Generator(np.random.PCG64(which))
    off = numbers.random(pixels.shape, dtype=np.float32) < np.float32(ROUNDED_SHARE)
    way = np.where(pixels > np.float32(0.5), np.float32(-1 / 255), np.float32(1 / 255))
    moved: Pixels = np.where(off, pixels + way, pixels).astype(np.float32)
    return moved


def _paint_one(latent: Latent, index: int) -> Pixels:
    numbers = np.random.Generator(np.random.PCG64(_seed(latent.recipe, index)))
    height, width = latent.height, latent.width
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    hue = float(numbers.random())
    canvas = _sky(down, hue, numbers) + np.zeros((height, width, 1), np.float32)
    _sun(canvas, across, down, width / max(height, 1), hue, numbers)
    layers = int(numbers.integers(4, 8))
    for layer in range(layers):
        _hill(canvas, across, down, hue, (layer + 1) / layers, numbers)
    canvas += (numbers.random((height, width, 1), dtype=np.float32) - np.float32(0.5)) * np.float32(0.03)
    painted: Pixels = np.clip(canvas, 0, 1)
    return painted


def _seed(recipe: Recipe, index: int) -> int:
    material: list[Json] = [VERSION, index, list(recipe)]
    return int.from_bytes(canonical_digest(material), "big")


def _colour(hue: float, saturation: float, value: float) -> _Plane:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)


def _sky(down: _Plane, hue: float, numbers: np.random.Generator) -> _Plane:
    top = _colour(hue, 0.75, 0.35 + 0.2 * float(numbers.random()))
    middle = _colour(hue + 0.08, 0.5, 0.8)
    low = _colour(hue + 0.45 + 0.1 * float(numbers.random()), 0.35, 1.0)
    ramp = np.clip(down / np.float32(0.7), 0, 1)[..., None]
    upper = top + (middle - top) * np.minimum(ramp * 2, 1)
    lower = middle + (low - middle) * np.maximum(ramp * 2 - 1, 0)
    sky: _Plane = np.where(ramp < np.float32(0.5), upper, lower).astype(np.float32)
    return sky


def _sun(canvas: Pixels, across: _Plane, down: _Plane, aspect: float, hue: float, numbers: np.random.Generator) -> None:
    x, y = 0.15 + 0.7 * float(numbers.random()), 0.15 + 0.35 * float(numbers.random())
    radius = 0.05 + 0.08 * float(numbers.random())
    distance = np.sqrt(((across - np.float32(x)) * np.float32(aspect)) ** 2 + (down - np.float32(y)) ** 2)
    glow = np.clip(1 - (distance - radius) / np.float32(0.5), 0, 1) ** 3 * np.float32(0.6)
    disc = np.clip((radius - distance) * 200 + np.float32(0.5), 0, 1)
    light = np.maximum(glow, disc)[..., None]
    canvas += (_colour(hue + 0.5, 0.25, 1.0) - canvas) * light


def _hill(
    canvas: Pixels, across: _Plane, down: _Plane, hue: float, nearness: float, numbers: np.random.Generator
) -> None:
    crest = np.full_like(across, np.float32(0.45 + 0.45 * nearness))
    for octave in range(1, 6):
        phase, height = float(numbers.random()) * 6.2832, float(numbers.random()) * 0.11 / octave
        pitch = (octave * 1.7 + float(numbers.random())) * 3.1416
        crest = crest - np.sin(across * np.float32(pitch) + np.float32(phase)) * np.float32(height)
    edge = np.clip((down - crest) * canvas.shape[0] * np.float32(0.5) + np.float32(0.5), 0, 1)[..., None]
    shade = _colour(hue + 0.04 * nearness, 0.35 + 0.4 * nearness, 0.75 - 0.6 * nearness)
    mist = np.clip(1 - (down - crest) * 3, 0, 1)[..., None] * np.float32(0.15)
    canvas += (shade + mist - canvas) * edge


def _fit(base: Pixels, height: int, width: int, batch: int) -> Pixels:
    rows = (np.arange(height) * base.shape[1] // height).astype(np.intp)
    columns = (np.arange(width) * base.shape[2] // width).astype(np.intp)
    pictures = base[:, rows][:, :, columns, :3]
    return np.ascontiguousarray(np.resize(pictures, (batch, *pictures.shape[1:])), np.float32)
