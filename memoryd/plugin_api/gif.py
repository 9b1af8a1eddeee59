"""GIF files: size, frames, comments and the XMP packet. Source: GIF89a (CompuServe, 1990); XMP part 3."""

from __future__ import annotations

import struct
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk

SIGNATURES = (b"GIF87a", b"GIF89a")

COMMENT_LIMIT = 2**20
"""Bytes of one comment or XMP packet, which lies in pieces of 255 bytes."""

BLOCKS_LIMIT = 8_000_000
"""Blocks of one file: two gigabytes of them at their usual 255 bytes."""

_WINDOW = 2**18
_XMP_APPLICATION = b"XMP DataXMP"
_XMP_TRAILER = 257
"""Bytes of the `magic trailer` that makes readers of blocks come out behind an XMP packet."""


class _CutOff(Exception):
    """The file ends where bytes must follow."""


class _TooManyBlocks(Exception):
    """More blocks than BLOCKS_LIMIT."""


class _Bytes:
    """Single bytes and pieces of a file, by windows: a picture of 10 MB is 40,000 blocks."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._begin = 0
        self._window = b""
        self._blocks = 0

    def at(self, offset: int, length: int) -> bytes:
        place = offset - self._begin
        if not 0 <= place <= len(self._window) - length:
            self._begin, self._window, place = offset, self._walk.at(offset, max(_WINDOW, length)), 0
        piece = self._window[place : place + length]
        if len(piece) < length:
            raise _CutOff
        return piece

    def after_blocks(self, position: int) -> int:
        """The place after a sequence of blocks, which an empty one ends."""
        while True:
            self.at(position, 1)
            window, place, blocks = self._window, position - self._begin, self._blocks
            while place < len(window):
                size = window[place]
                place += 1 + size
                blocks += 1
                if not size:
                    self._blocks = blocks
                    return self._begin + place
            self._blocks, position = blocks, self._begin + place
            if blocks > BLOCKS_LIMIT:
                raise _TooManyBlocks


def read_gif(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the GIF in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "gif", "image/gif", with_texts=texts)
    head = walk.at(0, 13)
    if not any(signature.startswith(head[:6]) for signature in SIGNATURES):
        return walk.broken("the file does not begin as a GIF does")
    if len(head) < 13:
        return walk.truncated()
    walk.width, walk.height = struct.unpack("<HH", head[6:10])
    source = _Bytes(walk)
    position = 13 + _table(head[10])
    frames = 0
    try:
        while walk.step():
            kind = source.at(position, 1)
            if kind == b"\x3b":
                if not frames:
                    return walk.broken("the end comes before any picture")
                walk.frames = frames if frames > 1 else None
                return walk.complete()
            if kind == b"\x2c":
                flags = source.at(position, 10)[9]
                frames += 1
                position = source.after_blocks(position + 11 + _table(flags))
            elif kind == b"\x21":
                position = _extension(walk, source, position)
            elif kind == b"\x00":
                position += 1  # some writers end a block twice
            else:
                return walk.broken("bytes where a block must begin", f"byte {position}")
    except _CutOff:
        return walk.truncated()
    except _TooManyBlocks:
        return walk.broken(f"more than {BLOCKS_LIMIT} blocks (BLOCKS_LIMIT)")
    return walk.broken("more parts than are looked at")


def _table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _extension(walk: Walk, source: _Bytes, position: int) -> int:
    label = source.at(position + 1, 1)[0]
    start = position + 2
    if label == 0xFE:
        end = source.after_blocks(start)
        if 1 < end - start <= COMMENT_LIMIT and walk.with_texts:
            walk.carry("com", "comment", _joined(source, start))
        return end
    if label == 0xFF and source.at(start + 1, 8) == b"C2PA_GIF":
        walk.has_manifest = True
    if label == 0xFF and source.at(start, 1) == b"\x0b" and source.at(start + 1, 11) == _XMP_APPLICATION:
        # The packet is no sequence of blocks, but its bytes lead over it as if it were.
        end = source.after_blocks(start)
        length = end - (start + 12) - _XMP_TRAILER - 1
        if 0 < length <= COMMENT_LIMIT and walk.with_texts:
            walk.carry("xmp", "XML:com.adobe.xmp", source.at(start + 12, length))
        return end
    return source.after_blocks(start)


def _joined(source: _Bytes, position: int) -> bytes:
    pieces = []
    while size := source.at(position, 1)[0]:
        pieces.append(source.at(position + 1, size))
        position += 1 + size
    return b"".join(pieces)
