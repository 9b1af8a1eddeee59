"""IPTC records (captions, keywords, credits) and the Photoshop resources that hold them.

Source: IPTC-IIM 4.2; Adobe Photoshop file formats specification, image resource blocks.
"""

from __future__ import annotations

import struct

from memoryd.plugin_api.container import Walk

_RESOURCE_IPTC = 0x0404
_DATASETS = frozenset((2,))
"""Records whose data sets are words: 1 holds the envelope, 3 and above binary things."""


def read_photoshop(walk: Walk, blob: bytes) -> None:
    """Carry the IPTC words among Photoshop's resources (`8BIM` blocks)."""
    place = 0
    while blob[place : place + 4] == b"8BIM" and walk.step():
        if place + 12 > len(blob):
            return
        number = struct.unpack_from(">H", blob, place + 4)[0]
        name = (blob[place + 6] + 2) & ~1  # the name's length byte, the name, padded to even
        start = place + 6 + name
        if start + 4 > len(blob):
            return
        length = struct.unpack_from(">I", blob, start)[0]
        if number == _RESOURCE_IPTC:
            read_iptc(walk, blob[start + 4 : start + 4 + length])
        place = start + 4 + length + (length & 1)


def read_iptc(walk: Walk, blob: bytes) -> None:
    """Carry the application record's data sets as `<container>:iptc`, keys `2:120`, …"""
    place = 0
    while blob[place : place + 1] == b"\x1c" and place + 5 <= len(blob) and walk.step():
        record, dataset, length = struct.unpack_from(">BBH", blob, place + 1)
        start = place + 5
        if length & 0x8000:  # the length of the length
            width = length & 0x7FFF
            if not 0 < width <= 8:
                return
            length = int.from_bytes(blob[start : start + width], "big")
            start += width
        if record in _DATASETS and dataset:
            walk.carry("iptc", f"{record}:{dataset}", blob[start : start + length])
        place = start + length
