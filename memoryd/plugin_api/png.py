"""The structure of a PNG file: its header, its texts verbatim and in file order, and whether it is whole.

Pixels are never read: image data is sought over. Checked are lengths, types, order, and the checksums of what is read.
Source: PNG specification, third edition (W3C, 2025); `comf` is ComfyUI's own chunk (SaveAnimatedPNG).
"""

from __future__ import annotations

import dataclasses
import io
import os
import struct
import zlib
from typing import BinaryIO, NamedTuple

from isal.isal_zlib import crc32

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.container import ALL_TEXTS_LIMIT, TEXT_LIMIT, TEXTS_LIMIT
from memoryd.plugin_api.facts import Carrier, Completeness

SIGNATURE = b"\x89PNG\r\n\x1a\n"

CHUNKS_LIMIT = 500_000
"""Chunks of one file. A 100-megapixel picture in libpng's chunks of 8 KB has about 40,000."""

_CHUNK_LENGTH_LIMIT = 2**31 - 1
_TEXT_TYPES = frozenset((b"tEXt", b"zTXt", b"iTXt", b"comf"))
_DEPTHS_BY_COLOUR = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_HEADER_LENGTH = 13
_FRAME = struct.Struct(">I4s")
_SIZES = struct.Struct(">IIBB")
_BEGINS = SIGNATURE + _FRAME.pack(_HEADER_LENGTH, b"IHDR")
_FIRST_END = len(_BEGINS) + _HEADER_LENGTH + 4
_NEVER_PLAIN = frozenset((b"IHDR", b"zTXt", b"iTXt", b"comf", b"acTL"))
"""Chunks that are looked at more closely."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PngHeader:
    """IHDR. Width and height in pixels."""

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool = False


class PngChunk(NamedTuple):
    """One chunk: its type, where its data begin in the file, and how many bytes they are."""

    type: str
    offset: int
    length: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PngStructure:
    """What a PNG file is made of. `frames` is an APNG's number of frames, else None.

    `trailing` counts the bytes after IEND. `texts` hold the values after decompression.
    """

    completeness: Completeness
    header: PngHeader | None = None
    frames: int | None = None
    texts: tuple[Carrier, ...] = ()
    chunks: tuple[PngChunk, ...] = ()
    trailing: int = 0
    findings: tuple[Finding, ...] = ()


@dataclasses.dataclass(slots=True)
class _Walk:
    """A walk over one file's chunks, and what it has seen."""

    stream: BinaryIO
    size: int
    with_texts: bool
    header: PngHeader | None = None
    frames: int | None = None
    texts: list[Carrier] = dataclasses.field(default_factory=list)
    text_bytes: int = 0
    text_count: int = 0
    chunks: list[PngChunk] = dataclasses.field(default_factory=list)
    has_pixels: bool = False
    trailing: int = 0
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def find(self, code: str, detail: str, where: str = "") -> None:
        self.findings.append(Finding(code=code, detail=detail, where=where))

    def broken(self, detail: str, where: str = "") -> Completeness:
        self.find("broken-png", detail, where)
        return Completeness.BROKEN


def read_png(stream: BinaryIO, *, texts: bool = True) -> PngStructure:
    """Return the structure of the PNG in a seekable stream, from its start; with `texts=False` without reading texts.

    Never raises for what is in the file. Texts beyond TEXT_LIMIT, ALL_TEXTS_LIMIT or TEXTS_LIMIT are findings and left
    out, and no more than the limit is ever decompressed. A text whose checksum is wrong is kept, with a finding.
    Raises: OSError from the stream.
    """
    if texts and type(stream) is io.BytesIO and (plain := _plain_png(stream.getvalue())) is not None:
        return plain
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    walk = _Walk(stream=stream, size=size, with_texts=texts)
    completeness = _walk_chunks(walk)
    return PngStructure(
        completeness=completeness,
        header=walk.header,
        frames=walk.frames,
        texts=tuple(walk.texts),
        chunks=tuple(walk.chunks),
        trailing=walk.trailing,
        findings=tuple(walk.findings),
    )


def _plain_png(data: bytes) -> PngStructure | None:
    """The structure of a PNG in memory that is as most are: whole, and with nothing to be told of it. None for any other."""
    size = len(data)
    if size < _FIRST_END or data[: len(_BEGINS)] != _BEGINS or data[29:33] != crc32(data[12:29]).to_bytes(4, "big"):
        return None
    width, height, depth, colour = _SIZES.unpack_from(data, 16)
    if not 0 < width <= _CHUNK_LENGTH_LIMIT or not 0 < height <= _CHUNK_LENGTH_LIMIT:
        return None
    if depth not in _DEPTHS_BY_COLOUR.get(colour, ()):
        return None
    chunks = [PngChunk("IHDR", 16, _HEADER_LENGTH)]
    texts: list[Carrier] = []
    text_bytes, at, unpack = 0, _FIRST_END, _FRAME.unpack_from
    has_pixels = False
    while at + 12 <= size and len(chunks) < CHUNKS_LIMIT:
        length, type_ = unpack(data, at)
        start, end = at + 8, at + 12 + length
        if end > size or type_ in _NEVER_PLAIN or not type_.isalpha():
            return None
        chunks.append(PngChunk(type_.decode(), start, length))
        if type_ == b"IDAT":
            has_pixels = True
        elif type_ == b"tEXt":
            text_bytes += length
            close = data.find(b"\0", start, end - 4)
            fits = length <= TEXT_LIMIT and text_bytes <= ALL_TEXTS_LIMIT and len(texts) < TEXTS_LIMIT
            if close < 0 or not fits or data[end - 4 : end] != crc32(data[start - 4 : end - 4]).to_bytes(4, "big"):
                return None
            texts.append(
                Carrier(place="png:tEXt", key=data[start:close].decode("latin-1"), raw=data[close + 1 : end - 4])
            )
        elif type_ == b"IEND":
            header = PngHeader(
                width=width, height=height, bit_depth=depth, colour_type=colour, interlaced=data[28] != 0
            )
            whole = Completeness.COMPLETE
            plain = PngStructure(completeness=whole, header=header, texts=tuple(texts), chunks=tuple(chunks))
            return plain if has_pixels and end == size else None
        at = end
    return None


def _walk_chunks(walk: _Walk) -> Completeness:
    stream, size = walk.stream, walk.size
    signature = stream.read(len(SIGNATURE))
    if not SIGNATURE.startswith(signature):
        return walk.broken("the file does not begin as a PNG does")
    position = len(SIGNATURE)
    chunks, read, seek, unpack = walk.chunks, stream.read, stream.seek, _FRAME.unpack
    while True:
        frame = read(8)
        if len(frame) < 8:
            walk.find("truncated", f"the file ends after {size} bytes, before IEND")
            return Completeness.PARTIAL
        length, type_ = unpack(frame)
        start, position = position + 8, position + 12 + length
        if type_ == b"IDAT" and position <= size and 0 < len(chunks) < CHUNKS_LIMIT:
            # Image data are most of a file's chunks: libpng cuts them into pieces of 8 KB.
            walk.has_pixels = True
            chunks.append(PngChunk("IDAT", start, length))
            seek(position)
            continue
        if length > _CHUNK_LENGTH_LIMIT or not type_.isalpha():
            return walk.broken("not a chunk", f"byte {start - 8}")
        if not chunks and type_ != b"IHDR":
            return walk.broken("the first chunk is not IHDR", type_.decode())
        if len(chunks) >= CHUNKS_LIMIT:
            return walk.broken(f"more than {CHUNKS_LIMIT} chunks (CHUNKS_LIMIT)")
        if position > size:
            walk.find("truncated", f"the file ends after {size} bytes, inside a chunk", type_.decode())
            return Completeness.PARTIAL
        chunks.append(PngChunk(type_.decode(), start, length))
        if type_ == b"IEND":
            walk.trailing = size - position
            return _at_the_end(walk, position)
        if not _take(walk, type_, start, length):
            return Completeness.BROKEN
        seek(position)


def _take(walk: _Walk, type_: bytes, start: int, length: int) -> bool:
    """Take in one chunk whose data are there. False where the file is no PNG because of it."""
    if type_ in _TEXT_TYPES:
        if walk.with_texts:
            _take_text(walk, type_, start, length)
    elif type_ == b"IHDR":
        return _take_header(walk, length)
    elif type_ == b"acTL" and length == 8:
        walk.frames = struct.unpack(">I", walk.stream.read(4))[0]
    return True


def _take_header(walk: _Walk, length: int) -> bool:
    if walk.header is not None or length != _HEADER_LENGTH:
        walk.broken("IHDR is there twice, or not 13 bytes long", "IHDR")
        return False
    data = walk.stream.read(_HEADER_LENGTH)
    width, height, depth, colour = struct.unpack(">IIBB", data[:10])
    if not _checksum_holds(walk, b"IHDR", data):
        walk.broken("IHDR's checksum is wrong", "IHDR")
        return False
    if not (
        0 < width <= _CHUNK_LENGTH_LIMIT and 0 < height <= _CHUNK_LENGTH_LIMIT
    ) or depth not in _DEPTHS_BY_COLOUR.get(colour, ()):
        walk.broken(f"IHDR says {width}x{height}, depth {depth}, colour type {colour}", "IHDR")
        return False
    walk.header = PngHeader(width=width, height=height, bit_depth=depth, colour_type=colour, interlaced=data[12] != 0)
    return True


def _at_the_end(walk: _Walk, position: int) -> Completeness:
    if not walk.has_pixels:
        return walk.broken("IEND comes without any IDAT", "IEND")
    if walk.trailing:
        if walk.with_texts:
            _take_appended(walk, position)
        walk.find("bytes-after-end", f"{walk.trailing} bytes follow IEND", "IEND")
    return Completeness.COMPLETE


def _take_appended(walk: _Walk, position: int) -> None:
    """Take in texts that a program appended behind the end, where ComfyUI's editor finds them all the same."""
    for _ in range(TEXTS_LIMIT):
        walk.stream.seek(position)
        frame = walk.stream.read(8)
        if len(frame) < 8:
            return
        length, type_ = _FRAME.unpack(frame)
        if position + 12 + length > walk.size or not type_.isalpha():
            return
        if type_ in _TEXT_TYPES:
            _take_text(walk, type_, position + 8, length)
        position += 12 + length


def _checksum_holds(walk: _Walk, type_: bytes, data: bytes) -> bool:
    return walk.stream.read(4) == crc32(data, crc32(type_)).to_bytes(4, "big")


def _take_text(walk: _Walk, type_: bytes, start: int, length: int) -> None:
    where = f"{type_.decode()} at byte {start}"
    walk.text_count += 1
    if walk.text_count > TEXTS_LIMIT:
        if walk.text_count == TEXTS_LIMIT + 1:
            walk.find("too-many-texts", f"more than {TEXTS_LIMIT} texts (TEXTS_LIMIT): the rest is left out", where)
        return
    if length > TEXT_LIMIT or walk.text_bytes + length > ALL_TEXTS_LIMIT:
        limit = "TEXT_LIMIT" if length > TEXT_LIMIT else "ALL_TEXTS_LIMIT"
        walk.find("text-too-large", f"a text of {length} bytes is beyond {limit}", where)
        return
    data = walk.stream.read(length)
    if not _checksum_holds(walk, type_, data):
        walk.find("checksum-wrong", "a text's checksum is wrong: it may have been changed or damaged", where)
    key, found, rest = data.partition(b"\x00")
    if not found:
        walk.find("text-without-key", "a text has no key", where)
        return
    raw = _value(walk, type_, rest, where)
    if raw is not None:
        walk.text_bytes += len(raw)
        walk.texts.append(Carrier(place=f"png:{type_.decode()}", key=key.decode("latin-1"), raw=raw))


def _value(walk: _Walk, type_: bytes, rest: bytes, where: str) -> bytes | None:
    """The value's bytes as they were written, or None with a finding."""
    if type_ == b"zTXt":
        return _inflated(walk, rest[:1], rest[1:], where)
    if type_ == b"iTXt":
        # flag, method, language NUL, translated key NUL, text
        flag, method, parts = rest[:1], rest[1:2], rest[2:].split(b"\x00", 2)
        if len(parts) < 3:
            walk.find("text-malformed", "an international text lacks its parts", where)
            return None
        return _inflated(walk, method, parts[2], where) if flag == b"\x01" else parts[2]
    return rest


def _inflated(walk: _Walk, method: bytes, packed: bytes, where: str) -> bytes | None:
    if method != b"\x00":
        walk.find("text-malformed", "an unknown method of compression", where)
        return None
    room = min(TEXT_LIMIT, ALL_TEXTS_LIMIT - walk.text_bytes)
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, room + 1)
    except zlib.error as error:
        walk.find("text-malformed", f"it cannot be decompressed: {error}", where)
        return None
    if len(raw) > room:
        limit = "TEXT_LIMIT" if room == TEXT_LIMIT else "ALL_TEXTS_LIMIT"
        walk.find("text-too-large", f"a compressed text of {len(packed)} bytes grows beyond {limit}", where)
        return None
    if not inflater.eof:
        walk.find("text-malformed", "the compressed text is cut off: its beginning is kept", where)
    return raw
