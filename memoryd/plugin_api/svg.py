"""SVG pictures: the words in `metadata`, and the size. No XML parser: entities are never expanded.

Source: SVG 2; ComfyUI's SaveSVGNode writes a CDATA section into `metadata`.
"""

from __future__ import annotations

import html
import re
from typing import BinaryIO

from memoryd.plugin_api.container import TEXT_LIMIT, Structure, Walk

HEAD_SIZE = 65_536
"""Bytes at the beginning in which the root element must open."""

TAIL_SIZE = 4_096
"""Bytes at the end in which the root element must close."""

_SIDE_LIMIT = 1_000_000
"""Pixels of a side that is believed."""

_PROLOGUE = ((b"<?", b"?>"), (b"<!--", b"-->"), (b"<!DOCTYPE", b">"))
"""What may come before the root element, and how it ends. Entities that a DOCTYPE declares are not read."""

_ROOT = re.compile(rb"<(?:\w{1,20}:)?svg(?=[\s>/])")
_ATTRIBUTE = re.compile(rb"(?<![\w:-])(width|height|viewBox)\s*=\s*(?:\"([^\"]{0,200})\"|'([^']{0,200})')")
_CLOSING = re.compile(rb"</(?:\w{1,20}:)?svg\s{0,20}>")
_LENGTH = re.compile(rb"\s*([0-9]{1,9}(?:\.[0-9]{0,9})?)\s*(px|pt|in|cm|mm)?\s*$")
_UNITS = {b"": 1.0, b"px": 1.0, b"pt": 96 / 72, b"in": 96.0, b"cm": 96 / 2.54, b"mm": 96 / 25.4}


def is_svg(head: bytes) -> bool:
    """Tell an SVG by its root element, which nothing but declarations and remarks may come before."""
    return _root(head) is not None


def read_svg(stream: BinaryIO, *, texts: bool = True) -> Structure:
    """Return what the SVG in a seekable stream says, from its start. Raises only OSError from the stream."""
    walk = Walk(stream, "svg", "image/svg+xml", with_texts=texts)
    head = walk.at(0, HEAD_SIZE)
    start = _root(head)
    if start is None:
        return walk.truncated() if walk.size < HEAD_SIZE else walk.broken("no svg element begins it")
    end = head.find(b">", start)
    if end < 0:
        return walk.truncated() if walk.size < HEAD_SIZE else walk.broken("its svg element does not end")
    attributes = head[start:end]
    _measure(walk, attributes)
    if texts and walk.size <= TEXT_LIMIT:
        _metadata(walk, walk.at(0, walk.size))
    elif texts:
        walk.find("text-too-large", f"an SVG of {walk.size} bytes is beyond TEXT_LIMIT: its words are not looked for")
    tail = walk.at(max(end, walk.size - TAIL_SIZE), TAIL_SIZE)
    closes = attributes.endswith(b"/") or _CLOSING.search(tail) is not None
    return walk.complete() if closes and tail.rstrip(b"\x00 \t\r\n").endswith(b">") else walk.truncated()


def _root(head: bytes) -> int | None:
    """Where the svg element begins; None where something else does."""
    place = 3 if head[:3] == b"\xef\xbb\xbf" else 0
    while place < len(head):
        if head[place : place + 1].isspace():
            place += 1
            continue
        if _ROOT.match(head, place):
            return place
        ends = [end for begin, end in _PROLOGUE if head.startswith(begin, place)]
        if not ends:
            return None
        close = head.find(ends[0], place)
        if ends[0] == b">":
            subset = head.find(b"[", place, close if close >= 0 else len(head))
            if subset >= 0:
                close = head.find(b">", max(head.find(b"]", subset), subset))
        if close < 0:
            return None
        place = close + len(ends[0])
    return None


def _measure(walk: Walk, attributes: bytes) -> None:
    found = {name: double or single for name, double, single in _ATTRIBUTE.findall(attributes)}
    box = found.get(b"viewBox", b"").replace(b",", b" ").split()
    sides = [_pixels(found.get(b"width", b"")), _pixels(found.get(b"height", b""))]
    if len(box) == 4:
        sides = [side or _pixels(value) for side, value in zip(sides, box[2:], strict=True)]
    if all(side is not None and 0 < side <= _SIDE_LIMIT for side in sides):
        walk.width, walk.height = sides


def _pixels(value: bytes) -> int | None:
    match = _LENGTH.match(value)
    return round(float(match.group(1)) * _UNITS[match.group(2) or b""]) if match else None


def _metadata(walk: Walk, content: bytes) -> None:
    place = 0
    while (place := content.find(b"metadata", place)) >= 0 and walk.step():
        name = content[content.rfind(b"<", max(0, place - 24), place) + 1 : place + 8]
        place += 8
        if name not in (b"metadata", b"svg:metadata") or content[place : place + 1] not in (
            b">",
            b" ",
            b"\t",
            b"\n",
            b"\r",
        ):
            continue
        start = content.find(b">", place) + 1
        if not start:
            return
        if content[start - 2 : start] == b"/>":
            place = start
            continue
        inner = start + len(content[start : start + 100]) - len(content[start : start + 100].lstrip())
        is_cdata = content.startswith(b"<![CDATA[", inner)
        # A section may hold what looks like the closing tag.
        end = content.find(b"]]>" if is_cdata else b"</" + name, inner)
        _take(walk, content[inner + 9 if is_cdata else inner : end if end >= 0 else len(content)], is_cdata)
        if end < 0:
            return
        place = end + 3 + len(name)


def _take(walk: Walk, raw: bytes, is_cdata: bool) -> None:
    raw = raw.strip()
    if not is_cdata and raw[:1] in (b"{", b"&"):
        raw = html.unescape(raw.decode("utf-8", "replace")).encode("utf-8", "replace")
    if b"c2pa:manifest" in raw[:4096]:
        walk.has_manifest = True
    elif b"<x:xmpmeta" in raw or b"<rdf:RDF" in raw:
        walk.carry("xmp", "XML:com.adobe.xmp", raw)
    elif raw:
        walk.carry("metadata", "metadata", raw)
