"""EXIF: the tags of a TIFF directory that hold words, wherever a container keeps them.

Source: TIFF 6.0, Exif 3.0. Not believed: value types (writers put UTF-8 into ASCII, and text into any type).
"""

from __future__ import annotations

import dataclasses
import operator
import struct
from collections.abc import Callable

from memoryd.plugin_api.container import Walk
from memoryd.plugin_api.iptc import read_iptc, read_photoshop

ENTRIES_LIMIT = 2_000
"""Entries of one directory. Cameras write below 200."""

DIRECTORIES_LIMIT = 64
"""Directories of one file; a scan of many pages links more, whose words are not looked for."""

MAKER_NOTE_LIMIT = 4_096
"""Bytes of a MakerNote that is looked at: cameras keep binary notes there, generators a word."""

_EXIF_DIRECTORY = 0x8769
_XMP = 0x02BC
_IPTC = 0x83BB
_PHOTOSHOP = 0x8649
_C2PA = 0xCD41
_MAKER_NOTE = 0x927C
_USER_COMMENT = 0x9286

_NAMES = {
    0x010D: "DocumentName",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x0132: "DateTime",
    0x013B: "Artist",
    0x013C: "HostComputer",
    0x8298: "Copyright",
    0x9003: "DateTimeOriginal",
    0x9004: "DateTimeDigitized",
    _MAKER_NOTE: "MakerNote",
    _USER_COMMENT: "UserComment",
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9C9D: "XPAuthor",
    0x9C9E: "XPKeywords",
    0x9C9F: "XPSubject",
}
_ALWAYS = frozenset(_NAMES) - {_MAKER_NOTE}
_WORDS = frozenset((2, 129))
"""Types that hold words whatever the tag: ASCII, and UTF-8 since Exif 3.0."""

_DATA_ARRAYS = {0x111: 0x117, 0x144: 0x145}
"""Tags that say where the picture's strips or tiles lie, and those that say how long they are."""

STRIPS_LIMIT = 1_000_000
"""Strips or tiles of one picture: 256 gigapixels in tiles of 512."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}

_GRAPH_WORDS = (b"prompt:{", b"workflow:{")

Bytes = Callable[[int, int], bytes]
"""Gives the bytes from an offset, fewer where they end."""


@dataclasses.dataclass(slots=True)
class Directories:
    """What the first directory says in numbers, and how far the file reaches by what its directories point to."""

    numbers: dict[int, int] = dataclasses.field(default_factory=dict)
    reach: int = 0
    count: int = 0
    cut_off: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    at: Bytes
    order: str
    big: bool

    def number(self, offset: int, length: int) -> int | None:
        raw = self.at(offset, length)
        if len(raw) < length:
            return None
        return int.from_bytes(raw, "little" if self.order == "<" else "big")

    def numbers(self, raw: bytes, width: int) -> list[int]:
        words = {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
        return [number for (number,) in struct.iter_unpack(self.order + words, raw[: len(raw) // width * width])]


def read_exif(walk: Walk, blob: bytes) -> None:
    """Carry the words of an EXIF block (with or without `Exif\\0\\0` before it) as `<container>:exif`."""
    if blob[:4] == b"Exif":
        blob = blob[6:]
    if blob[:4] not in (b"II*\x00", b"MM\x00*"):
        if walk.with_texts and blob.strip(b"\x00"):
            walk.find("exif-malformed", "the EXIF block does not begin as one", "exif")
        return
    before = len(walk.carriers)
    read_directories(walk, lambda offset, length: blob[offset : offset + length] if offset >= 0 else b"")
    for word in _GRAPH_WORDS:
        place = blob.find(b"\x00" + word) + 1
        if place and not any(carrier.raw.startswith(word) for carrier in walk.carriers[before:]):
            _restore(walk, before, _whole(blob[place:]))


def _whole(rest: bytes) -> bytes:
    """The graph at the beginning of `rest`: to the first NUL, or over it where a stray one stands inside."""
    first = rest.partition(b"\x00")[0]
    return first if first.rstrip().endswith(b"}") else rest[: rest.rfind(b"}") + 1] or first


def _restore(walk: Walk, before: int, raw: bytes) -> None:
    """Keep a graph in place of the bytes that its tag points to: some programs change the length of one value and leave
    the places of those behind it.
    """
    for index, carrier in enumerate(walk.carriers[before:], before):
        if carrier.key in ("Make", "Model") and not carrier.raw.startswith(_GRAPH_WORDS):
            walk.carriers[index] = dataclasses.replace(carrier, raw=raw)
            walk.find("tag-misplaced", "a tag's value does not lie where the tag says", carrier.key)
            return


def read_directories(walk: Walk, at: Bytes) -> Directories | None:
    """Carry the words of all directories; return their numbers, None where the bytes begin no TIFF."""
    head = at(0, 16)
    orders = {b"II": "<", b"MM": ">"}
    order = orders.get(head[:2])
    if order is None or len(head) < 8:
        return None
    magic = struct.unpack(f"{order}H", head[2:4])[0]
    big = magic == 43
    if magic not in (42, 43) or (big and len(head) < 16):
        return None
    layout = _Layout(at=at, order=order, big=big)
    first = layout.number(8, 8) if big else layout.number(4, 4)
    seen = Directories()
    waiting = [first or 0]
    visited: set[int] = set()
    while waiting and seen.count < DIRECTORIES_LIMIT:
        offset = waiting.pop(0)
        if offset in visited or offset < 8:
            continue
        visited.add(offset)
        seen.count += 1
        waiting += _directory(walk, layout, offset, seen)
    return seen


def _directory(walk: Walk, layout: _Layout, offset: int, seen: Directories) -> list[int]:
    """Read one directory; return where others lie."""
    width = 20 if layout.big else 12
    start = offset + (8 if layout.big else 2)
    count = layout.number(offset, start - offset)
    if count is None:
        seen.cut_off = True
        return []
    if count > ENTRIES_LIMIT:
        walk.find("too-many-tags", f"a directory of {count} tags (ENTRIES_LIMIT is {ENTRIES_LIMIT})", "exif")
        return []
    table = layout.at(start, count * width)
    seen.reach = max(seen.reach, start + count * width)
    seen.cut_off = seen.cut_off or len(table) < count * width
    entry = struct.Struct(f"{layout.order}HHQ8s" if layout.big else f"{layout.order}HHI4s")
    others: list[int] = []
    arrays: dict[int, list[int]] = {}
    for tag, kind, length, inline in entry.iter_unpack(table[: len(table) // width * width]):
        size = _SIZES.get(kind)
        if size is None:
            continue
        total = length * size
        room = len(inline)
        place = int.from_bytes(inline, "little" if layout.order == "<" else "big")
        if total > room:
            seen.reach = max(seen.reach, place + total)
        if tag in _DATA_ARRAYS or tag in _DATA_ARRAYS.values():
            arrays[tag] = layout.numbers(
                inline if total <= room else layout.at(place, min(total, 8 * STRIPS_LIMIT)), size
            )
        elif kind in (1, 3, 4, 13, 16, 18) and length == 1:
            number = int.from_bytes(inline[:size], "little" if layout.order == "<" else "big")
            if seen.count == 1:
                seen.numbers[tag] = number
            if tag == _EXIF_DIRECTORY:
                others.append(number)
                continue
        _take(walk, layout, tag, kind, total, None if total > room else inline[:total], place)
    for offsets, lengths in _DATA_ARRAYS.items():
        ends = map(operator.add, arrays.get(offsets, ()), arrays.get(lengths, ()))
        seen.reach = max(seen.reach, max(ends, default=0))
    following = layout.number(start + count * width, 8 if layout.big else 4)
    return [*others, following] if following else others


def _take(walk: Walk, layout: _Layout, tag: int, kind: int, total: int, inline: bytes | None, place: int) -> None:
    if tag == _C2PA:
        walk.has_manifest = True
        return
    wanted = kind in _WORDS or tag in _ALWAYS or tag in (_XMP, _IPTC, _PHOTOSHOP, _MAKER_NOTE)
    if not wanted or total == 0 or (tag == _MAKER_NOTE and total > MAKER_NOTE_LIMIT):
        return
    name = _NAMES.get(tag, f"0x{tag:04x}")
    if not walk.fits(total, f"exif {name}"):
        return
    raw = layout.at(place, total) if inline is None else inline
    if len(raw) < total:
        walk.find("text-cut-off", f"a tag of {total} bytes reaches beyond the end: its beginning is kept", name)
    if not raw:
        return
    if tag == _XMP:
        walk.carry("xmp", "XML:com.adobe.xmp", raw)
    elif tag == _IPTC:
        read_iptc(walk, raw)
    elif tag == _PHOTOSHOP:
        read_photoshop(walk, raw)
    elif tag != _MAKER_NOTE or _is_words(raw):
        walk.carry("exif", name, raw)


def _is_words(raw: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in raw.rstrip(b"\x00"))
