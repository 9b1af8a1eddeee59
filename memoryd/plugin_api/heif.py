"""AVIF and HEIF pictures: the EXIF and XMP items, and the size of the picture that is shown.

Source: ISO/IEC 23008-12 (HEIF), ISO/IEC 14496-12 (item locations).
"""

from __future__ import annotations

import dataclasses
import struct
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.exif import read_exif
from memoryd.plugin_api.isobmff import Box, boxes, brands, children, is_box_type, take_uuid
from memoryd.plugin_api.mp4 import sample_count

ITEMS_LIMIT = 20_000
"""Items of one file: a picture of 100 megapixels in tiles of 512 has 400."""

EXTENTS_LIMIT = 1_000
"""Pieces of one item."""

_AVIF = (b"avif", b"avis")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_XMP_TYPE = b"application/rdf+xml"


@dataclasses.dataclass(slots=True)
class _Items:
    """What `meta` tells of the items."""

    primary: int | None = None
    exif: list[int] = dataclasses.field(default_factory=list)
    xmp: list[int] = dataclasses.field(default_factory=list)
    places: dict[int, list[tuple[int, int]]] = dataclasses.field(default_factory=dict)
    in_meta: set[int] = dataclasses.field(default_factory=set)
    store: Box | None = None
    sizes: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    properties: dict[int, list[int]] = dataclasses.field(default_factory=dict)
    reach: int = 0


def is_avif(head: bytes) -> bool:
    """Tell an AVIF by its brands."""
    found = brands(head)
    return found[:1] in ((b"avif",), (b"avis",)) or (
        found[:1] in ((b"mif1",), (b"msf1",)) and set(_AVIF) & set(found) != set()
    )


def is_heif(head: bytes) -> bool:
    """Tell a HEIF or AVIF by its brands."""
    return any(found in _AVIF or found in _HEIF for found in brands(head)[:1])


def read_heif(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the AVIF or HEIF in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "heif", "image/heif", with_texts=texts)
    head = walk.at(0, 256)
    if len(head) < 16:
        return walk.truncated()
    if not is_heif(head):
        return walk.broken("the file does not begin as a HEIF does")
    if is_avif(head):
        walk.container, walk.media_type = "avif", "image/avif"
    elif head[8:11] == b"hei":
        walk.media_type = "image/heic"
    items: _Items | None = None
    for box in boxes(walk, 0, walk.size):
        if box.end > walk.size:
            return walk.truncated(box.type.decode("latin-1"))
        if not is_box_type(box.type):
            break
        if box.type == b"meta" and items is None:
            items = _items(walk, box)
        elif box.type == b"moov":
            tracks = (
                media for track in children(walk, box) for media in children(walk, track) if media.type == b"mdia"
            )
            walk.frames = max((sample_count(walk, media, b"pict") or 0 for media in tracks), default=0) or None
        elif box.type == b"uuid":
            take_uuid(walk, box)
    if items is None or items.reach > walk.size:
        return walk.truncated("meta" if items is None else "")
    walk.width, walk.height = _size(items)
    for number in items.exif:
        _take_exif(walk, _content(walk, items, number))
    for number in items.xmp:
        if packet := _content(walk, items, number):
            walk.carry("xmp", "XML:com.adobe.xmp", packet.removeprefix(b"http://ns.adobe.com/xap/1.0/\x00"))
    return walk.complete()


def _items(walk: Walk, meta: Box) -> _Items:
    items = _Items()
    for box in children(walk, meta, skip=4):
        data = b""
        if box.type in (b"pitm", b"iloc", b"iinf") and box.length <= 2**24:
            data = walk.at(box.start, box.length)
        if box.type == b"pitm":
            items.primary = int.from_bytes(data[4 : 8 if data[:1] == b"\x01" else 6], "big")
        elif box.type == b"iinf":
            _entries(walk, box, items)
        elif box.type == b"iloc":
            _locations(data, items)
        elif box.type == b"idat":
            items.store = box
        elif box.type == b"iprp":
            for part in children(walk, box):
                if part.type == b"ipco":
                    for number, entry in zip(range(1, ITEMS_LIMIT), children(walk, part), strict=False):
                        if entry.type == b"ispe":
                            size = struct.unpack(">II", walk.at(entry.start + 4, 8).ljust(8, b"\x00"))
                            items.sizes[number] = (size[0], size[1])
                elif part.type == b"ipma" and part.length <= 2**24:
                    _associations(walk.at(part.start, part.length), items)
    return items


def _entries(walk: Walk, box: Box, items: _Items) -> None:
    version = walk.at(box.start, 1)
    for _, entry in zip(range(ITEMS_LIMIT), children(walk, box, skip=6 if version == b"\x00" else 8), strict=False):
        if entry.type != b"infe":
            continue
        data = walk.at(entry.start, min(entry.length, 512))
        if data[:1] not in (b"\x02", b"\x03"):
            continue
        wide = 4 if data[:1] == b"\x03" else 2
        number = int.from_bytes(data[4 : 4 + wide], "big")
        kind, rest = data[6 + wide : 10 + wide], data[10 + wide :]
        if kind == b"Exif":
            items.exif.append(number)
        elif kind == b"mime" and _XMP_TYPE in rest:
            items.xmp.append(number)


def _locations(data: bytes, items: _Items) -> None:
    """`iloc`: every item's pieces, as offset and length in the file or in `idat`."""
    if len(data) < 8:
        return
    version = data[0]
    offset_size, length_size = data[4] >> 4, data[4] & 15
    base_size, index_size = data[5] >> 4, data[5] & 15 if version in (1, 2) else 0
    place = 6
    wide = 4 if version == 2 else 2

    def number(size: int) -> int:
        nonlocal place
        value = int.from_bytes(data[place : place + size], "big")
        place += size
        return value

    for _ in range(min(number(wide), ITEMS_LIMIT)):
        item = number(wide)
        method = number(2) & 15 if version in (1, 2) else 0
        place += 2  # a reference to data elsewhere
        base, count = number(base_size), number(2)
        pieces = []
        for _ in range(min(count, EXTENTS_LIMIT)):
            place += index_size
            pieces.append((base + number(offset_size), number(length_size)))
        if place > len(data):
            return
        items.places[item] = pieces
        if method == 1:
            items.in_meta.add(item)
        elif method == 0:
            items.reach = max(items.reach, *(offset + length for offset, length in pieces), 0)


def _associations(data: bytes, items: _Items) -> None:
    """`ipma`: which properties belong to which item."""
    if len(data) < 8:
        return
    wide_item, wide_property = data[0] >= 1, data[3] & 1
    place = 8
    for _ in range(min(int.from_bytes(data[4:8], "big"), ITEMS_LIMIT)):
        size = 4 if wide_item else 2
        item = int.from_bytes(data[place : place + size], "big")
        place += size
        count = data[place] if place < len(data) else 0
        place += 1
        width = 2 if wide_property else 1
        mask = 0x7FFF if wide_property else 0x7F
        items.properties[item] = [
            int.from_bytes(data[at : at + width], "big") & mask for at in range(place, place + count * width, width)
        ]
        place += count * width
        if place >= len(data):
            return


def _size(items: _Items) -> tuple[int | None, int | None]:
    for number in items.properties.get(items.primary or 0, ()):
        if number in items.sizes:
            return items.sizes[number]
    return max(items.sizes.values(), default=(None, None))


def _content(walk: Walk, items: _Items, item: int) -> bytes:
    pieces = items.places.get(item, [])
    begin, end = 0, walk.size
    if item in items.in_meta:
        if items.store is None:
            return b""
        begin, end = items.store.start, items.store.end
    found = []
    for offset, length in pieces:
        length = length or end - begin - offset
        if not walk.fits(length, "item"):
            return b""
        found.append(walk.at(begin + offset, length))
    return b"".join(found)


def _take_exif(walk: Walk, data: bytes) -> None:
    if len(data) < 8:
        return
    skip = 4 + int.from_bytes(data[:4], "big")
    if data[skip : skip + 2] in (b"II", b"MM"):
        read_exif(walk, data[skip:])
    else:
        read_exif(walk, data[4:])
