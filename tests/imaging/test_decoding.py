"""Pictures decoded exactly, from files that may be hostile."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from memoryd.imaging import decoding
from memoryd.imaging.decoding import (
    ImageInexact,
    ImageTooLarge,
    ImageUnreadable,
    Source,
    opened_picture,
    read_frames,
    read_shape,
)

MakePng = Callable[..., bytes]
Noise = Callable[..., NDArray[Any]]


def frames_of(source: Source) -> list[decoding.Frame]:
    with opened_picture(source) as picture:
        return list(read_frames(picture))


def spelled_out(samples: NDArray[Any]) -> NDArray[Any]:
    """Red, green, blue, alpha from one to four channels."""
    channels, top = samples.shape[2], np.iinfo(samples.dtype).max
    colour = samples[..., :3] if channels >= 3 else np.repeat(samples[..., :1], 3, axis=2)
    alpha = samples[..., -1:] if channels in (2, 4) else np.full_like(samples[..., :1], top)
    return np.concatenate([colour, alpha], axis=2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_sample_of_a_png_is_exact(png: MakePng, noise: Noise, channels: int, bits: int) -> None:
    samples = noise(channels, bits)
    [frame] = frames_of(png(samples))
    assert frame.kind == f"rgba{bits}"
    np.testing.assert_array_equal(frame.samples, spelled_out(samples))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_of_16_bits_is_that_colour_and_no_neighbour(
    png: MakePng, noise: Noise, channels: int
) -> None:
    samples = noise(channels, 16)
    samples[0, 0] = 0x1234
    samples[0, 1] = 0x1235
    [frame] = frames_of(png(samples, transparency=struct.pack(">H", 0x1234) * channels))
    assert frame.samples[0, 0, 3] == 0
    assert frame.samples[0, 1, 3] == 0xFFFF


def test_a_real_16_bit_picture_keeps_its_16_bits(files: Path) -> None:
    [frame] = frames_of(files / "comfyui" / "images" / "save_image_advanced_16bit.png")
    assert frame.kind == "rgba16"
    assert frame.samples[0, 0].tolist() == [43947, 52685, 61423, 65535]


def test_a_shape_is_read_without_pixels(files: Path, png_bomb: MakePng) -> None:
    shape = read_shape(files / "comfyui" / "images" / "txt2img_dpmpp_sde_karras_128x96.png")
    assert (shape.media_type, shape.width, shape.height, shape.frames, shape.mode) == ("image/png", 128, 96, 1, "RGB")
    assert read_shape(png_bomb(100, 100)).width == 100


def test_a_promise_of_too_many_pixels_is_refused_before_decoding(
    png_bomb: MakePng, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageTooLarge) as refused:
        read_shape(png_bomb(100_000, 100_000))
    assert "PIXEL_LIMIT" in str(refused.value.hint)
    monkeypatch.setattr(decoding, "PIXEL_LIMIT", 10_000)
    assert read_shape(png_bomb(100, 100)).height == 100
    with pytest.raises(ImageTooLarge):
        read_shape(png_bomb(101, 100))


def test_too_many_frames_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    pictures = [Image.new("L", (4, 4), shade) for shade in (0, 100, 200)]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:])
    assert len(frames_of(out.getvalue())) == 3
    monkeypatch.setattr(decoding, "ANIMATION_PIXEL_LIMIT", 40)
    with pytest.raises(ImageTooLarge) as refused:
        frames_of(out.getvalue())
    assert "ANIMATION_PIXEL_LIMIT" in str(refused.value.hint)


def test_a_large_compressed_text_does_not_hide_the_picture(png: MakePng, noise: Noise) -> None:
    body = b"workflow\0\0" + zlib.compress(b"a" * 3_000_000)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    assert len(frames_of(png(noise(3), extra=chunk))) == 1


@pytest.mark.parametrize("kept", [0, 8, 40, 60, -40])
def test_a_truncated_picture_is_unreadable_and_not_half_a_picture(png: MakePng, noise: Noise, kept: int) -> None:
    with pytest.raises(ImageUnreadable) as refused:
        frames_of(png(noise(3, 16))[:kept])
    assert refused.value.hint


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=8), value=st.integers(0, 255))
def test_a_damaged_picture_is_refused_or_read_but_never_a_crash(files: Path, at: int, value: int) -> None:
    content = bytearray((files / "comfyui" / "images" / "modelfree_blend_invert.png").read_bytes())
    content[at % len(content)] = value
    with contextlib.suppress(ImageUnreadable, ImageTooLarge, ImageInexact):
        frames_of(bytes(content))


def test_a_format_with_an_interpreter_behind_it_is_not_even_offered() -> None:
    with pytest.raises(ImageUnreadable):
        read_shape(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


def test_a_missing_file_is_not_an_unreadable_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_shape(tmp_path / "gone.png")


def test_16_bits_outside_of_a_single_png_are_not_silently_halved() -> None:
    header = struct.pack("<2sHI", b"II", 42, 8)
    entries = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 200)]
    entries += [(277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 6)]
    entries[2] = (258, 3, 3, 180)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    tiff = (header + directory).ljust(180, b"\0") + struct.pack("<3H", 16, 16, 16)
    tiff = tiff.ljust(200, b"\0") + struct.pack("<3H", 1, 2, 3)
    with pytest.raises(ImageInexact):
        frames_of(tiff)


def test_where_the_decoder_decides_pixels_it_is_named() -> None:
    for name, named in (("PNG", False), ("JPEG", True), ("WEBP", False)):
        out = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(out, name)
        assert (read_shape(out.getvalue()).decoder is not None) is named
