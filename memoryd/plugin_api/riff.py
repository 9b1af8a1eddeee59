"""RIFF files: WebP pictures and WAV sounds.

Source: Google's WebP container specification and VP8/VP8L bitstreams; Microsoft's RIFF (INFO lists, `id3 ` chunks).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.exif import read_exif
from memoryd.plugin_api.id3 import read_id3
from memoryd.plugin_api.stealth import hidden_in_webp

WAVE_UNKNOWN_SIZE = 0xFFFFFFFF
"""What a program writes as length that does not know it yet (and RF64, which keeps it elsewhere)."""


def is_webp(head: bytes) -> bool:
    """Tell a WebP by its head."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def is_wav(head: bytes) -> bool:
    """Tell a WAV by its head."""
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"


def read_webp(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the WebP in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "webp", "image/webp", with_texts=texts)
    head = walk.at(0, 12)
    if len(head) < 12:
        return walk.truncated() if _may_become(head, b"WEBP") else walk.broken("the file does not begin as a WebP does")
    if not is_webp(head):
        return walk.broken("the file does not begin as a WebP does")
    end = 8 + struct.unpack("<I", head[4:8])[0]
    animated = lossless_alpha = False
    frames = reach = 0
    for name, start, length in _chunks(walk, 12, min(end, walk.size)):
        reach = start + length
        if name == b"VP8X":
            data = walk.at(start, 10).ljust(10, b"\x00")
            animated = bool(data[0] & 2)
            walk.width = 1 + int.from_bytes(data[4:7], "little")
            walk.height = 1 + int.from_bytes(data[7:10], "little")
        elif name == b"VP8 " and walk.width is None:
            data = walk.at(start, 10)
            if data[3:6] == b"\x9d\x01\x2a":
                width, height = struct.unpack("<HH", data[6:10].ljust(4, b"\x00"))
                walk.width, walk.height = width & 0x3FFF, height & 0x3FFF
        elif name == b"VP8L":
            bits = int.from_bytes(walk.at(start + 1, 4), "little")
            lossless_alpha = bool(bits >> 28 & 1)
            if walk.width is None:
                walk.width, walk.height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif name == b"ANMF":
            frames += 1
        elif name == b"C2PA":
            walk.has_manifest = True
        elif name == b"EXIF" and walk.fits(length, "EXIF"):
            read_exif(walk, walk.at(start, length))
        elif name == b"XMP " and walk.fits(length, "XMP"):
            walk.carry("xmp", "XML:com.adobe.xmp", walk.at(start, length))
    walk.frames = frames if animated and frames else None
    if end > walk.size and reach != walk.size:  # some writers leave out the last padding byte
        return walk.truncated()
    if walk.width is None:
        return walk.broken("there is no picture in it")
    if texts and lossless_alpha and not walk.carriers and not animated:
        hidden_in_webp(walk)
    return walk.complete()


def read_wav(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the WAV in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "wav", "audio/wav", with_texts=texts, kind="audio")
    head = walk.at(0, 12)
    if not is_wav(head):
        return walk.truncated() if _may_become(head, b"WAVE") else walk.broken("the file does not begin as a WAV does")
    said = struct.unpack("<I", head[4:8])[0]
    unknown = head[:4] == b"RF64" or said in (0, WAVE_UNKNOWN_SIZE)
    end = walk.size if unknown else 8 + said
    has_sound, reach = False, 0
    for name, start, length in _chunks(walk, 12, min(end, walk.size)):
        reach = start + length
        if name == b"data":
            has_sound = True
            if unknown and length == WAVE_UNKNOWN_SIZE:
                reach = start
        elif name == b"LIST" and walk.at(start, 4) == b"INFO":
            for key, place, size in _chunks(walk, start + 4, min(start + length, walk.size)):
                if walk.fits(size, "INFO"):
                    walk.carry("info", key.decode("latin-1"), walk.at(place, size))
        elif name in (b"id3 ", b"ID3 ") and walk.fits(length, "id3"):
            read_id3(walk, walk.at(start, length))
        elif name == b"C2PA":
            walk.has_manifest = True
    if end > walk.size or reach > walk.size or not has_sound:
        return walk.truncated()
    return walk.complete()


def _may_become(head: bytes, form: bytes) -> bool:
    return b"RIFF".startswith(head[:4]) and form.startswith(head[8:12])


def _chunks(walk: Walk, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's name, where its data begin, and their length as said (they may end before)."""
    while position + 8 <= end and walk.step():
        head = walk.at(position, 8)
        if len(head) < 8:
            return
        length = struct.unpack("<I", head[4:])[0]
        yield head[:4], position + 8, length
        position += 8 + length + (length & 1)
