"""Vorbis comments, the `key=value` words of FLAC and Ogg files. Source: Xiph's Vorbis I, section 5."""

from __future__ import annotations

import struct

from memoryd.plugin_api.container import TEXTS_LIMIT, Walk


def read_vorbis_comments(walk: Walk, blob: bytes) -> None:
    """Carry the comments of a block (from the vendor's length on) as `<container>:vorbis`, keys as written."""
    if len(blob) < 8:
        return
    place = 4 + struct.unpack_from("<I", blob)[0]
    if place + 4 > len(blob):
        walk.find("text-malformed", "the comments are shorter than they say", "vorbis")
        return
    count = struct.unpack_from("<I", blob, place)[0]
    place += 4
    for _ in range(min(count, TEXTS_LIMIT + 1)):
        if place + 4 > len(blob):
            walk.find("text-malformed", "the comments are fewer than they say", "vorbis")
            return
        length = struct.unpack_from("<I", blob, place)[0]
        key, found, value = blob[place + 4 : place + 4 + length].partition(b"=")
        place += 4 + length
        if found:
            walk.carry("vorbis", key.decode("utf-8", "replace"), value)
