"""MP3 files: the tag before the sound, and whether the last frame is whole.

Source: ISO/IEC 11172-3 (frame headers); the Xing header as LAME and ffmpeg write it.
"""

from __future__ import annotations

from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.id3 import HEADER_SIZE, read_id3, tag_size

PADDING_LIMIT = 65_536
"""Bytes between tag and sound that are searched for the first frame."""

FRAMES_LIMIT = 400_000
"""Frames that are walked to see whether the last one is whole: three hours. What is longer is taken for whole."""

_BITRATES = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_OTHERS = ((b"fLaC", "audio/flac"), (b"\xff\xf1", "audio/aac"), (b"\xff\xf9", "audio/aac"))


def is_mp3(head: bytes) -> bool:
    """Tell an MP3 by its tag or its first frame."""
    return tag_size(head[:HEADER_SIZE]) is not None or _frame_length(head[:4]) is not None


def read_mp3(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the MP3 in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "mp3", "audio/mpeg", with_texts=texts, kind="audio")
    head = walk.at(0, HEADER_SIZE)
    if not is_mp3(head):
        return walk.truncated() if b"ID3".startswith(head[:3]) else walk.broken("neither a tag nor a frame begins it")
    position = tag_size(head) or 0
    if position > walk.size:
        return walk.truncated("id3")
    if position and walk.fits(position, "id3"):
        read_id3(walk, walk.at(0, position))
    first = _first_frame(walk, position)
    if first is None:
        return _without_frames(walk, position)
    reach = _said_end(walk, first)
    if reach is not None:
        return walk.complete() if reach <= walk.size else walk.truncated()
    return walk.complete() if _frames_end(walk, first) else walk.truncated()


def _without_frames(walk: Walk, position: int) -> Structure:
    following = walk.at(position, 4)
    for signature, media_type in _OTHERS:
        if following.startswith(signature):
            walk.media_type = media_type
            return walk.complete()
    return walk.truncated() if len(following) < 4 or not following.strip(b"\x00") else walk.complete()


def _frame_length(head: bytes) -> int | None:
    """The bytes of the layer III frame with this header, None where it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] >> 1 & 3 != 1:
        return None
    version, bitrate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 0 < bitrate < 15 or rate == 3:
        return None
    factor = 144 if version == 3 else 72
    return factor * 1000 * _BITRATES[1 if version == 3 else 2][bitrate] // _RATES[version][rate] + (head[2] >> 1 & 1)


def _first_frame(walk: Walk, position: int) -> int | None:
    data = walk.at(position, PADDING_LIMIT)
    place = data.find(b"\xff")
    while place >= 0:
        if _frame_length(data[place : place + 4]) is not None:
            return position + place
        place = data.find(b"\xff", place + 1)
    return None


def _said_end(walk: Walk, first: int) -> int | None:
    """Where the sound ends by the Xing header of the first frame, if there is one."""
    frame = walk.at(first, 200)
    place = next((place for word in (b"Xing", b"Info") if (place := frame.find(word)) > 0), -1)
    if place < 0 or len(frame) < place + 16:
        return None
    flags = int.from_bytes(frame[place + 4 : place + 8], "big")
    if not flags & 2:
        return None
    offset = place + (12 if flags & 1 else 8)
    return first + int.from_bytes(frame[offset : offset + 4], "big")


def _frames_end(walk: Walk, position: int) -> bool:
    """Walk the frames; tell whether the last one is whole (a tag of another kind may follow)."""
    for _ in range(FRAMES_LIMIT):
        if position >= walk.size:
            break
        length = _frame_length(walk.at(position, 4))
        if length is None:
            return True
        position += length
    return position <= walk.size
