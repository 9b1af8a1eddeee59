"""What single readers do with carriers of their own kind, and with files made to harm."""

from __future__ import annotations

import gzip
import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.plugin_api import container
from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.door import choose_plugin
from memoryd.plugin_api.exif import DIRECTORIES_LIMIT, read_directories, read_exif
from memoryd.plugin_api.facts import Completeness
from memoryd.plugin_api.gif import read_gif
from memoryd.plugin_api.glb import read_glb
from memoryd.plugin_api.graph_carriers import find_graphs
from memoryd.plugin_api.jpeg import read_jpeg
from memoryd.plugin_api.json_parts import DEPTH_LIMIT, members
from memoryd.plugin_api.mp3 import is_mp3
from memoryd.plugin_api.riff import read_webp
from memoryd.plugin_api.safetensors import is_safetensors
from memoryd.plugin_api.svg import is_svg, read_svg
from memoryd.plugin_api.texts import text_of
from memoryd.plugin_api.tiff import read_tiff
from memoryd_ingest_plugins.comfyui_png import plugin as png_plugin
from tests.fuzz.writers import (
    C2PA_BOX,
    PROMPT,
    RECIPE,
    WORKFLOW,
    XMP,
    comment,
    exif,
    gif,
    glb,
    iptc,
    jpeg,
    png,
    stealth_png,
    svg,
    tiff,
    webp,
)

EXIF_HEAD = b"Exif\x00\x00"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"


def texts(structure: Structure) -> dict[str, str]:
    return {f"{carrier.place} {carrier.key}": text_of(carrier) for carrier in structure.carriers}


def test_every_carrier_of_a_jpeg_is_found() -> None:
    content = jpeg(
        (0xE1, EXIF_HEAD + exif([(0x010E, 2, "für\x00".encode())], [comment()])),
        (0xE1, XMP_HEAD + XMP),
        (0xED, iptc((120, b"a fox"), (25, b"red"))),
        (0xFE, b"said aloud"),
    )
    assert texts(read_jpeg(io.BytesIO(content))) == {
        "jpeg:iptc 2:120": "a fox",
        "jpeg:iptc 2:25": "red",
        "jpeg:com comment": "said aloud",
        "jpeg:exif ImageDescription": "für",
        "jpeg:exif UserComment": RECIPE,
        "jpeg:xmp XML:com.adobe.xmp": XMP.decode(),
    }


def test_an_exif_block_over_several_segments_is_joined() -> None:
    long = "x" * 90_000
    block = exif([], [comment(long)])
    content = jpeg(
        (0xE1, EXIF_HEAD + block[:60_000]),
        (0xE1, EXIF_HEAD + block[60_000:120_000]),
        (0xE1, EXIF_HEAD + block[120_000:]),
    )
    assert texts(read_jpeg(io.BytesIO(content))) == {"jpeg:exif UserComment": long}


def test_an_extended_xmp_packet_follows_the_first() -> None:
    extension = b"http://ns.adobe.com/xmp/extension/\x00" + b"0" * 32 + struct.pack(">II", 8, 0)
    content = jpeg((0xE1, XMP_HEAD + XMP), (0xE1, extension + b"more"), (0xE1, extension + b" yet"))
    assert read_jpeg(io.BytesIO(content)).carriers[0].raw == XMP + b"\nmore yet"


def test_a_jpeg_without_its_end_is_still_being_written() -> None:
    whole = jpeg()
    assert read_jpeg(io.BytesIO(whole + b"trailing bytes of a phone")).completeness is Completeness.COMPLETE
    assert read_jpeg(io.BytesIO(whole[:-2])).completeness is Completeness.PARTIAL


def test_content_credentials_of_a_webp_are_told() -> None:
    assert read_webp(io.BytesIO(webp((b"C2PA", C2PA_BOX)))).has_manifest


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_either_order_is_read_and_needs_its_strip(order: str) -> None:
    content = tiff([(0x010E, 2, b"words\x00"), (0x83BB, 1, b"\x1c\x02\x78\x00\x03fox")], [comment()], order=order)
    structure = read_tiff(io.BytesIO(content))
    assert (structure.width, structure.height, structure.completeness) == (8, 6, Completeness.COMPLETE)
    assert texts(structure) == {
        "tiff:exif ImageDescription": "words",
        "tiff:iptc 2:120": "fox",
        "tiff:exif UserComment": RECIPE,
    }
    assert read_tiff(io.BytesIO(content[:-1])).completeness is Completeness.PARTIAL


def test_comments_and_xmp_of_a_gif_are_read() -> None:
    structure = read_gif(io.BytesIO(gif(b"long " * 200, xmp=XMP)))
    assert structure.frames == 2
    assert texts(structure) == {"gif:com comment": "long " * 200, "gif:xmp XML:com.adobe.xmp": XMP.decode()}


@pytest.mark.parametrize("signature", [b"stealth_pnginfo", b"stealth_pngcomp", b"stealth_rgbinfo", b"stealth_rgbcomp"])
@pytest.mark.parametrize("filter_kind", range(5))
def test_words_hidden_in_pixels_are_found_whatever_the_filter(signature: bytes, filter_kind: int) -> None:
    payload = gzip.compress(RECIPE.encode()) if signature.endswith(b"comp") else RECIPE.encode()
    reading = png_plugin.read(io.BytesIO(stealth_png(signature, payload, filter_kind=filter_kind)))
    assert [(carrier.place, carrier.key) for carrier in reading.carriers] == [("png:stealth", signature.decode())]
    assert text_of(reading.carriers[0]) == RECIPE


@pytest.mark.parametrize("size", [(200, 10), (3, 400), (40, 119)])
def test_words_hidden_in_flat_and_in_narrow_pictures_are_found(size: tuple[int, int]) -> None:
    content = stealth_png(b"stealth_rgbinfo", b"a fox", width=size[0], height=size[1])
    assert [text_of(carrier) for carrier in png_plugin.read(io.BytesIO(content)).carriers] == ["a fox"]


def test_a_hidden_bomb_is_not_inflated_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memoryd.plugin_api.stealth.TEXT_LIMIT", 1000)
    monkeypatch.setattr(container, "TEXT_LIMIT", 1000)
    reading = png_plugin.read(io.BytesIO(stealth_png(b"stealth_pngcomp", gzip.compress(b"x" * 100_000))))
    assert reading.carriers == ()
    assert [finding.code for finding in reading.findings] == ["text-too-large"]


def test_pixels_are_left_alone_where_a_tool_wrote_words() -> None:
    reading = png_plugin.read(io.BytesIO(png((b"tEXt", b"parameters\x00" + RECIPE.encode()), lines=b"no lines at all")))
    assert reading.findings == ()
    assert len(reading.carriers) == 1


@pytest.mark.parametrize("change", [-20, 20])
def test_a_value_behind_one_of_changed_length_is_found(change: int) -> None:
    first = f"workflow:{WORKFLOW}{' ' * 40}".encode() + b"\x00"
    block = exif([(0x010F, 2, first), (0x0110, 2, f"prompt:{PROMPT}".encode() + b"\x00")])
    end = block.index(b"prompt:") - 4
    shifted = block[: end + change] + block[end:] if change < 0 else block[:end] + b" " * change + block[end:]
    walk = Walk(io.BytesIO(b""), "webp", "image/webp")
    read_exif(walk, shifted.replace(struct.pack(">I", len(first)), struct.pack(">I", len(first) + change)))
    assert "tag-misplaced" in [finding.code for finding in walk.findings]
    assert [text_of(carrier).strip() for carrier in walk.carriers] == [f"workflow:{WORKFLOW}", f"prompt:{PROMPT}"]


def test_a_graph_is_found_whole_over_a_stray_nul() -> None:
    broken = f"prompt:{PROMPT}".replace('"class_type"', '"class_typ\x00"').encode()
    block = exif([(0x010F, 2, b"workflow:{}" + b" " * 40 + b"\x00"), (0x0110, 2, broken + b"\x00")])
    place = block.index(b"prompt:")
    walk = Walk(io.BytesIO(b""), "webp", "image/webp")
    read_exif(walk, block[: place - 30] + b"\x00" + block[place:])
    assert [carrier.raw.rstrip(b"\x00") for carrier in walk.carriers if carrier.raw.startswith(b"prompt:")] == [broken]


def test_directories_that_lead_in_a_circle_end() -> None:
    content = b"II*\x00" + struct.pack("<IH", 8, 0) + struct.pack("<I", 8)
    walk = Walk(io.BytesIO(content), "tiff", "image/tiff")
    seen = read_directories(walk, walk.at)
    assert seen is not None
    assert seen.count == 1 < DIRECTORIES_LIMIT


def test_entities_of_an_svg_are_never_expanded() -> None:
    prologue = '<?xml version="1.0"?>\n<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>\n'
    structure = read_svg(io.BytesIO(svg("&b;", prologue=prologue)))
    assert (structure.width, structure.height) == (8, 6)
    assert [carrier.raw for carrier in structure.carriers] == [b"&b;"]


@pytest.mark.parametrize("head", [b"<html><svg>", b"<svgx>", b"", b"text <svg>", b"<?xml version='1.0'?><rss>"])
def test_what_only_contains_an_svg_is_none(head: bytes) -> None:
    assert not is_svg(head)


def test_an_svgs_size_comes_from_its_box_where_it_has_no_sides() -> None:
    structure = read_svg(io.BytesIO(b"<svg viewBox='0 0 20.4 10' width='100%'></svg>"))
    assert (structure.width, structure.height) == (20, 10)


def test_extras_of_a_model_are_read_and_a_scene_that_is_no_json_gives_none() -> None:
    assert texts(read_glb(io.BytesIO(glb({"prompt": PROMPT})))) == {"glb:extras prompt": PROMPT}
    damaged = glb({"prompt": PROMPT}).replace(b'"asset"', b'"asset')
    assert read_glb(io.BytesIO(damaged)).carriers == ()


def test_heads_of_other_formats_are_not_claimed() -> None:
    assert not is_safetensors(struct.pack("<Q", 2**40) + b'{"a": 1}')
    assert not is_safetensors(struct.pack("<Q", 20) + b"{{{{{{{{")
    assert not is_mp3(b"\xff\xf1\x50\x80\x00\x00")  # AAC
    assert not is_mp3(b"\xff\xfe<\x00?\x00")  # a text in UTF-16


def test_members_are_cut_out_verbatim() -> None:
    text = '{"a": {"b": "}\\"]"}, "c\\u0041": [1, [2]], "d": 1.50, "e": "x"} trailing'
    assert list(members(text)) == [("a", '{"b": "}\\"]"}'), ("cA", "[1, [2]]"), ("d", "1.50"), ("e", '"x"')]


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"a"', '{"a": ', '{"a": {', '{"a": "x', "{" * 9, '{"a": ' + "[" * (DEPTH_LIMIT + 1)]
)
def test_what_is_no_object_has_no_members(text: str) -> None:
    assert list(members(text)) == []


@settings(max_examples=100)
@given(st.text(alphabet='{}[]":,\\ a1', max_size=40))
def test_members_of_any_text_come_to_an_end(text: str) -> None:
    for key, value in members(text):
        assert isinstance(key, str)
        assert value in text


def test_all_texts_of_a_container_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "ALL_TEXTS_LIMIT", 500)
    structure = read_jpeg(io.BytesIO(jpeg((0xFE, b"x" * 400), (0xFE, b"y" * 400))))
    assert len(structure.carriers) == 1
    assert [finding.code for finding in structure.findings] == ["text-too-large"]


def test_too_many_texts_are_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "TEXTS_LIMIT", 3)
    structure = read_jpeg(io.BytesIO(jpeg(*[(0xFE, b"x")] * 9)))
    assert len(structure.carriers) == 3
    assert [finding.code for finding in structure.findings] == ["too-many-texts"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff" + b"\xff" * 3_000_000,
        b"RIFF\xff\xff\xff\x7fWEBP" + b"ABCD\x00\x00\x00\x00" * 400_000,
        b"GIF89a\x08\x00\x06\x00\x00\x00\x00" + b"\x21\xfe\x00" * 700_000,
        b"<svg " + b"<metadata <metadata" * 100_000 + b"</svg>",
        b"<svg>" + b"<metadata>" * 300_000 + b"</svg>",
        struct.pack(">I4s4s", 16, b"ftyp", b"isom") + bytes(4) + struct.pack(">I4s", 8, b"free") * 400_000,
        png((b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(b"\nexif\n 9\n" + b"0g" * 2_000_000))),
    ],
)
def test_files_of_nothing_but_parts_come_to_an_end(content: bytes) -> None:
    plugin = choose_plugin(content[:4096])
    assert plugin is not None
    reading = plugin.read(io.BytesIO(content))
    assert reading.prompt is None
    assert len(reading.carriers) <= 1


def test_a_comment_full_of_quotes_is_no_graph() -> None:
    structure = read_jpeg(io.BytesIO(jpeg((0xFE, b'{"class_type" "nodes" links ' + b'{"a": "' * 9_000))))
    assert find_graphs(structure.carriers).prompt is None
