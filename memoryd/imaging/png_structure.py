"""PNG's own check sums: whether the pixels in a file are those that were written into it."""

from __future__ import annotations

import struct
from typing import BinaryIO

from isal import isal_zlib

from memoryd.foundation.findings import Finding

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PIXELS = (b"IDAT", b"fdAT")
_PART = 1 << 20


def damage(file: BinaryIO) -> Finding | None:
    """Return the finding `pixels-damaged` where a chunk of pixels has not its check sum, else None.

    Decoders pass over it: many a damaged stream still unpacks, to other pixels. The file's position is kept.
    """
    kept = file.tell()
    try:
        file.seek(0)
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return None
        return _first_damaged(file)
    finally:
        file.seek(kept)


def _first_damaged(file: BinaryIO) -> Finding | None:
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind not in _PIXELS:
            if kind == b"IEND":
                return None
            file.seek(length + 4, 1)
            continue
        at = file.tell() - 8
        found, left = isal_zlib.crc32(kind), length
        while left and (part := file.read(min(left, _PART))):
            found = isal_zlib.crc32(part, found)
            left -= len(part)
        if left or file.read(4) != struct.pack(">I", found):
            return Finding(
                code="pixels-damaged",
                detail="a chunk of pixels does not have its check sum: the file was damaged after it was written",
                where=f"{kind.decode('ascii')} at byte {at}",
            )
    return None
