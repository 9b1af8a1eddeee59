"""OpenEXR headers: their words, the data window, and whether all of the picture is there.

Source: OpenEXR file layout (openexr.com): a header ends with a NUL, the headers of a file of many parts with another one.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk

SIGNATURE = b"v/1\x01"

ATTRIBUTES_LIMIT = 10_000
"""Attributes of all headers of one file."""

PARTS_OF_ONE_LIMIT = 1_000
"""Parts (layers, eyes) of one file."""

NAME_LIMIT = 256
"""Bytes of a name or type: 31, or 255 where the file says that its names are long."""

CHUNKS_LIMIT = 4_000_000
"""Chunks of one part whose places are looked at."""

_TILED, _DEEP, _MANY_PARTS = 0x200, 0x800, 0x1000
_LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256, 10: 32}
"""Lines of one chunk by the kind of compression."""


@dataclasses.dataclass(slots=True)
class _Part:
    """What one header says that decides how many chunks follow."""

    attributes: int = 0
    width: int = 0
    height: int = 0
    compression: int = 0
    chunks: int | None = None
    kind: bytes = b""
    tile: tuple[int, int, int] | None = None


def read_exr(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the EXR in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "exr", "image/x-exr", with_texts=texts)
    head = walk.at(0, 8)
    if not SIGNATURE.startswith(head[:4]):
        return walk.broken("the file does not begin as an EXR does")
    if len(head) < 8:
        return walk.truncated()
    flags = struct.unpack("<I", head[4:])[0]
    parts: list[_Part] = []
    position = 8
    while len(parts) < PARTS_OF_ONE_LIMIT:
        part, end = _header(walk, position)
        if part is None:
            return walk.truncated("header") if end >= walk.size else walk.broken("its header cannot be read", "header")
        parts.append(part)
        position = end
        if not flags & _MANY_PARTS:
            break
        following = walk.at(position, 1)
        if not following:
            return walk.truncated("header")
        if following == b"\x00":
            position += 1
            break
    if not parts[0].width or not parts[0].height:
        return walk.broken("its header has no data window", "header")
    walk.width, walk.height = parts[0].width, parts[0].height
    whole = _chunks_are_there(walk, parts, position, flags)
    return walk.complete() if whole else walk.truncated()


def _header(walk: Walk, position: int) -> tuple[_Part | None, int]:
    """One header and the place after it; None where it cannot be read, with the place that was missing."""
    part = _Part()
    while part.attributes < ATTRIBUTES_LIMIT and walk.step():
        head = walk.at(position, 2 * NAME_LIMIT + 8)
        if head[:1] == b"\x00":
            return part, position + 1
        name, found, rest = head.partition(b"\x00")
        kind, found_kind, rest = rest.partition(b"\x00")
        if not found or not found_kind or len(rest) < 4:
            return None, position + len(head)
        if len(name) >= NAME_LIMIT or len(kind) >= NAME_LIMIT:
            return None, position
        length = struct.unpack("<i", rest[:4])[0]
        start = position + len(name) + len(kind) + 6
        if length < 0:
            return None, position
        if start + length > walk.size:
            return None, walk.size
        part.attributes += 1
        if kind == b"string" and walk.fits(length, "attribute"):
            walk.carry("attribute", name.decode("utf-8", "replace"), walk.at(start, length))
        _note(walk, part, name, kind, walk.at(start, min(length, 32)))
        position = start + length
    return None, position


def _note(walk: Walk, part: _Part, name: bytes, kind: bytes, value: bytes) -> None:
    if name == b"dataWindow" and len(value) >= 16:
        left, top, right, bottom = struct.unpack("<4i", value[:16])
        part.width, part.height = max(0, right - left + 1), max(0, bottom - top + 1)
    elif name == b"compression" and value:
        part.compression = value[0]
    elif name == b"chunkCount" and len(value) >= 4:
        part.chunks = struct.unpack("<i", value[:4])[0]
    elif name == b"type" and kind == b"string":
        part.kind = value
    elif name == b"tiles" and len(value) >= 9:
        part.tile = struct.unpack("<IIB", value[:9])


def _chunks_are_there(walk: Walk, parts: list[_Part], position: int, flags: int) -> bool:
    """Tell by the tables of places, which are filled in when the picture is, and by the chunk that lies last."""
    last, number, last_part = 0, 0, parts[0]
    for part in parts:
        count = _count(walk, part, position, flags)
        if not 0 < count <= CHUNKS_LIMIT:
            return count > 0
        table = walk.at(position, 8 * count)
        if len(table) < 8 * count:
            return False
        places = struct.unpack(f"<{count}Q", table)
        if 0 in places:
            return False
        if max(places) > last:
            last, last_part = max(places), part
        number += count
        position += 8 * count
    return last < position or _chunk_end(walk, last_part, last, flags) <= walk.size


def _count(walk: Walk, part: _Part, position: int, flags: int) -> int:
    if part.chunks is not None:
        return part.chunks
    if part.tile is None:
        lines = _LINES.get(part.compression, 1)
        return -(-part.height // lines)
    across, down, mode = part.tile
    if mode & 15 == 0 and across and down:
        return -(-part.width // across) * -(-part.height // down)
    # Many levels: the first chunk lies behind the table.
    first = int.from_bytes(walk.at(position, 8), "little")
    return max(0, first - position) // 8


def _chunk_end(walk: Walk, part: _Part, place: int, flags: int) -> int:
    if flags & _MANY_PARTS:
        place += 4
    place += 16 if part.tile is not None else 4
    if flags & _DEEP or part.kind.startswith(b"deep"):
        sizes = walk.at(place, 24)
        if len(sizes) < 24:
            return walk.size + 1
        table, data, _ = struct.unpack("<3Q", sizes)
        return int(place + 24 + table + data)
    size = walk.at(place, 4)
    return place + 4 + int.from_bytes(size, "little") if len(size) == 4 else walk.size + 1
