"""Words hidden in the lowest bits of pixels, as NovelAI and others do beside or instead of texts.

Only as much of the picture is decoded as decides: eight lines for the signature's first letter, and the first columns of
all lines where it is there. Source: the format as measured: bits go down each column, then to the next one; a signature,
the payload's length in bits (u32, big-endian), the payload.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator

from memoryd.plugin_api.container import TEXT_LIMIT, Walk

SIGNATURES = ("stealth_pnginfo", "stealth_pngcomp", "stealth_rgbinfo", "stealth_rgbcomp")

PAYLOAD_LIMIT = 4 * 2**20
"""Bytes of a payload before decompression: a picture of 32 megapixels cannot hide more in one channel."""

PIXELS_LIMIT = 64_000_000
"""Pixels of a picture that is looked into."""

_SIGNATURE_SIZE = 15
_HEAD_BITS = (_SIGNATURE_SIZE + 4) * 8
_FIRST_LINES = 8
_FIRST_LETTER = b"s"[0]
_PIECE = 65_536


def hidden_in_png(walk: Walk, pieces: list[tuple[int, int]], *, channels: int) -> None:
    """Carry what a PNG of 8 bits and three or four channels hides; `pieces` are its image data by offset and length."""
    width, height = walk.width or 0, walk.height or 0
    if not width or not height or width * height > PIXELS_LIMIT:
        return
    first = _columns(walk, pieces, channels=channels, columns=1, lines=min(height, _FIRST_LINES))
    plans = [(3, 3)] if channels == 4 else []
    plans.append((0, 2))
    for low, high in plans:
        if height >= _FIRST_LINES and _letter(first, channels, low, high) != _FIRST_LETTER:
            continue
        per_pixel = high - low + 1
        needed = -(-_HEAD_BITS // (height * per_pixel))
        head = _bits(
            _columns(walk, pieces, channels=channels, columns=min(needed, width), lines=height), channels, low, high
        )
        length = _length_said(head, low)
        if length is None:
            continue
        needed = -(-(_HEAD_BITS + length * 8) // (height * per_pixel))
        if needed > width:
            walk.find("text-malformed", "a hidden text is longer than its picture has room", "stealth")
            return
        lines = _columns(walk, pieces, channels=channels, columns=needed, lines=height)
        _carry(walk, _bits(lines, channels, low, high), length)
        return


def hidden_in_webp(walk: Walk) -> None:
    """Carry what the alpha of a lossless WebP hides."""
    width, height = walk.width or 0, walk.height or 0
    if not width or not height or width * height > PIXELS_LIMIT // 16 or walk.size > TEXT_LIMIT:
        return
    from PIL import Image

    try:
        with Image.open(io.BytesIO(walk.at(0, walk.size)), formats=("WEBP",)) as picture:
            if picture.mode != "RGBA":
                return
            alpha = picture.getchannel("A").tobytes()
    except Exception:  # whatever a decoder says of a picture, it hides no text that we could read
        return
    if len(alpha) != width * height:
        return
    columns = min(width, -(-(_HEAD_BITS + PAYLOAD_LIMIT * 8) // height))
    bits = bytes(byte & 1 for column in range(min(columns, -(-_HEAD_BITS // height))) for byte in alpha[column::width])
    length = _length_said(_packed(bits), 3)
    if length is not None and _HEAD_BITS + length * 8 <= width * height:
        needed = -(-(_HEAD_BITS + length * 8) // height)
        _carry(walk, _packed(bytes(byte & 1 for column in range(needed) for byte in alpha[column::width])), length)


def _length_said(head: bytes, low: int) -> int | None:
    """The payload's bytes, where the first bytes are a signature for this channel."""
    signature = head[:_SIGNATURE_SIZE].decode("latin-1")
    if signature not in SIGNATURES or signature.startswith("stealth_rgb") != (low == 0):
        return None
    length = -(-int.from_bytes(head[_SIGNATURE_SIZE : _SIGNATURE_SIZE + 4], "big") // 8)
    return length if 0 < length <= PAYLOAD_LIMIT else None


def _carry(walk: Walk, found: bytes, length: int) -> None:
    signature = found[:_SIGNATURE_SIZE].decode("latin-1")
    payload = found[_SIGNATURE_SIZE + 4 : _SIGNATURE_SIZE + 4 + length]
    if signature.endswith("comp"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(payload)) as packed:
                payload = packed.read(TEXT_LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            walk.find("text-malformed", f"a hidden text cannot be decompressed: {error}", "stealth")
            return
    walk.carry("stealth", signature, payload)


def _letter(lines: list[bytes], channels: int, low: int, high: int) -> int:
    return (_bits(lines, channels, low, high) or b"\x00")[0]


def _bits(lines: list[bytes], channels: int, low: int, high: int) -> bytes:
    """The lowest bits of some channels, down each column, packed."""
    columns = len(lines[0]) // channels if lines else 0
    return _packed(
        bytes(
            line[column * channels + channel] & 1
            for column in range(columns)
            for line in lines
            for channel in range(low, high + 1)
        )
    )


def _packed(bits: bytes) -> bytes:
    whole = len(bits) // 8 * 8
    if not whole:
        return b""
    return int(bits[:whole].translate(_DIGITS), 2).to_bytes(whole // 8, "big")


_DIGITS = bytes.maketrans(b"\x00\x01", b"01")


def _columns(walk: Walk, pieces: list[tuple[int, int]], *, channels: int, columns: int, lines: int) -> list[bytes]:
    """The first columns of the first lines, unfiltered: a pixel depends on those left of it and above, no others."""
    width = columns * channels
    above = bytes(width)
    found: list[bytes] = []
    for kind, line in _lines(walk, pieces, 1 + (walk.width or 0) * channels, lines):
        above = _unfiltered(kind, bytearray(line[:width]), above, channels)
        found.append(above)
    return found


def _lines(walk: Walk, pieces: list[tuple[int, int]], stride: int, lines: int) -> Iterator[tuple[int, bytes]]:
    """Each line's filter and bytes, decompressing no more than these lines need."""
    inflater = zlib.decompressobj()
    waiting = b""
    for offset, length in pieces:
        for begin in range(0, length, _PIECE):
            packed = walk.at(offset + begin, min(_PIECE, length - begin))
            while packed:
                try:
                    waiting += inflater.decompress(packed, max(stride * 16, _PIECE))
                except zlib.error:
                    return
                packed = inflater.unconsumed_tail
                whole = len(waiting) // stride
                for number in range(min(whole, lines)):
                    start = number * stride
                    yield waiting[start], waiting[start + 1 : start + stride]
                lines -= min(whole, lines)
                waiting = waiting[whole * stride :]
                if not lines or inflater.eof:
                    return


def _unfiltered(kind: int, line: bytearray, above: bytes, channels: int) -> bytes:
    if kind == 1:
        for place in range(channels, len(line)):
            line[place] = line[place] + line[place - channels] & 255
    elif kind == 2:
        for place in range(len(line)):
            line[place] = line[place] + above[place] & 255
    elif kind == 3:
        for place in range(len(line)):
            left = line[place - channels] if place >= channels else 0
            line[place] = line[place] + (left + above[place] >> 1) & 255
    elif kind == 4:
        for place in range(len(line)):
            left, corner = (line[place - channels], above[place - channels]) if place >= channels else (0, 0)
            line[place] = line[place] + _paeth(left, above[place], corner) & 255
    return bytes(line)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
