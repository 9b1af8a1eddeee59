"""FLAC files: the comments before the sound, and whether the last frame is whole. Source: RFC 9639."""

from __future__ import annotations

import functools
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.vorbis_comments import read_vorbis_comments

SIGNATURE = b"fLaC"

BLOCKS_LIMIT = 1_000
"""Metadata blocks of one file."""

LAST_FRAME_LIMIT = 2**18
"""Bytes at the end in which the last frame is looked for. Frames of two channels of 4,096 samples have below 20,000."""

_CANDIDATES_LIMIT = 16
"""Places that look like a frame's beginning and are tried, from the end backwards."""

_BYTES_TRIED = 10_000
"""Bytes 0xFF that are looked at: one in 256 of the last frame's."""

_STREAM_INFO, _COMMENTS = 0, 4


def read_flac(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the FLAC in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "flac", "audio/flac", with_texts=texts, kind="audio")
    if not SIGNATURE.startswith(walk.at(0, 4)):
        return walk.broken("the file does not begin as a FLAC does")
    position, samples, fixed = 4, 0, 0
    for number in range(BLOCKS_LIMIT):
        head = walk.at(position, 4)
        if len(head) < 4:
            return walk.truncated()
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        start, position = position + 4, position + 4 + length
        if number == 0 and (kind, length) != (_STREAM_INFO, 34):
            return walk.broken("the first block is not the stream's")
        if position > walk.size:
            return walk.truncated()
        if kind == _STREAM_INFO:
            fixed = int.from_bytes(walk.at(start, 2), "big")
            samples = int.from_bytes(walk.at(start + 13, 5), "big") & 0xFFFFFFFFF
        elif kind == _COMMENTS and walk.fits(length, "vorbis"):
            read_vorbis_comments(walk, walk.at(start, length))
        if head[0] & 0x80:
            return walk.complete() if _sound_ends(walk, position, samples, fixed) else walk.truncated()
    return walk.broken(f"more than {BLOCKS_LIMIT} blocks (BLOCKS_LIMIT)")


def _sound_ends(walk: Walk, start: int, samples: int, fixed: int) -> bool:
    """Tell whether the last bytes are a frame with its checksum, which reaches the number of samples said."""
    begin = max(start, walk.size - LAST_FRAME_LIMIT)
    tail = walk.at(begin, LAST_FRAME_LIMIT)
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]  # an ID3v1 tag after the sound
    if len(tail) < 8:
        return False
    place, tried = len(tail), 0
    for _ in range(_BYTES_TRIED):
        place = tail.rfind(b"\xff", 0, place)
        if place < 0:
            return False
        if tail[place + 1 : place + 2] not in (b"\xf8", b"\xf9"):
            continue
        reached = _frame_reach(tail[place : place + 16], fixed)
        if reached is None:
            continue
        if _crc16(tail[place:]) == 0:
            return samples == 0 or reached >= samples
        tried += 1
        if tried == _CANDIDATES_LIMIT:
            return False
    return False


def _frame_reach(head: bytes, fixed: int) -> int | None:
    """The number of the sample after the frame with this header; None where it is none."""
    if len(head) < 7:
        return None
    block, rate = head[2] >> 4, head[2] & 15
    lead = head[4]
    more = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1
    if more > 6 or (lead >= 0x80 and more < 1) or block == 0 or rate == 15:
        return None
    number = lead & (0x7F if not more else (1 << (6 - more)) - 1)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    place = 5 + more
    size = 192 if block == 1 else 576 << (block - 2) if block < 6 else 256 << max(0, block - 8)
    if block in (6, 7):
        width = block - 5
        size = int.from_bytes(head[place : place + width], "big") + 1
        place += width
    place += 1 if rate == 12 else 2 if rate in (13, 14) else 0
    if place >= len(head) or _crc8(head[:place]) != head[place]:
        return None
    return (number if head[1] & 1 else number * fixed) + size


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        crc = value << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x8005) & 0xFFFF if crc & 0x8000 else crc << 1
        table.append(crc)
    return tuple(table)


def _crc16(data: bytes) -> int:
    table, crc = _table(), 0
    for byte in data:
        crc = (crc << 8 & 0xFF00) ^ table[crc >> 8 ^ byte]
    return crc
