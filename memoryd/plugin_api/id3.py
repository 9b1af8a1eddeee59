"""ID3v2 tags: the words in them, at the head of an MP3 or in a chunk of another file.

Values come as UTF-8, whatever encoding their frame names. Source: ID3v2.2, 2.3 and 2.4 (id3.org).
"""

from __future__ import annotations

import zlib

from memoryd.plugin_api.container import Walk

HEADER_SIZE = 10

_ENCODINGS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
_COMMENTS = frozenset((b"COMM", b"COM", b"USLT", b"ULT"))
_NAMED = frozenset((b"TXXX", b"TXX"))
_MANIFEST = b"application/x-c2pa-manifest-store"


def tag_size(head: bytes) -> int | None:
    """Return the bytes of the tag that begins with this head (header included, footer too); None where none begins."""
    if len(head) < HEADER_SIZE or head[:3] != b"ID3" or head[3] not in (2, 3, 4):
        return None
    size = _synchsafe(head[6:10])
    if size is None:
        return None
    return HEADER_SIZE + size + (HEADER_SIZE if head[3] == 4 and head[5] & 0x10 else 0)


def read_id3(walk: Walk, blob: bytes) -> None:
    """Carry the words of a tag as `<container>:id3`: key = a frame's own name for it (`prompt`), `comment`, or its id."""
    total = tag_size(blob)
    if total is None:
        return
    version, flags = blob[3], blob[5]
    body = blob[HEADER_SIZE:total]
    if flags & 0x80 and version < 4:
        body = _resynchronised(body)
    if flags & 0x40 and version > 2 and len(body) >= 4:  # an extended header
        length = (_synchsafe(body[:4]) or 0) if version == 4 else 4 + int.from_bytes(body[:4], "big")
        body = body[length:]
    place, width = 0, 6 if version == 2 else 10
    while place + width <= len(body) and walk.step():
        head = body[place : place + width]
        name = head[: 3 if version == 2 else 4]
        if not name.isalnum():
            return
        length, form = _frame_length(body, place, version)
        data = body[place + width : place + width + length]
        place += width + length
        if name == b"GEOB" and _MANIFEST in data[:200]:
            walk.has_manifest = True
        elif name[:1] == b"T" or name in _COMMENTS:
            _carry(walk, name, _unpacked(walk, data, version, form, bool(flags & 0x80)))


def _frame_length(body: bytes, place: int, version: int) -> tuple[int, int]:
    if version == 2:
        return int.from_bytes(body[place + 3 : place + 6], "big"), 0
    raw, form = body[place + 4 : place + 8], body[place + 9]
    plain = int.from_bytes(raw, "big")
    if version == 3:
        return plain, form
    safe = _synchsafe(raw)
    if safe is None:
        return plain, form  # some writers never learnt of synchsafe lengths
    if safe != plain and not _frame_follows(body, place + 10 + safe) and _frame_follows(body, place + 10 + plain):
        return plain, form
    return safe, form


def _frame_follows(body: bytes, place: int) -> bool:
    name = body[place : place + 4]
    return place == len(body) or (len(name) == 4 and (name.isalnum() or not name.strip(b"\x00")))


def _unpacked(walk: Walk, data: bytes, version: int, form: int, unsynchronised: bool) -> bytes:
    if version == 4:
        if form & 0x04:
            return b""  # encrypted
        if form & 0x01:
            data = data[4:]
        if form & 0x02 or unsynchronised:
            data = _resynchronised(data)
        packed = form & 0x08
    else:
        if form & 0x40:
            return b""
        packed = form & 0x80
        data = data[4 if packed else 0 :]
    if not packed:
        return data
    return walk.inflated(data, "id3", wbits=zlib.MAX_WBITS) or b""


def _carry(walk: Walk, name: bytes, data: bytes) -> None:
    if len(data) < 2:
        return
    encoding, rest = data[0], data[1:]
    key = name.decode("latin-1")
    if name in _COMMENTS:
        description, rest = _split(encoding, rest[3:])
        key = description or "comment"
    elif name in _NAMED:
        description, rest = _split(encoding, rest)
        key = description or key
    walk.carry("id3", key, _text(encoding, rest).rstrip("\x00").encode("utf-8", "replace"))


def _split(encoding: int, data: bytes) -> tuple[str, bytes]:
    """The description before the value, and the value's bytes."""
    if encoding not in (1, 2):
        description, _, rest = data.partition(b"\x00")
        return _text(encoding, description), rest
    place = 0
    while (place := data.find(b"\x00\x00", place)) >= 0 and place % 2:
        place += 1
    if place < 0:
        return "", data
    mark = data[:2] if encoding == 1 and data[:2] in (b"\xff\xfe", b"\xfe\xff") else b""
    rest = data[place + 2 :]
    if mark and rest[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        rest = mark + rest  # the mark was written once for both
    return _text(encoding, data[:place]), rest


def _text(encoding: int, raw: bytes) -> str:
    if encoding == 0:
        try:
            return raw.decode("utf-8")  # what is called Latin-1 often is not
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    return raw.decode(_ENCODINGS.get(encoding, "utf-8"), "replace").lstrip("\ufeff")


def _synchsafe(raw: bytes) -> int | None:
    if len(raw) < 4 or any(byte & 0x80 for byte in raw):
        return None
    return raw[0] << 21 | raw[1] << 14 | raw[2] << 7 | raw[3]


def _resynchronised(raw: bytes) -> bytes:
    return raw.replace(b"\xff\x00", b"\xff")
