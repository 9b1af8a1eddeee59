"""TIFF files: words, size, and whether all that the directories point to is there. Source: TIFF 6.0, BigTIFF."""

from __future__ import annotations

from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.exif import read_directories

SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

_WIDTH, _HEIGHT = 0x100, 0x101


def read_tiff(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the TIFF in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "tiff", "image/tiff", with_texts=texts)
    head = walk.at(0, 4)
    if not any(signature.startswith(head) for signature in SIGNATURES):
        return walk.broken("the file does not begin as a TIFF does")
    seen = read_directories(walk, walk.at)
    if seen is None or not seen.count or seen.cut_off:
        # The first directory may be written last, and its place with it.
        return walk.truncated()
    walk.width, walk.height = seen.numbers.get(_WIDTH), seen.numbers.get(_HEIGHT)
    if seen.reach > walk.size:
        return walk.truncated()
    if walk.width is None or walk.height is None:
        return walk.broken("its first directory has no size")
    return walk.complete()
