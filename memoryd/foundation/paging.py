"""Keyset paging: a page ends with a cursor that names its last row, so that page 10,000 costs what page 1 costs."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Sequence
from typing import Generic, TypeVar
from uuid import UUID

from memoryd.foundation.canonical_json import Json, NotJson, canonical_bytes, read_json
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import parse_id

Row = TypeVar("Row")

PAGE_LIMIT = 500
"""Rows of one page at most."""

PAGE_DEFAULT = 50
CURSOR_LIMIT = 2_000
"""Characters of a cursor; ours are below 200."""


class BadCursor(NotAcceptable):
    """This cursor is none of ours."""


class BadPageSize(NotAcceptable):
    """A page cannot have this many rows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """Some rows, and the cursor that continues after them (None at the end)."""

    rows: Sequence[Row]
    next_cursor: str | None


def encode_cursor(*key: Json) -> str:
    """Return the cursor for a row's sort key (JSON values; times as ISO text, ids as text)."""
    return base64.urlsafe_b64encode(canonical_bytes(list(key))).decode("ascii").rstrip("=")


def decode_cursor(cursor: str, length: int) -> list[Json]:
    """Return the sort key a cursor names. Raises: BadCursor unless it has `length` parts."""
    if len(cursor) <= CURSOR_LIMIT:
        try:
            key = read_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        except (NotJson, binascii.Error, ValueError):
            key = None
        if isinstance(key, list) and len(key) == length:
            return key
    raise BadCursor("the cursor cannot be read", hint="start again without a cursor")


def decode_id(cursor: str | None) -> UUID | None:
    """Return the id that a cursor of one id names, None without a cursor. Raises: BadCursor."""
    if cursor is None:
        return None
    (text,) = decode_cursor(cursor, 1)
    found = parse_id(text) if isinstance(text, str) else None
    if found is None:
        raise BadCursor("the cursor is another list's", hint="start again without a cursor")
    return found


def page_size(asked: int | None) -> int:
    """Return the rows to fetch. Raises: BadPageSize outside 1..PAGE_LIMIT."""
    if asked is None:
        return PAGE_DEFAULT
    if not 1 <= asked <= PAGE_LIMIT:
        raise BadPageSize(f"{asked} rows were asked for", hint=f"ask for 1 to {PAGE_LIMIT} and follow next_cursor")
    return asked
