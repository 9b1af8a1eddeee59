"""Digests of pixels, and how far two pictures are apart."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from memoryd.imaging.pixels import compare_pixels, pixel_digest

MakePng = Callable[..., bytes]
Noise = Callable[..., NDArray[Any]]


def saved(picture: Image.Image, name: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, name, **more)
    return out.getvalue()


def test_the_recipe_is_what_it_says(png: MakePng) -> None:
    samples = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    expected = hashlib.sha256(b"memoryd pixels v1\n2x1 1\nrgba8\n\x01\x02\x03\xff\x04\x05\x06\xff").digest()
    found = pixel_digest(png(samples))
    assert (found.recipe, found.digest, found.width, found.height, found.frames) == ("v1", expected, 2, 1, 1)


def test_16_bits_are_digested_big_endian(png: MakePng) -> None:
    samples = np.array([[[0x0102, 0x0304, 0x0506]]], dtype=np.uint16)
    expected = hashlib.sha256(b"memoryd pixels v1\n1x1 1\nrgba16\n\x01\x02\x03\x04\x05\x06\xff\xff").digest()
    assert pixel_digest(png(samples)).digest == expected


def test_metadata_compression_and_palette_do_not_count_and_a_single_sample_does(png: MakePng, noise: Noise) -> None:
    samples = (noise(3, height=40, width=50) // 64) * 64
    picture = Image.fromarray(samples)
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "{}")
    digests = {
        pixel_digest(content).digest
        for content in (
            png(samples),
            saved(picture, pnginfo=text, compress_level=1),
            saved(picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)),
            saved(picture.convert("RGBA")),
            saved(picture, "WEBP", lossless=True),
            saved(picture, "BMP"),
        )
    }
    assert len(digests) == 1
    samples[39, 49, 2] ^= 1
    assert pixel_digest(png(samples)).digest not in digests


def test_the_lowest_of_16_bits_counts(png: MakePng, noise: Noise) -> None:
    samples = noise(3, 16)
    before = pixel_digest(png(samples)).digest
    samples[3, 3, 1] ^= 1
    assert pixel_digest(png(samples)).digest != before


def test_a_digest_of_a_jpeg_names_its_decoder(noise: Noise) -> None:
    assert pixel_digest(saved(Image.fromarray(noise(3)), "JPEG")).recipe.startswith("v1+libjpeg_turbo-")


def test_every_frame_counts() -> None:
    still, moving = Image.new("L", (4, 4)), [Image.new("L", (4, 4), shade) for shade in (10, 20)]
    one = saved(still, "PNG", save_all=True, append_images=moving)
    other = saved(still, "PNG", save_all=True, append_images=moving[::-1])
    assert pixel_digest(one).frames == 3
    assert pixel_digest(one).digest != pixel_digest(other).digest
    difference = compare_pixels(one, other)
    assert difference.share_different == pytest.approx(2 / 3)
    assert not compare_pixels(one, saved(still)).comparable


def test_a_run_from_the_cache_has_the_pixels_of_the_first_run(files: Path) -> None:
    images = files / "comfyui" / "images"
    assert compare_pixels(images / "txt2img_basic.png", images / "txt2img_cached_rerun.png").identical


def test_equal_pictures_are_identical_and_have_no_decibels(png: MakePng, noise: Noise) -> None:
    content = png(noise(4))
    found = compare_pixels(content, content)
    assert (found.identical, found.comparable, found.max_abs, found.psnr) == (True, True, 0.0, None)
    assert found.as_json()["share_different"] == 0.0


def test_measures_are_shares_of_full_scale(png: MakePng) -> None:
    black = np.zeros((10, 10, 3), dtype=np.uint8)
    one_off = black.copy()
    one_off[0, 0, 0] = 51
    found = compare_pixels(png(black), png(one_off))
    assert not found.identical
    assert found.max_abs == pytest.approx(0.2)
    assert found.mean_abs == pytest.approx(0.2 / 300)
    assert found.share_different == pytest.approx(0.01)
    assert found.psnr == pytest.approx(-10 * np.log10(0.04 / 300))


def test_8_and_16_bits_of_the_same_picture_are_close_and_not_identical(png: MakePng, noise: Noise) -> None:
    samples = noise(3)
    found = compare_pixels(png(samples), png(samples.astype(np.uint16) * 257))
    assert found.comparable
    assert not found.identical
    assert found.max_abs < 1e-9


def test_alpha_counts_where_it_is_used(png: MakePng, noise: Noise) -> None:
    samples = noise(4)
    samples[..., 3] = 255
    seen_through = samples.copy()
    seen_through[0, 0, 3] = 0
    assert compare_pixels(png(samples), png(samples[..., :3])).identical
    assert compare_pixels(png(samples), png(seen_through)).max_abs == 1.0


def test_other_sizes_and_other_channels_are_not_comparable(png: MakePng, noise: Noise) -> None:
    wide = compare_pixels(png(noise(3, width=8)), png(noise(3, width=9)))
    assert (wide.comparable, wide.identical, wide.psnr) == (False, False, None)
    assert wide.as_json() == {
        "identical": False,
        "comparable": False,
        "reason": "8 x 11 pixels against 9 x 11",
    }
    ink = saved(Image.new("CMYK", (7, 11)), "TIFF")
    assert compare_pixels(png(noise(3)), ink).reason == "rgba8 against cmyk8"
