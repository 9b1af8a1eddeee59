"""WebM and Matroska: tags, size, and whether the file is whole, also where lengths are unknown.

Source: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

from __future__ import annotations

import dataclasses
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk

SIGNATURE = b"\x1a\x45\xdf\xa3"

DEPTH_LIMIT = 16
"""Tags within tags."""

_SEGMENT, _CLUSTER, _TAGS, _TRACKS, _VOID, _SEEK = 0x18538067, 0x1F43B675, 0x1254C367, 0x1654AE6B, 0xEC, 0x114D9B74
_TAG, _SIMPLE, _NAME, _STRING = 0x7373, 0x67C8, 0x45A3, 0x4487
_TRACK, _TRACK_TYPE, _VIDEO, _WIDTH, _HEIGHT = 0xAE, 0x83, 0xE0, 0xB0, 0xBA
_INFO, _DURATION = 0x1549A966, 0x4489
_IN_SEGMENT = frozenset((_CLUSTER, _TAGS, _TRACKS, _SEEK, _INFO, 0x1C53BB6B, 0x1941A469, 0x1043A770))
_ENTERED = frozenset((_SEGMENT, _TAGS, _TAG, _TRACKS, _TRACK, _VIDEO))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """One element: `end` is None where its length is unknown."""

    id: int
    start: int
    end: int | None


@dataclasses.dataclass(slots=True)
class _Seen:
    clusters: int = 0
    unfinished: bool = False
    tracks: int = 0
    video: bool = False
    unknown: bool = False


def read_matroska(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the film in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "webm", "video/webm", with_texts=texts, kind="video")
    head = walk.at(0, 4)
    if not SIGNATURE.startswith(head):
        return walk.broken("the file does not begin as a Matroska file does")
    first = _element(walk, 0)
    if first is None or first.end is None or first.end > walk.size:
        return walk.truncated()
    if b"webm" not in walk.at(first.start, min(first.end - first.start, 256)):
        walk.media_type = "video/x-matroska"
    segment = _element(walk, first.end)
    if segment is None:
        return walk.truncated()
    if segment.id != _SEGMENT:
        return walk.broken("no segment follows its beginning")
    if segment.end is not None and segment.end > walk.size:
        return walk.truncated()
    seen = _Seen(unknown=segment.end is None)
    whole = _segment(walk, segment.start, segment.end or walk.size, seen)
    if seen.tracks and not seen.video:
        walk.kind, walk.media_type = "audio", walk.media_type.replace("video/", "audio/")
    if not whole or not seen.tracks or (seen.unknown and (not seen.clusters or seen.unfinished)):
        # A writer that leaves room for the duration comes back to fill it in: until then it is still writing.
        return walk.truncated()
    return walk.complete()


def _segment(walk: Walk, position: int, end: int, seen: _Seen) -> bool:
    """Walk a segment's elements; tell whether the last one ends where it should."""
    while position < end and walk.step():
        element = _element(walk, position)
        if element is None:
            return False
        if element.id == _CLUSTER:
            seen.clusters += 1
        if element.end is None:
            if element.id not in _IN_SEGMENT:
                return False
            position = element.start  # its children follow as if they were its siblings
            continue
        if element.end > end:
            return False
        if element.id == _TAGS:
            _tags(walk, element.start, element.end, 0)
        elif element.id == _TRACKS:
            _tracks(walk, element.start, element.end, seen)
        elif element.id == _INFO:
            seen.unfinished = _has_room(walk, element.start, element.end)
        position = element.end
    return True


def _has_room(walk: Walk, position: int, end: int) -> bool:
    """Tell whether a segment's facts have a gap where their duration will stand."""
    while position < end and walk.step():
        element = _element(walk, position)
        if element is None or element.end is None:
            return False
        if element.id in (_VOID, _DURATION):
            return element.id == _VOID
        position = element.end
    return False


def _tags(walk: Walk, position: int, end: int, depth: int) -> None:
    """Carry every simple tag's words; a tag's name stands before or after its value."""
    name, value = None, None
    while position < end and walk.step():
        element = _element(walk, position)
        if element is None or element.end is None or element.end > end:
            break
        if element.id in (_TAG, _SIMPLE) and depth < DEPTH_LIMIT:
            _tags(walk, element.start, element.end, depth + 1)
        elif element.id == _NAME:
            name = (
                walk.at(element.start, min(element.end - element.start, 1024)).decode("utf-8", "replace").rstrip("\x00")
            )
        elif element.id == _STRING and walk.fits(element.end - element.start, "tag"):
            value = walk.at(element.start, element.end - element.start)
        position = element.end
    if name is not None and value is not None:
        walk.carry("tag", name, value)


def _tracks(walk: Walk, position: int, end: int, seen: _Seen) -> None:
    while position < end and walk.step():
        element = _element(walk, position)
        if element is None or element.end is None or element.end > end:
            return
        if element.id == _TRACK:
            seen.tracks += 1
        if element.id in _ENTERED:
            position = element.start
            seen.video = seen.video or element.id == _VIDEO
            continue
        if element.id in (_WIDTH, _HEIGHT):
            number = int.from_bytes(walk.at(element.start, min(element.end - element.start, 8)), "big")
            if element.id == _WIDTH and walk.width is None:
                walk.width = number
            elif element.id == _HEIGHT and walk.height is None:
                walk.height = number
        position = element.end


def _element(walk: Walk, position: int) -> _Element | None:
    """The element at a place; None where none begins or its head is cut off."""
    head = walk.at(position, 12)
    if not head or not head[0]:
        return None
    width = 9 - head[0].bit_length()
    if width > 4 or len(head) <= width or not head[width]:
        return None
    room = 9 - head[width].bit_length()
    raw = head[width : width + room]
    if len(raw) < room:
        return None
    mask = (1 << 7 * room) - 1
    length = int.from_bytes(raw, "big") & mask
    start = position + width + room
    return _Element(id=int.from_bytes(head[:width], "big"), start=start, end=None if length == mask else start + length)
