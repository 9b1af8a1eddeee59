"""Damages whole files in the ways that make readers stumble: lengths, cuts, repeats, and the words inside."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

GROWTH_LIMIT = 400_000
"""Bytes that a mutated file has at most."""

CHANGES_LIMIT = 8
"""Changes made to one file."""

_NUMBERS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_WORDS = (
    b'{"prompt": ', b'"workflow"', b"[[[[", b"{" * 60, b'"' * 3, b"\\", b"\\ud800", b"NaN", b"1e999", b"-1", b"9" * 400,
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"null", b"true", b'["3", 0]', b"Steps: 20, Seed: -1", b"<lora:x:9e9>",
    b"\xff\xd9", b"IEND", b"moov", b"meta", b"EXIF", b"tEXt", b"<![CDATA[", b"]]>", b"UNICODE\x00",
)  # fmt: skip


def mutated(seeds: Sequence[bytes], chance: random.Random) -> tuple[int, bytes]:
    """Return the number of the seed taken and its damaged content."""
    number = chance.randrange(len(seeds))
    content = bytearray(seeds[number])
    for _ in range(chance.randint(1, CHANGES_LIMIT)):
        chance.choice(_CHANGES)(content, seeds, chance)
        if len(content) < 2:
            content += seeds[number][:40]
    if chance.random() < 0.7:
        _sign(content)
    return number, bytes(content[:GROWTH_LIMIT])


def _sign(content: bytearray) -> None:
    """Make a PNG's checksums right again: else most damage ends at the first one."""
    place = 8
    while content[:4] == b"\x89PNG" and place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        if end + 4 > len(content):
            return
        content[end : end + 4] = zlib.crc32(content[place + 4 : end]).to_bytes(4, "big")
        place = end + 4


def _place(content: bytearray, chance: random.Random) -> int:
    # Heads hold the lengths that everything else hangs on.
    reach = chance.choice((64, 512, 4096, len(content)))
    return chance.randrange(max(1, min(reach, len(content))))


def _flip(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _set(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    content[_place(content, chance)] = chance.randrange(256)


def _number(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    place = _place(content, chance)
    value = chance.choice((*_NUMBERS, len(content), len(content) - place, chance.getrandbits(32)))
    form, size = chance.choice(((">I", 4), ("<I", 4), (">H", 2), ("<H", 2), (">Q", 8), ("<Q", 8)))
    content[place : place + size] = struct.pack(form, value % (1 << 8 * size))


def _cut(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    if chance.random() < 0.4:
        del content[chance.randrange(1, len(content) + 1) :]


def _remove(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    place = _place(content, chance)
    del content[place : place + chance.choice((1, 2, 4, 8, 64, 1024))]


def _repeat(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    place = _place(content, chance)
    piece = content[place : place + chance.choice((1, 4, 12, 64, 700))]
    content[place:place] = piece * min(chance.choice((1, 2, 9, 300)), GROWTH_LIMIT // max(1, len(piece)))


def _splice(content: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(seeds)
    begin = chance.randrange(len(other))
    place = _place(content, chance)
    piece = other[begin : begin + chance.choice((8, 64, 1024, 16_384))]
    content[place : place + (len(piece) if chance.random() < 0.5 else 0)] = piece


def _word(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    place, word = chance.randrange(len(content)), chance.choice(_WORDS)
    content[place : place + (len(word) if chance.random() < 0.5 else 0)] = word


def _digits(content: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    place = next((at for at in range(_place(content, chance), len(content)) if 0x30 <= content[at] <= 0x39), None)
    if place is not None:
        content[place : place + 1] = chance.choice(
            (b"-1", b"1e400", b"18446744073709551616", b'"x"', b"null", b"[]", b"{}")
        )


_Change = Callable[[bytearray, Sequence[bytes], random.Random], None]
_CHANGES: tuple[_Change, ...] = (_flip, _set, _number, _number, _cut, _remove, _repeat, _splice, _word, _digits)
