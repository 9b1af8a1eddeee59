"""Boxes of ISO base media files (MP4, MOV, HEIF, AVIF), walked by their lengths.

Source: ISO/IEC 14496-12; C2PA 2 (the `uuid` box); XMP part 3.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from memoryd.plugin_api.container import Walk

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")

DEPTH_LIMIT = 12
"""Boxes within boxes; real ones are seven deep."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box: its type, where its content begins and ends (beyond the file's end where it is cut off)."""

    type: bytes
    start: int
    end: int

    @property
    def length(self) -> int:
        """Bytes of its content."""
        return self.end - self.start


def boxes(walk: Walk, position: int, end: int) -> Iterator[Box]:
    """Each box between two places; ends at bytes that are no box."""
    while position + 8 <= end and walk.step():
        head = walk.at(position, 16)
        if len(head) < 8:
            return
        length, type_ = struct.unpack(">I4s", head[:8])
        start = position + 8
        if length == 1:
            if len(head) < 16:
                return
            length, start = struct.unpack(">Q", head[8:])[0], position + 16
        elif length == 0:
            length = end - position
        if length < start - position:
            return
        yield Box(type=type_, start=start, end=position + length)
        position += length


def is_box_type(type_: bytes) -> bool:
    """Tell whether four bytes can be a box's type: printable, with ©."""
    return all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in type_)


def children(walk: Walk, box: Box, *, skip: int = 0) -> Iterator[Box]:
    """Each box within a box, after `skip` bytes (4 where the box has a version)."""
    return boxes(walk, box.start + skip, min(box.end, walk.size))


def take_uuid(walk: Walk, box: Box) -> None:
    """Take in a `uuid` box: content credentials, or an XMP packet."""
    name = walk.at(box.start, 16)
    if name == C2PA_UUID:
        walk.has_manifest = True
    elif name == XMP_UUID and walk.fits(box.length - 16, "uuid"):
        walk.carry("xmp", "XML:com.adobe.xmp", walk.at(box.start + 16, box.length - 16))


def brands(head: bytes) -> tuple[bytes, ...]:
    """Return the brands of a file that begins with `ftyp`, the major one first; none where it does not."""
    if head[4:8] != b"ftyp":
        return ()
    end = min(struct.unpack(">I", head[:4])[0], len(head))
    return (head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4)))
