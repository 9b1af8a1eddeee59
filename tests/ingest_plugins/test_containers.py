"""Every container's plugin, by the trials that ship with the door, on real files of ComfyUI and on made ones."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from memoryd.plugin_api.door import HEAD_SIZE, choose_plugin, installed_plugins, read_stream
from memoryd.plugin_api.facts import Completeness, Reading
from memoryd.plugin_api.texts import graph_text
from memoryd.plugin_api.trials import PluginTrials
from memoryd_ingest_plugins import (
    exr,
    flac,
    gif,
    glb,
    heif,
    jpeg,
    matroska,
    mp3,
    mp4,
    ogg,
    safetensors,
    svg,
    tiff,
    wav,
    webp,
)
from tests.fuzz.writers import PROMPT, RECIPE, WORDS, WORKFLOW, avif, box, comment, every_kind, exif, id3
from tests.fuzz.writers import keys_meta as meta_of
from tests.fuzz.writers import mp3 as mp3_of
from tests.fuzz.writers import mp4 as mp4_of
from tests.fuzz.writers import webm as webm_of

MEDIA = Path(__file__).resolve().parents[1] / "files" / "comfyui" / "media"
MADE = every_kind()


class TestExr(PluginTrials):
    plugin = exr.plugin
    whole_files = (MEDIA / "save_image_advanced_exr.exr", MADE["exr"], MADE["exr_parts"])


class TestFlac(PluginTrials):
    plugin = flac.plugin
    whole_files = (MEDIA / "audio_flac.flac",)


class TestGif(PluginTrials):
    plugin = gif.plugin
    whole_files = (MADE["gif"],)


class TestGlb(PluginTrials):
    plugin = glb.plugin
    whole_files = (MADE["glb"],)


class TestHeif(PluginTrials):
    plugin = heif.plugin
    whole_files = (MADE["avif"],)


class TestJpeg(PluginTrials):
    plugin = jpeg.plugin
    whole_files = (MADE["jpeg"],)


class TestMatroska(PluginTrials):
    plugin = matroska.plugin
    whole_files = (MEDIA / "video_webm.webm", MADE["webm"])


class TestMp3(PluginTrials):
    plugin = mp3.plugin
    whole_files = (MEDIA / "audio_mp3.mp3", MADE["mp3"], MADE["mp3_old"])


class TestMp4(PluginTrials):
    plugin = mp4.plugin
    whole_files = (MEDIA / "video_mp4.mp4", MADE["mp4"], MADE["mov"])


class TestOgg(PluginTrials):
    plugin = ogg.plugin
    whole_files = (MEDIA / "audio_opus.opus", MADE["ogg"])


class TestSafetensors(PluginTrials):
    plugin = safetensors.plugin
    whole_files = (MEDIA / "latent.latent", MADE["latent"])


class TestSvg(PluginTrials):
    plugin = svg.plugin
    whole_files = (MADE["svg"],)


class TestTiff(PluginTrials):
    plugin = tiff.plugin
    whole_files = (MADE["tiff"],)


class TestWav(PluginTrials):
    plugin = wav.plugin
    whole_files = (MADE["wav"],)


class TestWebp(PluginTrials):
    plugin = webp.plugin
    whole_files = (MEDIA / "still_webp.webp", MEDIA / "animated_webp.webp", MADE["webp"])


def _read(content: bytes) -> Reading:
    plugin = choose_plugin(content[:HEAD_SIZE])
    assert plugin is not None
    return read_stream(plugin, io.BytesIO(content))


def _graphs(reading: Reading) -> tuple[object, object]:
    assert reading.prompt is not None
    assert reading.workflow is not None
    prompt, workflow = (reading.carriers[index] for index in (reading.prompt, reading.workflow))
    return json.loads(graph_text(prompt)), json.loads(graph_text(workflow))


@pytest.mark.parametrize("path", sorted(MEDIA.iterdir()), ids=lambda path: path.name)
def test_every_real_output_of_comfyui_gives_both_graphs(path: Path) -> None:
    reading = _read(path.read_bytes())
    assert reading.completeness is Completeness.COMPLETE
    assert reading.findings == ()
    prompt, workflow = _graphs(reading)
    assert isinstance(prompt, dict)
    assert isinstance(workflow, dict)
    assert all("class_type" in node for node in prompt.values())


@pytest.mark.parametrize(
    "kind",
    [
        "png",
        "webp",
        "mp4",
        "mov",
        "webm",
        "mkv_unknown",
        "ogg",
        "mp3",
        "mp3_old",
        "exr",
        "exr_parts",
        "svg",
        "glb",
        "latent",
        "wav",
    ],
)
def test_both_graphs_are_found_in_every_container(kind: str) -> None:
    reading = _read(MADE[kind])
    assert _graphs(reading) == (json.loads(PROMPT), json.loads(WORKFLOW))
    assert reading.completeness is Completeness.COMPLETE


@pytest.mark.parametrize("kind", sorted(set(MADE) - {"wav", "ogg", "mp3", "mp3_old", "glb", "latent", "png_stealth"}))
def test_pictures_and_films_say_their_size(kind: str) -> None:
    reading = _read(MADE[kind])
    assert (reading.width, reading.height) == (8, 6)


@pytest.mark.parametrize("kind", sorted(MADE))
def test_a_whole_file_gives_no_finding(kind: str) -> None:
    codes = {finding.code for finding in _read(MADE[kind]).findings}
    assert codes <= {"key-twice"}


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_content_credentials_are_told(kind: str) -> None:
    assert _read(MADE[kind]).has_manifest


@pytest.mark.parametrize("kind", ["jpeg", "png_profile", "tiff", "avif"])
def test_a_comment_is_found_in_every_picture(kind: str) -> None:
    texts = {carrier.key: carrier for carrier in _read(MADE[kind]).carriers}
    assert texts["UserComment"].raw == comment()[2]


def test_one_comment_that_holds_both_graphs_is_kept_and_split() -> None:
    reading = _read(MADE["mov"])
    assert [carrier.place for carrier in reading.carriers] == ["mp4:meta", "mp4:comment", "mp4:comment"]
    bare = exif(
        [], [(0x9286, 7, json.dumps({"prompt": json.loads(PROMPT), "workflow": json.loads(WORKFLOW)}).encode())]
    )
    reading = _read(avif(bare))
    assert _graphs(reading) == (json.loads(PROMPT), json.loads(WORKFLOW))


def test_a_graph_alone_in_a_comment_is_found() -> None:
    reading = _read(avif(exif([(0x010E, 2, WORKFLOW.encode())], [comment(PROMPT)])))
    assert _graphs(reading) == (json.loads(PROMPT), json.loads(WORKFLOW))


@pytest.mark.parametrize("code", [b"", b"ASCII\0\0\0", b"UNICODE\0"])
def test_a_word_before_a_graph_tells_which_it_is(code: bytes) -> None:
    said = f"Workflow: {WORKFLOW}"
    raw = code + said.encode("utf-16-le" if code == b"UNICODE\0" else "utf-8")
    reading = _read(avif(exif([(0x0110, 2, f"prompt:{PROMPT}".encode())], [(0x9286, 7, raw)])))
    assert _graphs(reading) == (json.loads(PROMPT), json.loads(WORKFLOW))


def test_a_tools_own_json_is_no_graph() -> None:
    said = json.dumps({"prompt": "a fox", "negative_prompt": "", "workflow": "text", "steps": 4})
    reading = _read(avif(exif([], [comment(said)])))
    assert (reading.prompt, reading.workflow) == (None, None)
    assert len(reading.carriers) == 1


def test_old_tags_of_films_are_read() -> None:
    texts = b"".join(
        [
            box(b"\xa9cmt", b"\x00\x05\x15\xc7a fox"),
            box(
                b"meta",
                bytes(4) + box(b"hdlr", bytes(25)) + box(b"ilst", box(b"\xa9nam", box(b"data", bytes(8) + b"named"))),
            ),
        ]
    )
    reading = _read(mp4_of(box(b"udta", texts), moov_first=True))
    assert [(carrier.key, carrier.raw) for carrier in reading.carriers] == [("comment", b"a fox"), ("title", b"named")]
    assert (reading.kind, reading.frames) == ("video", 3)


def test_a_film_whose_index_is_missing_is_still_being_written() -> None:
    whole = mp4_of(meta_of(WORDS))
    cut = whole[: whole.index(b"moov") - 4]
    assert mp4.plugin.completeness(io.BytesIO(cut)) is Completeness.PARTIAL


def test_a_stream_of_unknown_length_is_whole_where_an_element_ends() -> None:
    content = webm_of({"PROMPT": PROMPT}, unknown=True)
    assert matroska.plugin.completeness(io.BytesIO(content)) is Completeness.COMPLETE
    assert matroska.plugin.completeness(io.BytesIO(content[:-3])) is Completeness.PARTIAL


@pytest.mark.parametrize(("version", "encoding"), [(2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (4, 3)])
@pytest.mark.parametrize("unsynchronised", [False, True])
def test_tags_of_sounds_are_read_in_every_version_and_encoding(
    version: int, encoding: int, unsynchronised: bool
) -> None:
    words = {"prompt": PROMPT + " ÿü" if encoding != 3 else PROMPT, "parameters": RECIPE * 30}
    tag = id3(words, version=version, encoding=encoding, unsynchronised=unsynchronised and version < 4)
    reading = _read(mp3_of(tag))
    assert {carrier.key: carrier.raw.decode() for carrier in reading.carriers} == words


def test_each_format_has_one_plugin() -> None:
    for content in MADE.values():
        assert len([plugin for plugin in installed_plugins() if plugin.sniff(content[:HEAD_SIZE])]) == 1
