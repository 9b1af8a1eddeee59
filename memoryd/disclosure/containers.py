"""Containers: which kind a file is by its first bytes, which can carry a manifest, and what signing kept of them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from memoryd.disclosure.facts import Kept
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.imaging.decoding import ImageInexact, ImageTooLarge, ImageUnreadable
from memoryd.imaging.pixels import pixel_digest

_HEAD = 64
_PIECE = 1 << 20
PARTS_LIMIT = 1_000_000
"""Chunks or segments of one file that are compared; a PNG of 500 megapixels written in 8 kB chunks has 250,000."""

EMBEDDABLE = frozenset(
    [
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "image/tiff",
        "image/avif",
        "image/heic",
        "image/svg+xml",
        "video/mp4",
        "video/quicktime",
        "video/x-msvideo",
        "audio/mp4",
        "audio/wav",
        "audio/mpeg",
        "audio/flac",
    ]
)
"""Containers that a manifest is put into. Source: measured with c2pa-rs 0.91.3."""

NOT_EMBEDDABLE = {
    "video/webm": "WebM and Matroska have no place for a manifest",
    "audio/ogg": "Ogg (Opus, Vorbis) has no place for a manifest",
    "image/exr": "OpenEXR has no place for a manifest",
}


_DECODED = frozenset({"image/gif", "image/tiff", "image/avif"})
"""Kinds whose frames are compared after decoding."""


class CannotCarry(NotAcceptable):
    """This kind of file cannot carry a signed disclosure."""


class NotKept(MemorydError):
    """Signing changed more of the file than adding the manifest; the signed copy was thrown away."""


def media_type_of(path: Path) -> str:
    """Return the file's media type by its first bytes, `application/octet-stream` where they tell nothing.

    Raises: OSError.
    """
    with path.open("rb") as file:
        return sniff(file.read(_HEAD))


def sniff(head: bytes) -> str:
    """Return the media type that the first bytes (64 or more, if there are) tell."""
    fixed = {
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"\xff\xd8\xff": "image/jpeg",
        b"GIF87a": "image/gif",
        b"GIF89a": "image/gif",
        b"II*\x00": "image/tiff",
        b"MM\x00*": "image/tiff",
        b"fLaC": "audio/flac",
        b"ID3": "audio/mpeg",
        b"\xff\xfb": "audio/mpeg",
        b"OggS": "audio/ogg",
        b"\x1aE\xdf\xa3": "video/webm",
        b"\x76\x2f\x31\x01": "image/exr",
        b"<svg": "image/svg+xml",
    }
    for start, media_type in fixed.items():
        if head.startswith(start):
            return media_type
    if head[:4] == b"RIFF":
        riff = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
        return riff.get(head[8:12], "application/octet-stream")
    if head[4:8] == b"ftyp":
        return _bmff(head[8:12])
    return "application/octet-stream"


def check_can_carry(media_type: str) -> None:
    """Raise CannotCarry unless a manifest can be put into this kind of file."""
    if media_type in EMBEDDABLE:
        return
    reason = NOT_EMBEDDABLE.get(media_type, f"{media_type} is not a kind of file that a manifest can be put into")
    raise CannotCarry(reason, hint="export it as PNG, JPEG, WebP, AVIF or MP4, and disclose that")


def compare_kept(source: Path, signed: Path, media_type: str) -> Kept:
    """Return how far the signed file was proven to be the source with a manifest put in, and nothing else (INV-10).

    Raises: NotKept where a difference was found.
    """
    readers = {"image/png": _png_parts, "image/jpeg": _jpeg_parts, "image/webp": _webp_parts}
    reader = readers.get(media_type)
    if reader is None:
        return _compare_pixels(source, signed) if media_type in _DECODED else Kept.NOT_COMPARED
    with source.open("rb") as before, signed.open("rb") as after:
        for number, (one, other) in enumerate(zip_longest(reader(before), reader(after))):
            if one != other:
                where = one[0] if one else "the end"
                raise NotKept(f"part {number} ({where!r}) is not the original's", hint="the original is untouched")
            if number >= PARTS_LIMIT:
                raise NotKept(f"more than {PARTS_LIMIT} parts (PARTS_LIMIT) cannot be compared")
    return Kept.BYTES


def _compare_pixels(source: Path, signed: Path) -> Kept:
    try:
        before, after = pixel_digest(source), pixel_digest(signed)
    except (ImageUnreadable, ImageInexact, ImageTooLarge):
        # This machine's decoder knows this kind not, or not this file: then nothing was compared, and that is said.
        return Kept.NOT_COMPARED
    if before != after:
        raise NotKept("its pixels are not the original's", hint="the original is untouched")
    return Kept.PIXELS


def _bmff(brand: bytes) -> str:
    if brand in (b"avif", b"avis"):
        return "image/avif"
    if brand in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "image/heic"
    if brand == b"qt  ":
        return "video/quicktime"
    return "audio/mp4" if brand.startswith(b"M4A") else "video/mp4"


def _digest(file: BinaryIO, size: int | None) -> bytes:
    """Return the digest of the next `size` bytes (None: of all that follow), read in pieces."""
    digest = hashlib.sha256()
    left = size
    while left is None or left > 0:
        piece = file.read(_PIECE if left is None else min(_PIECE, left))
        if not piece:
            break
        digest.update(piece)
        left = None if left is None else left - len(piece)
    return digest.digest()


def _png_parts(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    yield "signature", file.read(8)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"caBX":
            file.seek(size + 4, 1)
            continue
        yield kind.decode("latin-1"), head + _digest(file, size + 4)
    yield "rest", head


def _jpeg_parts(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    yield "start", file.read(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        marker, size = head[1], struct.unpack(">H", head[2:])[0]
        if marker == 0xDA:
            # From here on compressed data, in which segments cannot be told apart without decoding.
            yield "scan", head + _digest(file, None)
            return
        body = file.read(max(size - 2, 0))
        if marker == 0xEB and body[:2] == b"JP":
            continue
        yield f"segment {marker:02x}", head + body
    yield "rest", head + _digest(file, None)


def _webp_parts(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    # The RIFF size counts the manifest too; an extended header may have been put in front for it.
    head = file.read(12)
    yield "form", head[:4] + head[8:]
    while len(head := file.read(8)) == 8:
        size = struct.unpack("<I", head[4:])[0]
        padded = size + size % 2
        if head[:4] in (b"C2PA", b"VP8X"):
            file.seek(padded, 1)
            continue
        yield head[:4].decode("latin-1"), head + _digest(file, padded)
    yield "rest", head
