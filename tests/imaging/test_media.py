"""EXR, video and sound: small files of our own making, whole and damaged."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray
from PIL import Image

from memoryd.imaging import exr, video
from memoryd.imaging.derived import Derived
from memoryd.imaging.deriving_any import derive
from memoryd.imaging.recipes import EVERY_PART

Channels = dict[str, NDArray[Any]]


def write_exr(path: Path, channels: Channels) -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    # The library puts its own objects into what it is given.
    with OpenEXR.File(header, dict(channels)) as file:
        file.write(str(path))
    return path


def write_video(path: Path, *, frames: int = 30, rate: int = 10, code: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, (640, 320))  # type: ignore[attr-defined]
    for index in range(frames):
        writer.write(np.full((320, 640, 3), index * 250 // frames, np.uint8))
    writer.release()
    return path


def derived_from(path: Path, media_type: str) -> Derived:
    with path.open("rb") as file:
        return derive(file, media_type, EVERY_PART)


def codes(derived: Derived) -> list[str]:
    return [finding.code for finding in derived.findings]


@pytest.fixture
def layered(tmp_path: Path) -> Channels:
    ramp = np.linspace(-1, 4, 40 * 30, dtype=np.float32).reshape(30, 40)
    return {
        "R": ramp,
        "G": ramp.T.reshape(30, 40).copy(),
        "B": ramp * 0.5,
        "Z": ramp * 1000,
        "glow.R": ramp.astype(np.float16),
    }


def test_an_exr_has_layers_a_digest_of_its_own_and_a_preview(tmp_path: Path, layered: Channels) -> None:
    derived = derived_from(write_exr(tmp_path / "a.exr", layered), "image/x-exr")
    assert derived.traits.layers == ("Z", "glow", "rgba")
    assert (derived.traits.width, derived.traits.height) == (40, 30)
    assert derived.pixels is not None
    assert derived.pixels.recipe == exr.EXR_PIXEL_RECIPE
    assert [(p.width, p.height) for p in derived.pictures] == [(40, 30), (40, 30)]


def test_an_exr_s_digest_is_of_values_and_not_of_compression(tmp_path: Path, layered: Channels) -> None:
    values = dict(layered)
    first = derived_from(write_exr(tmp_path / "a.exr", layered), "image/x-exr").pixels
    with OpenEXR.File({"compression": OpenEXR.NO_COMPRESSION, "type": OpenEXR.scanlineimage}, dict(values)) as file:
        file.write(str(tmp_path / "b.exr"))
    assert derived_from(tmp_path / "b.exr", "image/x-exr").pixels == first
    layered = {**values, "Z": np.nextafter(values["Z"], np.float32(1e9))}
    other = derived_from(write_exr(tmp_path / "c.exr", layered), "image/x-exr").pixels
    assert first is not None
    assert other is not None
    assert other.digest != first.digest


def test_what_is_no_number_does_no_harm(tmp_path: Path) -> None:
    wild = np.zeros((8, 8), np.float32)
    wild[0], wild[1], wild[2] = np.nan, np.inf, -np.inf
    alpha = np.full((8, 8), np.nan, np.float32)
    alpha[4:] = 0.5
    path = write_exr(tmp_path / "a.exr", {"R": wild, "G": wild, "B": wild, "A": alpha})
    derived = derived_from(path, "image/x-exr")
    assert codes(derived) == []
    assert len(derived.pictures) == 2


def test_the_preview_s_curve_is_srgb_s() -> None:
    shown = exr.srgb_curve(np.array([-1.0, 0.0, 0.18, 0.5, 1.0, 9.0], np.float32))
    assert np.allclose(shown, [0, 0, 0.4614, 0.7354, 1, 1], atol=1e-3)


def test_a_configuration_of_colours_is_used_and_a_missing_one_is_none(
    tmp_path: Path, layered: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PyOpenColorIO")
    path = write_exr(tmp_path / "a.exr", layered)
    shown = {}
    for place in ("", "ocio://default", str(tmp_path / "none.ocio")):
        monkeypatch.setenv("OCIO", place)
        derived = derived_from(path, "image/x-exr")
        assert codes(derived) == []
        shown[place] = derived.pictures[0].content
    assert shown[""] == shown[str(tmp_path / "none.ocio")] != shown["ocio://default"]


def test_a_damaged_exr_is_a_finding(tmp_path: Path, layered: Channels) -> None:
    path = write_exr(tmp_path / "a.exr", layered)
    path.write_bytes(path.read_bytes()[:600])
    assert codes(derived_from(path, "image/x-exr")) == ["pixels-damaged"]


def test_an_exr_of_too_many_samples_is_not_decoded(
    tmp_path: Path, layered: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exr, "SAMPLES_LIMIT", 10)
    derived = derived_from(write_exr(tmp_path / "a.exr", layered), "image/x-exr")
    assert codes(derived) == ["too-many-pixels"]
    assert derived.traits.layers


@pytest.mark.parametrize(("name", "code"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.webm", "VP80")])
def test_a_video_has_frames_a_preview_and_its_rates(tmp_path: Path, name: str, code: str) -> None:
    derived = derived_from(write_video(tmp_path / name, code=code), "video/any")
    assert codes(derived) == []
    traits = derived.traits
    assert (traits.width, traits.height, traits.frames, traits.frame_rate) == (640, 320, 30, 10.0)
    assert traits.duration == pytest.approx(3.0)
    by_recipe = {(p.recipe, p.size): p for p in derived.pictures}
    assert set(by_recipe) == {("v2", 256), ("v2", 1024), ("middle:v1", 256), ("middle:v1", 1024), ("preview:v1", 480)}
    preview = Image.open(io.BytesIO(by_recipe["preview:v1", 480].content))
    assert preview.size == (480, 240)
    assert preview.n_frames > 10  # type: ignore[attr-defined]  # it moves
    middle = Image.open(io.BytesIO(by_recipe["middle:v1", 256].content)).convert("L").getpixel((5, 5))
    assert isinstance(middle, int)
    assert 100 < middle < 150


def test_a_playlist_in_a_film_s_clothes_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    assert codes(derived_from(path, "video/mp4")) == ["not-decodable"]
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + b"nothing more" * 20)
    assert codes(derived_from(path, "video/mp4")) == ["not-decodable"]


def test_a_frame_that_is_too_large_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "FRAME_PIXEL_LIMIT", 10)
    assert codes(derived_from(write_video(tmp_path / "a.mp4", frames=3), "video/mp4")) == ["too-many-pixels"]


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        wavy = (np.sin(np.arange(12_000) / 9) * 20_000).astype("<i2")
        sound.writeframes(np.repeat(wavy, 2).tobytes())
    return path


def test_sound_has_a_duration_and_a_waveform(tone: Path) -> None:
    derived = derived_from(tone, "audio/wav")
    assert (derived.traits.duration, derived.traits.sample_rate, derived.traits.channels) == (1.5, 8000, 2)
    assert [(p.size, p.width, p.height) for p in derived.pictures] == [(256, 256, 64), (1024, 1024, 256)]


def test_what_is_no_sound_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"ID3" + b"\xff" * 90)
    assert codes(derived_from(tmp_path / "a.mp3", "audio/mpeg")) == ["not-decodable"]


def test_a_real_exr_of_comfyui_is_read(fixtures: Path) -> None:
    found: list[BinaryIO] = []
    derived = derived_from(fixtures / "media" / "save_image_advanced_exr.exr", "image/x-exr")
    assert (codes(derived), derived.traits.layers, found) == ([], ("rgba",), [])
