"""Small pictures: upright, in sRGB, without metadata."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from memoryd.imaging import quick_webp
from memoryd.imaging.decoding import ImageUnreadable
from memoryd.imaging.thumbnails import BadThumbnailSize, as_webp, thumbnail

MakePng = Callable[..., bytes]
Noise = Callable[..., NDArray[Any]]


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_a_thumbnail_fits_and_carries_no_metadata(files: Path) -> None:
    content = thumbnail(files / "comfyui" / "images" / "txt2img_dpmpp_sde_karras_128x96.png", 64)
    small = opened(content)
    assert (small.format, small.size) == ("WEBP", (64, 48))
    assert not {"exif", "xmp", "icc_profile", "prompt", "workflow"} & set(small.info)
    assert b"KSampler" not in content


def test_a_small_picture_is_not_blown_up(png: MakePng, noise: Noise) -> None:
    assert opened(thumbnail(png(noise(3)), 512)).size == (7, 11)


def test_an_extreme_strip_keeps_a_pixel(png: MakePng, noise: Noise) -> None:
    assert opened(thumbnail(png(noise(1, height=1, width=3000)), 100)).size == (100, 1)


def test_it_stands_upright(noise: Noise) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", (80, 40)).save(out, "JPEG", exif=exif)
    assert opened(thumbnail(out.getvalue(), 40)).size == (20, 40)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK", "LAB"])
def test_every_mode_becomes_a_picture(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (30, 30)).save(out, "TIFF" if mode in ("F", "CMYK", "LAB") else "PNG")
    assert opened(thumbnail(out.getvalue(), 16)).size == (16, 16)


def test_16_bits_are_scaled_and_not_cut(png: MakePng) -> None:
    grey = np.full((8, 8, 1), 0x8000, dtype=np.uint16)
    pixel = opened(thumbnail(png(grey), 8)).convert("L").getpixel((4, 4))
    assert isinstance(pixel, int)
    assert abs(pixel - 128) <= 2


def test_a_profile_is_applied_and_a_broken_one_is_none(noise: Noise) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (profile, b"no profile at all"):
        out = io.BytesIO()
        Image.new("RGB", (10, 10), (200, 10, 10)).save(out, "PNG", icc_profile=icc)
        pixel = opened(thumbnail(out.getvalue(), 10)).getpixel((5, 5))
        assert isinstance(pixel, tuple)
        assert abs(pixel[0] - 200) <= 6


def test_transparency_stays(png: MakePng, noise: Noise) -> None:
    samples = noise(4)
    samples[..., 3] = 0
    assert opened(thumbnail(png(samples), 8)).convert("RGBA").getextrema()[3] == (0, 0)


def test_nonsense_and_bad_sizes_are_refused(png: MakePng, noise: Noise) -> None:
    with pytest.raises(ImageUnreadable):
        thumbnail(b"not a picture", 64)
    for size in (0, -1, 100_000):
        with pytest.raises(BadThumbnailSize):
            thumbnail(png(noise(3)), size)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (200, 151)])
def test_the_quick_encoder_makes_the_same_bytes(
    mode: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.random.default_rng(3).integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
    samples[..., 3:] = 255
    picture = Image.fromarray(samples)
    quick = as_webp(picture)
    assert quick_webp.encode(picture, 80, 0) == quick
    monkeypatch.setattr(quick_webp, "webp", None)
    assert as_webp(picture) == quick


def test_the_quick_encoder_leaves_what_can_be_seen_through(noise: Noise) -> None:
    assert quick_webp.encode(Image.fromarray(noise(4)), 80, 0) is None
    assert quick_webp.encode(Image.new("L", (9, 9)), 80, 0) is None


def test_samples_in_four_channels_are_a_picture_of_three(png: MakePng, noise: Noise) -> None:
    samples = noise(3, height=40, width=30)
    apart = np.dstack([samples, np.full((40, 30), 255, np.uint8)])
    mapped = Image.frombuffer("RGBX", (30, 40), apart, "raw", "RGBX", 0, 1)
    assert as_webp(mapped, apart) == as_webp(mapped) == as_webp(Image.fromarray(samples))
