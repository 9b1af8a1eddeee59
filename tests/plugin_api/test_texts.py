from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.plugin_api.facts import Carrier
from memoryd.plugin_api.texts import graph_text, text_of

RECIPE = "a fox, ein Fuchs für Ängste\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 7"


def comment(raw: bytes) -> str:
    return text_of(Carrier(place="jpeg:exif", key="UserComment", raw=raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"UNICODE\0" + RECIPE.encode("utf-16-be"),
        b"UNICODE\0" + RECIPE.encode("utf-16-le"),
        b"UNICODE\0\xff\xfe" + RECIPE.encode("utf-16-le"),
        b"UNICODE\0\xfe\xff" + RECIPE.encode("utf-16-be"),
        b"UNICODE\0" + RECIPE.encode(),
        b"Unicode\0" + RECIPE.encode("utf-16-be"),
        b"ASCII\0\0\0" + RECIPE.encode(),
        b"ASCII\0\0\0" + RECIPE.encode("latin-1"),
        b"ASCII\0\0\0" + RECIPE.encode("utf-16-le"),
        b"\0" * 8 + RECIPE.encode(),
        b"\0" * 8 + RECIPE.encode("utf-16-be"),
        RECIPE.encode(),
        RECIPE.encode("utf-16-le"),
        b"UNICODE\0" + RECIPE.encode("utf-16-be") + b"\0\0\0\0",
        "".join(chr(ord(c) << 8) for c in RECIPE).encode(),
        b"UNICODE\0" + "".join(chr(ord(c) << 8) for c in RECIPE).encode(),
    ],
)
def test_a_comment_reads_the_same_however_it_was_encoded(raw: bytes) -> None:
    assert comment(raw) == RECIPE


@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_a_comment_without_a_latin_letter_is_read_in_the_order_that_makes_words(order: str) -> None:
    text = "一只红色的狐狸在雪地里，杰作"
    assert comment(b"UNICODE\0" + text.encode(order)) == text


def test_a_japanese_comment_is_read() -> None:
    assert comment(b"JIS\0\0\0\0\0" + "赤い狐".encode("iso2022_jp")) == "赤い狐"


def test_exif_tags_hold_utf8_and_nuls_at_both_ends_are_no_part_of_it() -> None:
    raw = b"\0\0\0\0" + "für".encode() + b"\0"
    assert text_of(Carrier(place="webp:exif", key="ImageDescription", raw=raw)) == "für"
    assert text_of(Carrier(place="jpeg:exif", key="XPComment", raw="für\0".encode("utf-16-le"))) == "für"


def test_a_chinese_text_is_not_taken_for_a_damaged_one() -> None:
    text = "一只红色的狐狸"
    assert text_of(Carrier(place="jpeg:exif", key="ImageDescription", raw=text.encode())) == text


def test_texts_of_png_are_utf8_where_they_can_be() -> None:
    assert text_of(Carrier(place="png:tEXt", key="parameters", raw="für".encode())) == "für"
    assert text_of(Carrier(place="png:tEXt", key="parameters", raw="für".encode("latin-1"))) == "für"
    assert text_of(Carrier(place="png:tEXt", key="generation_data", raw=b"{}\0")) == "{}"
    assert text_of(Carrier(place="sidecar:json", key="a.json", raw=b"\xef\xbb\xbf{}")) == "{}"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"1": {}}',
        b'prompt:{"1": {}}\0',
        b'Workflow: {"1": {}}',
        b'WORKFLOW:{"1": {}}',
        b'"{\\"1\\": {}}"',
        b'prompt: "{\\"1\\": {}}"',
        b'\xef\xbb\xbf {"1": {}}\r\n',
    ],
)
def test_a_graph_comes_without_what_savers_put_around_it(raw: bytes) -> None:
    assert graph_text(Carrier(place="webp:exif", key="Make", raw=raw)) == b'{"1": {}}'


def test_a_graph_of_latin1_becomes_utf8() -> None:
    raw = '{"a": "für"}'.encode("latin-1")
    assert graph_text(Carrier(place="png:comf", key="prompt", raw=raw)) == '{"a": "für"}'.encode()


@settings(max_examples=150)
@given(st.binary(max_size=60), st.sampled_from(["UserComment", "Make", "XPComment"]))
def test_any_bytes_are_some_text(raw: bytes, key: str) -> None:
    for place in ("jpeg:exif", "png:tEXt"):
        carrier = Carrier(place=place, key=key, raw=raw)
        assert isinstance(text_of(carrier), str)
        graph_text(carrier).decode("utf-8")
