"""A PNG's pixels unpacked by a faster inflater, and handed on as a PNG that packs nothing.

Two thirds of the time of decoding a plain PNG is inflating it with zlib; ISA-L does the same in a third. libspng takes
files only, so it is given one whose image data are stored. Source: RFC 1951, 3.2.4 (stored blocks); PNG, third edition.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from isal import isal_zlib

from memoryd.plugin_api.png import SIGNATURE

_HEADER = struct.Struct(">IIBBBBB")
_FRAME = struct.Struct(">I4s")
_BLOCK = struct.Struct("<BHH")
_BLOCK_LIMIT = 65_535
_SAMPLES = {2: 3, 6: 4}
"""Colour type -> samples of a pixel: RGB and RGBA."""
_TRAILER = 4
"""Bytes of the check sum behind packed data."""
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of the data of each chunk up to IEND; it ends early where one is cut off."""
    position = len(SIGNATURE)
    while position + 12 <= len(content):
        length, kind = _FRAME.unpack_from(content, position)
        if position + 12 + length > len(content):
            return
        yield kind, position + 8, position + 8 + length
        if kind == b"IEND":
            return
        position += 12 + length


def unpacked(content: bytes) -> bytes | None:
    """Return the same picture with its image data stored, None where it is no plain one (8 bits, RGB or RGBA, not
    interlaced) or cannot be unpacked whole: whoever decodes it then says what is wrong.

    No more than the picture needs is ever unpacked. Chunks beside header and image data are left out.
    """
    view = memoryview(content)
    header, parts, last = b"", [], b""
    for last, start, end in chunks(content):
        if last == b"IHDR":
            header = content[start - 8 : end + 4]
        elif last == b"IDAT":
            parts.append(view[start:end])
    size = _size(header)
    if size is None or last != b"IEND":
        return None
    packed = b"".join(parts)
    unpacking = isal_zlib.decompressobj()
    try:
        rows = unpacking.decompress(packed, size + 1)
    except isal_zlib.error:  # type: ignore[misc]  # a class, as its stubs do not say
        return None
    if len(rows) != size or not unpacking.eof:
        return None
    ended = len(packed) - len(unpacking.unused_data)
    return _stored(header, rows, packed[ended - _TRAILER : ended])


def _size(header: bytes) -> int | None:
    """Bytes of the rows with their filters."""
    if len(header) != 12 + _HEADER.size:
        return None
    width, height, depth, colour, _, _, interlaced = _HEADER.unpack_from(header, 8)
    samples = _SAMPLES.get(colour)
    return None if depth != 8 or samples is None or interlaced else height * (1 + width * samples)


def _stored(header: bytes, rows: bytes, trailer: bytes) -> bytes:
    view = memoryview(rows)
    data: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(rows), _BLOCK_LIMIT):
        block = view[start : start + _BLOCK_LIMIT]
        last = start + _BLOCK_LIMIT >= len(rows)
        data += (_BLOCK.pack(last, len(block), len(block) ^ 0xFFFF), block)
    # The check sum of what is packed stays the same, however it is packed.
    data.append(trailer)
    check = isal_zlib.crc32(b"IDAT")
    for part in data:
        check = isal_zlib.crc32(part, check)
    # Put together once: all of it is several megabytes.
    return b"".join(
        (SIGNATURE, header, _FRAME.pack(sum(map(len, data)), b"IDAT"), *data, check.to_bytes(4, "big"), _END)
    )
