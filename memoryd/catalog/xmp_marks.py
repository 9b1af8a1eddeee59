"""Ratings and subjects out of XMP packets, as photo tools write them. Pure; a packet is hostile input.

Source: XMP specification part 1, section 7 (RDF); part 2, section 2.2 (xmp:Rating: -1 rejected, 0 unrated, 1 to 5).
"""

from __future__ import annotations

import dataclasses
import xml.parsers.expat

from memoryd.catalog.peers import NAME_LIMIT, NAMES_LIMIT

PACKET_LIMIT = 8 * 1024 * 1024
"""Bytes of a packet. Source: packets with embedded thumbnails stay below 1 MB."""

DEPTH_LIMIT = 64
"""Elements inside elements; RDF's own nesting stays below 12."""

_XMP, _DC = "http://ns.adobe.com/xap/1.0/", "http://purl.org/dc/elements/1.1/"
_LIGHTROOM = "http://ns.adobe.com/lightroom/1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RATING = f"{_XMP} Rating"
_LISTS = frozenset({f"{_DC} subject", f"{_LIGHTROOM} hierarchicalSubject"})
_ITEM = f"{_RDF} li"


class _Refused(Exception):
    """The packet has what no packet has."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class XmpMarks:
    """What a packet says. `stars` 1 to 5; `fault` is why it could not be read."""

    stars: int | None = None
    rejected: bool = False
    subjects: tuple[str, ...] = ()
    fault: str | None = None


def read_marks(packet: bytes) -> XmpMarks:
    """Return the rating and subjects of a packet; a hierarchical subject `Animals|Fox` as `Animals/Fox`."""
    if len(packet) > PACKET_LIMIT:
        return XmpMarks(fault=f"{len(packet)} bytes (PACKET_LIMIT is {PACKET_LIMIT})")
    reading = _Reading()
    try:
        # Padding and the NUL that some writers leave are no XML.
        reading.parser.Parse(packet.strip(b"\0 \t\r\n\xef\xbb\xbf"), True)
    except (xml.parsers.expat.ExpatError, _Refused, ValueError, LookupError) as error:
        return XmpMarks(fault=str(error)[:200])
    return reading.marks()


class _Reading:
    def __init__(self) -> None:
        self.parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        # Without declarations there are no entities: nothing grows, nothing is fetched.
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.open: list[str] = []
        self.text = ""
        self.rating: str | None = None
        self.subjects: list[str] = []

    def _doctype(self, *_: object) -> None:
        raise _Refused("a packet has no document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.open) >= DEPTH_LIMIT:
            raise _Refused("nested too deeply (DEPTH_LIMIT)")
        self.open.append(name)
        self.text = ""
        if _RATING in attributes:
            self.rating = attributes[_RATING]

    def _text(self, text: str) -> None:
        if self.open and (self.open[-1] == _ITEM or self.open[-1] == _RATING) and len(self.text) <= NAME_LIMIT:
            self.text += text

    def _end(self, name: str) -> None:
        if name == _RATING:
            self.rating = self.text
        elif name == _ITEM and len(self.open) > 2 and self.open[-3] in _LISTS and len(self.subjects) < NAMES_LIMIT:
            word = "/".join(part.strip() for part in self.text.split("|") if part.strip())
            if 0 < len(word) <= NAME_LIMIT:
                self.subjects.append(word)
        self.open.pop()
        self.text = ""

    def marks(self) -> XmpMarks:
        try:
            rating = float(self.rating) if self.rating is not None else 0.0
        except ValueError:
            rating = 0.0
        whole = int(rating) if -1 <= rating <= 5 else 0
        return XmpMarks(
            stars=whole if whole > 0 else None,
            rejected=whole == -1,
            subjects=tuple(dict.fromkeys(self.subjects)),
        )
