"""How far two pictures are apart; and that *identical* is never said of what is not."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from memoryd.foundation.errors import MemorydError
from memoryd.imaging.difference_picture import LEAST_GREY, draw_difference
from memoryd.imaging.differences import compare_and_map, compare_pixels
from memoryd.imaging.pixels import pixel_digest
from tests.imaging.conftest import write_png

MakePng = Callable[..., bytes]
Noise = Callable[..., NDArray[Any]]
MUTATED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def saved(picture: Image.Image, name: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, name, **more)
    return out.getvalue()


def seeded(channels: int, bits: int = 8, *, height: int = 9, width: int = 7) -> NDArray[Any]:
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(channels).integers(0, 1 << bits, (height, width, channels), dtype=kind)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


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


def test_every_frame_is_compared() -> None:
    still, moving = Image.new("L", (4, 4)), [Image.new("L", (4, 4), shade) for shade in (10, 20)]
    one = saved(still, "PNG", save_all=True, append_images=moving)
    found = compare_pixels(one, saved(still, "PNG", save_all=True, append_images=moving[::-1]))
    assert found.share_different == pytest.approx(2 / 3)
    assert (found.frames, found.frames_different) == (3, 2)
    assert not compare_pixels(one, saved(still)).comparable


@MUTATED
@given(
    st.integers(0, 8),
    st.integers(0, 6),
    st.data(),
    st.sampled_from([(1, 8), (3, 8), (4, 8), (2, 16), (3, 16), (4, 16)]),
)
def test_one_bit_of_one_sample_is_never_identical(y: int, x: int, data: st.DataObject, form: tuple[int, int]) -> None:
    channels, bits = form
    samples = seeded(channels, bits)
    changed = samples.copy()
    changed[y, x, data.draw(st.integers(0, channels - 1))] ^= 1 << data.draw(st.integers(0, bits - 1))
    found = compare_pixels(write_png(samples), write_png(changed))
    assert not found.identical
    assert not found.same_samples
    assert found.frames_different == 1
    assert found.share_different == pytest.approx(1 / samples[..., 0].size)
    assert found.pixels is not None
    assert found.pixels[0].digest != found.pixels[1].digest
    assert found.pixels[1].digest == pixel_digest(write_png(changed)).digest


@MUTATED
@given(st.data())
def test_one_bit_of_a_file_is_identical_pixels_only_where_the_pixels_are(data: st.DataObject) -> None:
    samples = seeded(3)
    content = write_png(samples, extra=chunk(b"tEXt", b"prompt\0{}"))
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    try:
        found = compare_pixels(content, bytes(changed))
    except (MemorydError, OSError):
        return
    if found.identical:
        with Image.open(io.BytesIO(bytes(changed))) as picture:
            assert np.array_equal(np.asarray(picture.convert("RGB")), samples)


@MUTATED
@given(st.integers(0, 255), st.integers(0, 255))
def test_the_order_of_a_palette_does_not_count_and_its_colours_do(one: int, other: int) -> None:
    assume(one != other)
    indices = np.random.default_rng(3).integers(0, 256, (8, 8), dtype=np.uint8)
    indices[0, 0], indices[0, 1] = one, other
    palette = np.array([[shade, shade // 2, 255 - shade] for shade in range(256)], dtype=np.uint8)
    swapped = palette.copy()
    swapped[[one, other]] = palette[[other, one]]
    back = np.arange(256, dtype=np.uint8)
    back[[one, other]] = other, one
    plain, reordered, recoloured = (
        paletted(i, p) for i, p in ((indices, palette), (back[indices], swapped), (indices, swapped))
    )
    assert compare_pixels(plain, reordered).identical
    assert not compare_pixels(plain, recoloured).identical


def paletted(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(indices, "P")
    picture.putpalette(palette.tobytes())
    return saved(picture)


def test_colours_that_nobody_sees_are_not_identical_and_are_named(png: MakePng, noise: Noise) -> None:
    samples = noise(4)
    samples[2, 3, 3] = 0
    changed = samples.copy()
    changed[2, 3, 0] ^= 0xFF
    found = compare_pixels(png(samples), png(changed))
    assert not found.identical
    assert found.hidden_only
    assert found.as_json()["hidden_only"] is True
    changed[0, 0, 3] ^= 1
    assert not compare_pixels(png(samples), png(changed)).hidden_only


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TURNED = Image.Exif()
TURNED[274] = 6


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"icc_profile": SRGB}, "colour profile"),
        ({"exif": TURNED.tobytes()}, "orientation"),
        ({"dpi": (72, 144)}, "pixel shape"),
    ],
)
@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_equal_samples_that_are_shown_otherwise_are_not_identical(form: str, more: dict[str, Any], name: str) -> None:
    if form == "WEBP" and "dpi" in more:
        pytest.skip("WebP has square pixels")
    picture = Image.fromarray(seeded(3))
    kept = {"lossless": True} if form == "WEBP" else {}
    found = compare_pixels(saved(picture, form, **kept), saved(picture, form, **kept, **more))
    assert not found.identical
    assert found.same_samples
    assert found.shown_otherwise == (name,)
    assert found.psnr is None


@pytest.mark.parametrize(
    ("kind", "content", "name"),
    [
        (b"gAMA", struct.pack(">I", 100_000), "gamma"),
        (b"cHRM", struct.pack(">8I", *range(1, 9)), "primaries"),
        (b"sRGB", b"\0", "sRGB intent"),
        (b"cICP", b"\x09\x10\x00\x01", "coded colour"),
    ],
)
def test_chunks_that_say_what_samples_mean_count(kind: bytes, content: bytes, name: str) -> None:
    samples = seeded(3)
    assert compare_pixels(write_png(samples), write_png(samples, extra=chunk(kind, content))).shown_otherwise == (name,)


def test_texts_and_times_do_not_count() -> None:
    samples = seeded(3)
    extra = (
        chunk(b"tEXt", b"prompt\0{}")
        + chunk(b"tIME", b"\x07\xea\x01\x01\0\0\0")
        + chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1))
    )
    assert compare_pixels(write_png(samples), write_png(samples, extra=extra)).identical


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
def test_how_long_frames_stand_counts(form: str) -> None:
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 90, 200)]
    kept: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "loop": 0}
    kept |= {"lossless": True} if form == "WEBP" else {}
    one = saved(frames[0], form, duration=100, **kept)
    found = compare_pixels(one, saved(frames[0], form, duration=[100, 100, 200], **kept))
    assert (found.identical, found.shown_otherwise) == (False, ("frame durations",))
    assert compare_pixels(one, saved(frames[0], form, duration=100, **kept)).identical
    again = saved(frames[0], form, duration=100, **(kept | {"loop": 3}))
    assert compare_pixels(one, again).shown_otherwise == ("loops",)


def test_floating_point_counts_to_the_bit() -> None:
    samples = np.random.default_rng(5).random((4, 4), dtype=np.float32)
    zero = samples.copy()
    zero[1, 1] = 0.0
    signed = zero.copy()
    signed[1, 1] = -0.0
    nothing = zero.copy()
    nothing[1, 1] = np.nan
    one, other, third = (saved(Image.fromarray(each), "TIFF") for each in (zero, signed, nothing))
    assert compare_pixels(one, one).identical
    assert not compare_pixels(one, other).identical
    assert compare_pixels(one, third).max_abs == 1.0
    assert compare_pixels(third, third).identical


def test_a_damaged_png_is_compared_with_nothing(png: MakePng, noise: Noise) -> None:
    content = bytearray(png(noise(3)))
    content[content.index(b"IDAT") + 12] ^= 4
    with pytest.raises(MemorydError):
        compare_pixels(bytes(content), bytes(content))


def test_structural_similarity_is_1_for_equal_and_low_for_other_pictures() -> None:
    one = np.tile(np.arange(64, dtype=np.uint8)[:, None, None] * 4, (1, 64, 3))
    faint, turned = one.copy(), one.transpose(1, 0, 2).copy()
    faint[::9, ::7] ^= 1
    found = compare_pixels(write_png(one), write_png(faint))
    assert found.ssim is not None
    assert 0.99 < found.ssim < 1.0
    other = compare_pixels(write_png(one), write_png(turned))
    assert other.ssim is not None
    assert other.ssim < 0.6
    assert compare_pixels(write_png(one), write_png(one)).ssim == 1.0


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 5), (8, 8), (257, 9), (511, 3)])
def test_pictures_of_any_size_are_measured(size: tuple[int, int]) -> None:
    samples = np.zeros((*size, 3), dtype=np.uint8)
    changed = samples.copy()
    changed[-1, -1, 0] = 9
    found = compare_pixels(saved(Image.fromarray(samples)), saved(Image.fromarray(changed)))
    assert found.ssim is not None
    assert 0.0 < found.ssim < 1.0
    assert found.max_abs == 9 / 255


def test_a_difference_of_one_is_seen_in_the_difference_picture(png: MakePng, noise: Noise) -> None:
    samples = noise(3)
    changed = samples.copy()
    changed[0, 0, 0] ^= 1
    changed[1, 1, 1] ^= 0x80
    found, where = compare_and_map(png(samples), png(changed))
    assert where is not None
    drawn = draw_difference(where, found.max_abs)
    with Image.open(io.BytesIO(drawn.content)) as picture:
        assert isinstance(picture, PngImagePlugin.PngImageFile)
        greys = np.asarray(picture)
        assert picture.text["Description"] == drawn.legend
    assert greys.shape == samples.shape[:2]
    assert (int(greys[1, 1]), int(np.count_nonzero(greys))) == (255, 2)
    assert greys[0, 0] >= LEAST_GREY
    assert drawn.white == found.max_abs == 128 / 255
    assert compare_and_map(png(samples), png(samples))[1] is None
