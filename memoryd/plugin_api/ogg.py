"""Ogg files (Opus, Vorbis, FLAC, Theora): comments that may spread over many pages, and the last page.

Source: RFC 3533 (pages), RFC 7845 (Opus), Xiph's Vorbis I.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.vorbis_comments import read_vorbis_comments

SIGNATURE = b"OggS"

TAIL_SIZE = 65_536 + 512
"""Bytes at the end that hold the last page: a page is at most 65,307 bytes long."""

STREAMS_LIMIT = 32
"""Streams of one file whose comments are read."""

_MARKS = ((b"OpusTags", 8), (b"\x03vorbis", 7), (b"\x81theora", 7))
_END_OF_STREAM = 4


@dataclasses.dataclass(slots=True)
class _Stream:
    """One logical stream's beginning: the packets until its comments are there."""

    packets: int = 0
    length: int = 0
    packet: list[bytes] = dataclasses.field(default_factory=list)
    done: bool = False


def read_ogg(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the Ogg in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "ogg", "audio/ogg", with_texts=texts, kind="audio")
    if not SIGNATURE.startswith(walk.at(0, 4)):
        return walk.broken("the file does not begin as an Ogg does")
    streams: dict[int, _Stream] = {}
    position = 0
    while walk.step():
        head = walk.at(position, 27)
        if len(head) < 27:
            break
        if head[:4] != SIGNATURE:
            if not position:
                return walk.broken("there is no page")
            walk.find("not-a-page", "bytes where a page must begin", f"byte {position}")
            break
        serial = struct.unpack("<I", head[14:18])[0]
        lacing = walk.at(position + 27, head[26])
        body = position + 27 + head[26]
        if body + sum(lacing) > walk.size:
            break
        if serial not in streams and len(streams) < STREAMS_LIMIT and head[5] & 2:
            streams[serial] = _Stream()
        state = streams.get(serial)
        if state is not None and not state.done:
            _take(walk, state, lacing, body)
        position = body + sum(lacing)
        if not head[5] & 2 and all(state.done for state in streams.values()):
            break
    return walk.complete() if _ends(walk) else walk.truncated()


def _take(walk: Walk, state: _Stream, lacing: bytes, body: int) -> None:
    data = walk.at(body, sum(lacing))
    place = 0
    for size in lacing:
        state.length += size
        if state.packets and not walk.fits(state.length, "vorbis"):
            state.done = True
            return
        state.packet.append(data[place : place + size])
        place += size
        if size == 255:
            continue
        packet = b"".join(state.packet)
        state.packet, state.length = [], 0
        state.packets += 1
        if state.packets == 1:
            state.done = not _begins(walk, packet)
        else:
            _comments(walk, packet)
            state.done = True
        if state.done:
            return


def _begins(walk: Walk, packet: bytes) -> bool:
    """Take in a stream's first packet; tell whether its second one holds comments."""
    if packet.startswith(b"\x80theora") and len(packet) >= 20:
        walk.kind, walk.media_type = "video", "video/ogg"
        walk.width = int.from_bytes(packet[14:17], "big")
        walk.height = int.from_bytes(packet[17:20], "big")
    return packet.startswith((b"OpusHead", b"\x01vorbis", b"\x80theora", b"\x7fFLAC", b"Speex"))


def _comments(walk: Walk, packet: bytes) -> None:
    for mark, length in _MARKS:
        if packet.startswith(mark):
            read_vorbis_comments(walk, packet[length:])
            return
    if packet[:1] and packet[0] & 0x7F == 4:  # FLAC's block of comments
        read_vorbis_comments(walk, packet[4:])
    else:
        read_vorbis_comments(walk, packet)


def _ends(walk: Walk) -> bool:
    """Tell whether the last page closes its stream and is there to its end."""
    begin = max(0, walk.size - TAIL_SIZE)
    tail = walk.at(begin, TAIL_SIZE)
    place = tail.rfind(SIGNATURE)
    if place < 0 or place + 27 > len(tail) or not tail[place + 5] & _END_OF_STREAM:
        return False
    segments = tail[place + 26]
    lacing = tail[place + 27 : place + 27 + segments]
    return len(lacing) == segments and place + 27 + segments + sum(lacing) <= len(tail)
