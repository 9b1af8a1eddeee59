"""MP4, MOV and M4V: tags wherever `moov` stands, size, frames, and whether the file is whole.

Source: ISO/IEC 14496-12 and -14; Apple's QuickTime file format (keys and item lists, `udta` texts).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from memoryd.plugin_api.container import Structure, Walk
from memoryd.plugin_api.isobmff import Box, boxes, brands, children, is_box_type, take_uuid

KEYS_LIMIT = 2_000
"""Keys of one list of tags."""

_BEGINNINGS = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"))
_STILL_BRANDS = frozenset((b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"))
_AUDIO_BRANDS = frozenset((b"M4A ", b"M4B ", b"M4P "))
_NAMES = {
    b"\xa9cmt": "comment",
    b"\xa9nam": "title",
    b"\xa9too": "encoder",
    b"\xa9swr": "software",
    b"\xa9ART": "artist",
    b"\xa9des": "description",
    b"\xa9inf": "information",
    b"desc": "description",
    b"ldes": "synopsis",
}
"""What programs call the old four-letter tags."""


def is_mp4(head: bytes) -> bool:
    """Tell a film (or sound) in ISO boxes by its head; pictures in such boxes are another format."""
    if head[4:8] not in _BEGINNINGS or len(head) < 16:
        return False
    length = struct.unpack(">I", head[:4])[0]
    if head[4:8] != b"ftyp":
        return length in (0, 1) or length >= 8
    return length >= 16 and head[8:12] not in _STILL_BRANDS and head[8:11] != b"jxl"


def read_mp4(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the film in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "mp4", "video/mp4", with_texts=texts, kind="video")
    head = walk.at(0, 64)
    if not is_mp4(head):
        return walk.truncated() if len(head) < 16 else walk.broken("the file does not begin as a film does")
    major = brands(head)[:1]
    if major == (b"qt  ",) or not major:
        walk.media_type = "video/quicktime"
    has_index = has_media = False
    position = 0
    for box in boxes(walk, 0, walk.size):
        if not is_box_type(box.type):
            break
        if box.end > walk.size:
            return walk.truncated(box.type.decode("latin-1"))
        position = box.end
        if box.type == b"moov":
            has_index = True
            _film(walk, box)
        elif box.type in (b"mdat", b"moof"):
            has_media = True
        elif box.type == b"uuid":
            take_uuid(walk, box)
        elif box.type == b"meta":
            _meta(walk, box)
    if not has_index or not has_media:
        return walk.truncated("moov" if not has_index else "mdat")
    if position < walk.size:
        walk.find("bytes-after-end", f"{walk.size - position} bytes follow the last box")
    if walk.width is None and (major and major[0] in _AUDIO_BRANDS):
        walk.kind, walk.media_type = "audio", "audio/mp4"
    return walk.complete()


def _film(walk: Walk, moov: Box) -> None:
    for box in children(walk, moov):
        if box.type == b"trak":
            _track(walk, box)
        elif box.type == b"udta":
            _user_texts(walk, box)
        elif box.type == b"meta":
            _meta(walk, box)


def _track(walk: Walk, track: Box) -> None:
    width = height = 0
    frames = None
    for box in children(walk, track):
        if box.type == b"tkhd":
            place = box.start + (88 if walk.at(box.start, 1) == b"\x01" else 76)
            width, height = struct.unpack(">II", walk.at(place, 8).ljust(8, b"\x00"))
        elif box.type == b"mdia":
            frames = sample_count(walk, box)
        elif box.type == b"udta":
            _user_texts(walk, box)
        elif box.type == b"meta":
            _meta(walk, box)
    if frames is not None and walk.width is None and width >> 16 and height >> 16:
        walk.width, walk.height, walk.frames = width >> 16, height >> 16, frames or None


def sample_count(walk: Walk, media: Box, handler: bytes = b"vide") -> int | None:
    """Return the number of samples of a track's `mdia` box; None where another handler shows it."""
    is_film, frames = False, 0
    for box in children(walk, media):
        if box.type == b"hdlr":
            is_film = walk.at(box.start + 8, 4) == handler
        elif box.type == b"minf":
            for table in (
                table for stbl in children(walk, box) if stbl.type == b"stbl" for table in children(walk, stbl)
            ):
                if table.type == b"stsz":
                    frames = int.from_bytes(walk.at(table.start + 8, 4), "big")
    return frames if is_film else None


def _user_texts(walk: Walk, udta: Box) -> None:
    for box in children(walk, udta):
        if box.type == b"meta":
            _meta(walk, box)
        elif box.type == b"XMP_":
            if walk.fits(box.length, "XMP_"):
                walk.carry("xmp", "XML:com.adobe.xmp", walk.at(box.start, box.length))
        elif box.type[:1] == b"\xa9" and walk.fits(box.length, "udta"):
            length = int.from_bytes(walk.at(box.start, 2), "big")  # then a language, then the words
            rest = walk.at(box.start + 4, box.length - 4)
            walk.carry("meta", _name(box.type), rest[:length] if 0 < length < len(rest) else rest)


def _meta(walk: Walk, meta: Box) -> None:
    # An ISO box has a version before its children, a QuickTime one has not.
    skip = 0 if walk.at(meta.start + 4, 4) == b"hdlr" else 4
    keys: list[bytes] = []
    for box in children(walk, meta, skip=skip):
        if box.type == b"keys" and walk.fits(box.length, "keys"):
            keys = [walk.at(key.start, min(key.length, 1024)) for key in _keys(walk, box)]
        elif box.type == b"ilst":
            _items(walk, box, keys)


def _keys(walk: Walk, box: Box) -> Iterator[Box]:
    for number, key in enumerate(children(walk, box, skip=8)):
        if number == KEYS_LIMIT:
            return
        yield key


def _items(walk: Walk, ilst: Box, keys: list[bytes]) -> None:
    for item in children(walk, ilst):
        number = int.from_bytes(item.type, "big")
        key = _name(item.type)
        if 1 <= number <= len(keys):
            key = keys[number - 1].decode("utf-8", "replace")
        for box in children(walk, item):
            if box.type == b"name":  # the free form: whose, name, value
                key = walk.at(box.start + 4, min(box.length - 4, 1024)).decode("utf-8", "replace")
            elif box.type == b"data" and box.length >= 8 and walk.fits(box.length - 8, f"ilst {key[:80]}"):
                kind = int.from_bytes(walk.at(box.start, 4), "big")
                if kind in (0, 1, 2):
                    walk.carry("meta", key, walk.at(box.start + 8, box.length - 8))


def _name(type_: bytes) -> str:
    return _NAMES.get(type_, type_.decode("latin-1"))
