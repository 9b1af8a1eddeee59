from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest

from memoryd.plugin_api.trials import PluginTrials
from memoryd_ingest_plugins.comfyui_png import plugin

IMAGES = Path(__file__).resolve().parents[1] / "files" / "comfyui" / "images"


class TestComfyuiPng(PluginTrials):
    plugin = plugin
    whole_files = (
        IMAGES / "txt2img_basic.png",
        IMAGES / "modelfree_extra_chunks.png",
        IMAGES / "no_metadata.png",
        IMAGES / "save_image_advanced_16bit.png",
    )


def _png(*texts: tuple[str, bytes]) -> io.BytesIO:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = b"".join(chunk(b"tEXt", key.encode() + b"\0" + value) for key, value in texts)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + body + pixels + chunk(b"IEND", b""))


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.png")), ids=lambda path: path.stem)
def test_every_real_picture_is_read_without_a_finding(path: Path) -> None:
    with path.open("rb") as stream:
        reading = plugin.read(stream)
    assert reading.findings == ()
    assert reading.width is not None
    keys = [carrier.key for carrier in reading.carriers]
    if path.stem == "no_metadata":
        assert keys == []
        assert (reading.prompt, reading.workflow) == (None, None)
    else:
        assert reading.prompt == 0
        assert reading.workflow == (1 if "workflow" in keys else None)


def test_extra_keys_are_kept_in_their_order() -> None:
    with (IMAGES / "modelfree_extra_chunks.png").open("rb") as stream:
        reading = plugin.read(stream)
    assert [carrier.key for carrier in reading.carriers] == ["prompt", "workflow", "memoryd", "author", "n"]


def test_an_animated_png_gives_the_texts_behind_its_frames(fixtures: Path) -> None:
    with (fixtures / "media" / "animated_png.png").open("rb") as stream:
        reading = plugin.read(stream)
    assert reading.media_type == "image/apng"
    assert reading.frames is not None
    assert reading.frames > 1
    assert reading.prompt is not None
    assert reading.carriers[reading.prompt].place == "png:comf"


def test_another_programs_plain_prompt_is_no_graph() -> None:
    reading = plugin.read(_png(("prompt", b"a red fox")))
    assert reading.prompt is None
    assert [finding.code for finding in reading.findings] == ["not-a-graph"]


def test_the_first_of_two_graphs_counts_and_both_are_kept() -> None:
    reading = plugin.read(_png(("prompt", b'{"1": {}}'), ("prompt", b'{"2": {}}')))
    assert reading.prompt == 0
    assert len(reading.carriers) == 2
    assert [finding.code for finding in reading.findings] == ["key-twice"]
