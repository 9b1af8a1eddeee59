"""Digests of pixels, and how far two pictures are apart."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from memoryd.imaging.pixels import pixel_digest

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
