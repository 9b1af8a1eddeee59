"""JPEG files: the segments before the picture, its size, and whether its end is there.

Source: ITU-T T.81; Exif 3.0; XMP part 3 (extended packets); C2PA 2 (JUMBF in APP11).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from memoryd.plugin_api.container import TEXT_LIMIT, Structure, Walk
from memoryd.plugin_api.exif import read_exif
from memoryd.plugin_api.iptc import read_photoshop

SIGNATURE = b"\xff\xd8\xff"

TAIL_SIZE = 4_096
"""Bytes at the end in which the end marker is looked for before the whole picture is searched."""

PIECE = 2**20

GAP_LIMIT = 4_096
"""Bytes between two segments that are passed over, as decoders do."""

EXIF_SEGMENTS_LIMIT = 600
"""Segments of one EXIF block: TEXT_LIMIT in pieces of 64 KB."""

_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\x00"
_PHOTOSHOP = b"Photoshop 3.0\x00"
_END = b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))


def read_jpeg(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the JPEG in a seekable stream says, from its start. Never raises for what is in it, but for OSError."""
    walk = Walk(stream, "jpeg", "image/jpeg", with_texts=texts)
    head = walk.at(0, 3)
    if not SIGNATURE.startswith(head):
        return walk.broken("the file does not begin as a JPEG does")
    exif: list[bytes] = []
    xmp: list[bytes] = []
    position = 2
    while walk.step():
        marker = walk.at(position, 4)
        if len(marker) < 2:
            return walk.truncated()
        if marker[0] != 0xFF:
            gap = walk.at(position, GAP_LIMIT).find(b"\xff")
            if gap < 0:
                return walk.broken("bytes where a segment must begin", f"byte {position}")
            walk.find("bytes-between-segments", f"{gap} bytes where a segment must begin", f"byte {position}")
            position += gap
            continue
        code = marker[1]
        if code == 0xFF:  # padding
            position += 1
            continue
        if code in _ALONE:
            position += 2
            continue
        if code == 0xD9:
            return walk.broken("the end comes before any picture") if walk.width is None else walk.complete()
        if len(marker) < 4:
            return walk.truncated()
        length = struct.unpack(">H", marker[2:])[0]
        if length < 2:
            return walk.broken("a segment shorter than its own length", f"byte {position}")
        start, end = position + 4, position + 2 + length
        if end > walk.size:
            return walk.truncated()
        if code in _FRAMES:
            height, width = struct.unpack(">xHH", walk.at(start, 5).ljust(5, b"\x00"))
            walk.width, walk.height = walk.width or width, walk.height or height
        elif code == 0xDA:
            break
        elif texts or code == 0xEB:
            _take(walk, code, start, length - 2, exif, xmp)
        position = end
    if walk.width is None:
        return walk.broken("the picture begins without its size")
    if exif:
        read_exif(walk, b"".join(exif))
    if xmp:
        walk.carry("xmp", "XML:com.adobe.xmp", b"\n".join(xmp))
    return walk.complete() if _ends(walk, position) else walk.truncated()


def _take(walk: Walk, code: int, start: int, length: int, exif: list[bytes], xmp: list[bytes]) -> None:
    if code == 0xE1:
        data = walk.at(start, length)
        if data[:4] == b"Exif":
            # A block beyond 64 KB goes on in further segments, without a beginning of its own.
            goes_on = bool(exif) and data[6:10] not in (b"II*\x00", b"MM\x00*")
            if len(exif) < EXIF_SEGMENTS_LIMIT and (not exif or goes_on):
                exif.append(data[6:] if exif else data)
        elif data.startswith(_XMP):
            xmp.insert(0, data[len(_XMP) :])
        elif data.startswith(_EXTENDED):
            _extend(xmp, data[len(_EXTENDED) + 40 :])
    elif code == 0xED:
        data = walk.at(start, length)
        if data.startswith(_PHOTOSHOP):
            read_photoshop(walk, data[len(_PHOTOSHOP) :])
    elif code == 0xEB:
        walk.has_manifest = walk.has_manifest or b"c2pa" in walk.at(start, min(length, 512))
    elif code == 0xFE:
        walk.carry("com", "comment", walk.at(start, length))


def _extend(xmp: list[bytes], piece: bytes) -> None:
    """Pieces come in order as a rule; what is out of order is kept where it stands."""
    if not xmp:
        xmp.append(b"")
    if len(xmp) == 1:
        xmp.append(b"")
    if len(xmp[1]) + len(piece) <= TEXT_LIMIT:
        xmp[1] += piece


def _ends(walk: Walk, position: int) -> bool:
    """Tell whether the end marker follows the picture; within a picture's data these two bytes cannot stand."""
    if walk.at(max(position, walk.size - TAIL_SIZE), TAIL_SIZE).rstrip(b"\x00").endswith(_END):
        return True
    before = b""
    while position < walk.size:
        piece = walk.at(position, PIECE)
        if _END in before + piece[:1] or _END in piece:
            return True
        before, position = piece[-1:], position + len(piece)
    return False
