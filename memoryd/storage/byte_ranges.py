"""Which part of a content a reader asks for, as HTTP says it: so that a film can be sought in without loading all of it.

Source: RFC 9110, section 14 (range requests) and 13.1.5 (If-Range).
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterator
from typing import BinaryIO

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.IGNORECASE)
"""One range. What does not look so (several ranges, other units, longer numbers) is answered with the whole content."""

PIECE = 256 * 1024
"""Bytes that are read at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes `first` to `last` (both included) of `size`."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """How many bytes it is."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """The range as its header spells it."""
        return f"bytes {self.first}-{self.last}/{self.size}"


class Answer(enum.Enum):
    """What is answered instead of a part."""

    WHOLE = enum.auto()
    NOT_SATISFIABLE = enum.auto()
    """The range lies beyond the content: 416, with the size."""


def asked_range(wanted: str | None, condition: str | None, *, etag: str, size: int) -> ByteRange | Answer:
    """Return the range that the headers Range (`wanted`) and If-Range (`condition`) ask for, or what to answer instead.

    A condition holds only where it is exactly this strong `etag`: contents here have no date that would prove anything.
    """
    if wanted is None or (condition is not None and condition.strip() != etag):
        return Answer.WHOLE
    matched = _ONE_RANGE.fullmatch(wanted.strip())
    if matched is None or not any(matched.groups()):
        return Answer.WHOLE
    first_text, last_text = matched.groups()
    if not first_text:
        count = min(int(last_text), size)
        if count == 0:
            return Answer.NOT_SATISFIABLE
        return ByteRange(first=size - count, last=size - 1, size=size)
    first, last = int(first_text), int(last_text) if last_text else size - 1
    if last_text and last < first:
        return Answer.WHOLE
    if first >= size:
        return Answer.NOT_SATISFIABLE
    return ByteRange(first=first, last=min(last, size - 1), size=size)


def read_part(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the next `length` bytes of an open file in pieces, and close it."""
    with file:
        while length > 0 and (piece := file.read(min(PIECE, length))):
            length -= len(piece)
            yield piece
