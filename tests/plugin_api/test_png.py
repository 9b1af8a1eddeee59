from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import pytest

from memoryd.plugin_api import png
from memoryd.plugin_api.container import TEXT_LIMIT
from memoryd.plugin_api.facts import Completeness
from memoryd.plugin_api.png import SIGNATURE, PngStructure, read_png

HEADER = struct.pack(">IIBBBBB", 4, 3, 8, 2, 0, 0, 0)
PIXELS = zlib.compress(b"\x00" * 39)


def chunk(kind: bytes, data: bytes = b"", *, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def file_of(*chunks: bytes, end: bytes = b"") -> bytes:
    return SIGNATURE + chunk(b"IHDR", HEADER) + b"".join(chunks) + chunk(b"IDAT", PIXELS) + chunk(b"IEND") + end


def read(content: bytes) -> PngStructure:
    return read_png(io.BytesIO(content))


def codes(structure: PngStructure) -> list[str]:
    return [finding.code for finding in structure.findings]


def test_all_kinds_of_text_come_verbatim_and_in_file_order() -> None:
    content = (
        SIGNATURE
        + chunk(b"IHDR", HEADER)
        + chunk(b"tEXt", 'prompt\0{"a": "é"}'.encode())
        + chunk(b"zTXt", b"packed\0\0" + zlib.compress(b"long " * 100))
        + chunk(b"IDAT", PIXELS)
        + chunk(b"iTXt", b"plain\0\0\0en\0key\0" + "狐狸".encode())
        + chunk(b"iTXt", b"small\0\1\0\0\0" + zlib.compress(b"x"))
        + chunk(b"comf", b"workflow\0{}")
        + chunk(b"tEXt", b"prompt\0second")
        + chunk(b"IEND")
    )
    structure = read(content)
    assert structure.completeness is Completeness.COMPLETE
    assert [(text.place, text.key, text.raw) for text in structure.texts] == [
        ("png:tEXt", "prompt", '{"a": "é"}'.encode()),
        ("png:zTXt", "packed", b"long " * 100),
        ("png:iTXt", "plain", "狐狸".encode()),
        ("png:iTXt", "small", b"x"),
        ("png:comf", "workflow", b"{}"),
        ("png:tEXt", "prompt", b"second"),
    ]
    assert structure.findings == ()
    assert structure.header is not None
    assert (structure.header.width, structure.header.height) == (4, 3)


def test_image_data_are_sought_over_and_never_read() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    stream = Counting(
        SIGNATURE
        + chunk(b"IHDR", HEADER)
        + chunk(b"IDAT", b"\0" * 5_000_000)
        + chunk(b"tEXt", b"a\0b")
        + chunk(b"IEND")
    )
    assert read_png(stream).texts[0].raw == b"b"
    assert stream.taken < 200


def test_a_text_of_sixty_megabytes_is_a_finding_and_the_rest_is_read() -> None:
    structure = read(file_of(chunk(b"tEXt", b"prompt\0" + b"x" * 60_000_000), chunk(b"tEXt", b"workflow\0{}")))
    assert codes(structure) == ["text-too-large"]
    assert "TEXT_LIMIT" in structure.findings[0].detail
    assert [text.key for text in structure.texts] == ["workflow"]
    assert structure.completeness is Completeness.COMPLETE


def test_a_bomb_is_not_inflated_beyond_the_limit() -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\0" * 10_000_000) for _ in range(10)) + packer.flush()
    assert len(packed) < 200_000
    structure = read(file_of(chunk(b"zTXt", b"prompt\0\0" + packed), chunk(b"iTXt", b"other\0\1\0\0\0" + packed)))
    assert codes(structure) == ["text-too-large", "text-too-large"]
    assert structure.texts == ()


def test_all_texts_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "ALL_TEXTS_LIMIT", 1000)
    texts = [chunk(b"tEXt", f"k{number}\0".encode() + b"x" * 400) for number in range(3)]
    structure = read(file_of(*texts, chunk(b"zTXt", b"z\0\0" + zlib.compress(b"y" * 400))))
    assert [text.key for text in structure.texts] == ["k0", "k1"]
    assert [finding.detail.split()[-1] for finding in structure.findings] == ["ALL_TEXTS_LIMIT"] * 2


def test_too_many_texts_are_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "TEXTS_LIMIT", 5)
    structure = read(file_of(*[chunk(b"tEXt", b"k\0v")] * 50))
    assert len(structure.texts) == 5
    assert codes(structure) == ["too-many-texts"]


def test_too_many_chunks_are_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "CHUNKS_LIMIT", 10)
    assert read(file_of(*[chunk(b"abCd")] * 20)).completeness is Completeness.BROKEN


def test_a_text_with_a_wrong_checksum_is_kept_and_told() -> None:
    structure = read(file_of(chunk(b"tEXt", b"prompt\0{}", checksum=1)))
    assert structure.texts[0].raw == b"{}"
    assert codes(structure) == ["checksum-wrong"]


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"zTXt", b"key\0\0not deflate"),
        chunk(b"zTXt", b"key\0\7" + zlib.compress(b"x")),
        chunk(b"zTXt", b"key\0"),
        chunk(b"iTXt", b"key\0\0\0no parts"),
    ],
)
def test_a_malformed_text_is_a_finding(text: bytes) -> None:
    structure = read(file_of(text))
    assert codes(structure) == ["text-malformed"]
    assert structure.completeness is Completeness.COMPLETE


def test_a_text_without_a_key_is_a_finding() -> None:
    assert codes(read(file_of(chunk(b"tEXt", b"no key here")))) == ["text-without-key"]


def test_bytes_after_the_end_are_counted_and_told() -> None:
    structure = read(file_of(end=b"PK\3\4 a hidden archive"))
    assert structure.trailing == 21
    assert codes(structure) == ["bytes-after-end"]
    assert structure.completeness is Completeness.COMPLETE


def test_texts_appended_behind_the_end_are_read() -> None:
    structure = read(file_of(end=chunk(b"tEXt", b"workflow\0{}") + b"and more"))
    assert [(text.place, text.key, text.raw) for text in structure.texts] == [("png:tEXt", "workflow", b"{}")]
    assert codes(structure) == ["bytes-after-end"]
    assert structure.completeness is Completeness.COMPLETE


def test_every_cut_of_a_file_is_partial(files: Path) -> None:
    content = (files / "comfyui" / "images" / "modelfree_extra_chunks.png").read_bytes()
    for cut in range(len(content)):
        assert read(content[:cut]).completeness is Completeness.PARTIAL, cut
    assert read(content).completeness is Completeness.COMPLETE


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a" + b"\0" * 100,
        SIGNATURE + b"\0" * 100,
        SIGNATURE + chunk(b"tEXt", b"a\0b"),
        SIGNATURE + chunk(b"IHDR", HEADER, checksum=7),
        SIGNATURE + chunk(b"IHDR", HEADER[:12]),
        SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 3, 8, 2, 0, 0, 0)),
        SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 7, 2, 0, 0, 0)),
        SIGNATURE + chunk(b"IHDR", HEADER) * 2,
        SIGNATURE + chunk(b"IHDR", HEADER) + b"\xff\xff\xff\xffIDAT",
        SIGNATURE + chunk(b"IHDR", HEADER) + chunk(b"IEND"),
        SIGNATURE + chunk(b"IHDR", HEADER) + b"\0\0\0\1\0\1\2\3rest",
    ],
)
def test_what_can_never_become_a_png_is_broken(content: bytes) -> None:
    structure = read(content)
    assert structure.completeness is Completeness.BROKEN
    assert codes(structure) == ["broken-png"]


def test_an_animated_png_says_how_many_frames() -> None:
    structure = read(file_of(chunk(b"acTL", struct.pack(">II", 12, 0))))
    assert structure.frames == 12
    assert TEXT_LIMIT == 32 * 1024 * 1024


class _Elsewhere(io.BytesIO):
    """Bytes that are not surely in memory: they are walked through as a file is."""


def test_a_plain_file_in_memory_is_read_as_from_anywhere(files: Path) -> None:
    chance = random.Random(5)
    for path in sorted(files.rglob("*.png")):
        whole = path.read_bytes()
        for _ in range(60):
            other = bytearray(whole)
            for _ in range(chance.choice((0, 1, 1, 3))):
                other[chance.randrange(chance.choice((60, len(other))))] = chance.randrange(256)
            cut = bytes(other[: chance.choice((len(other), len(other), chance.randrange(len(other))))])
            assert read_png(io.BytesIO(cut)) == read_png(_Elsewhere(cut))
