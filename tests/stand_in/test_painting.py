from __future__ import annotations

import numpy as np
import pytest

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in import pictures
from memoryd.stand_in.facts import Latent
from memoryd.stand_in.painting import paint


def latent(*recipe: Json, batch: int = 1) -> Latent:
    return Latent(width=64, height=48, batch=batch, recipe=recipe)


def test_the_same_recipe_paints_the_same_pixels() -> None:
    assert np.array_equal(paint(latent("fox", 2**64 - 1)), paint(latent("fox", 2**64 - 1)))


def test_another_seed_and_another_batch_index_paint_another_picture() -> None:
    one, other = paint(latent("fox", 1, batch=2)), paint(latent("fox", 2))
    assert one.shape == (2, 48, 64, 3)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one[0], other[0])
    assert one.min() >= 0
    assert one.max() <= 1


def test_little_denoising_keeps_much_of_the_picture_it_began_with() -> None:
    base = pictures.fill(64, 48, 1, 0xFF0000)
    near = paint(Latent(width=64, height=48, batch=1, recipe=("x",), base=base, strength=0.1))
    far = paint(Latent(width=64, height=48, batch=1, recipe=("x",), base=base, strength=0.9))
    assert np.abs(near - base).mean() < np.abs(far - base).mean()


def test_filling_and_inverting_are_exact() -> None:
    filled = pictures.fill(2, 1, 3, 0x3366CC)
    assert pictures.to_bytes(filled)[2, 0, 1].tolist() == [0x33, 0x66, 0xCC]
    assert pictures.to_bytes(pictures.invert(pictures.invert(filled))).shape == (3, 1, 2, 3)


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_scaling_keeps_an_even_picture_even(method: str) -> None:
    scaled = pictures.scale(pictures.fill(30, 20, 2, 0x204060), method, 45, 7, "disabled")
    assert scaled.shape == (2, 7, 45, 3)
    assert np.abs(scaled - pictures.fill(45, 7, 2, 0x204060)).max() < 1e-6


def test_a_size_of_zero_follows_the_aspect() -> None:
    assert pictures.scale(pictures.fill(40, 20, 1, 0), "area", 0, 10, "disabled").shape == (1, 10, 20, 3)
    assert pictures.scale(pictures.fill(40, 20, 1, 0), "area", 0, 0, "disabled").shape == (1, 20, 40, 3)


def test_nearest_repeats_pixels() -> None:
    picture = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    doubled = pictures.scale(picture, "nearest-exact", 4, 4, "disabled")
    assert np.array_equal(doubled, picture.repeat(2, axis=1).repeat(2, axis=2))


@pytest.mark.parametrize(
    ("mode", "expected"), [("normal", 0.75), ("multiply", 0.1875), ("screen", 0.8125), ("overlay", 0.375)]
)
def test_blending_modes(mode: str, expected: float) -> None:
    under, over = np.full((1, 1, 1, 3), 0.25, np.float32), np.full((1, 1, 1, 3), 0.75, np.float32)
    assert pictures.blend(under, over, 1.0, mode)[0, 0, 0, 0] == pytest.approx(expected)


def test_pictures_of_two_sizes_join_at_the_first_ones() -> None:
    assert pictures.join(pictures.fill(8, 8, 1, 0), pictures.fill(4, 16, 2, 1)).shape == (3, 8, 8, 3)
