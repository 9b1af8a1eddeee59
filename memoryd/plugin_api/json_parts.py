"""Members of a JSON object, one after the other and verbatim: what is wanted is cut out, the rest is not kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

JSON_LIMIT = 4 * 2**20
"""Bytes of a JSON text whose members are looked for. The largest real comment with a workflow has below 2 MB."""

MEMBERS_LIMIT = 20_000
"""Members of one object that are looked at."""

DEPTH_LIMIT = 200
"""Brackets within brackets; a workflow of subgraphs within subgraphs has below 30."""

_SPACE = re.compile(r"[ \t\r\n]*")
_MARK = re.compile(r'["\[\]{}]')
_PLAIN = re.compile(r"[^,\]}\s]+")


def members(text: str) -> Iterator[tuple[str, str]]:
    """Each member's key and the text of its value, as far as the text is a JSON object; ends where it is none.

    Nothing is built of the values: a hostile text costs its own length and no more.
    """
    place = _skip(text, 0)
    if len(text) > JSON_LIMIT or text[place : place + 1] != "{":
        return
    place = _skip(text, place + 1)
    for _ in range(MEMBERS_LIMIT):
        close = _string_end(text, place) if text[place : place + 1] == '"' else None
        key = string_of(text[place:close]) if close is not None else None
        if close is None or key is None:
            return
        place = _skip(text, close)
        if text[place : place + 1] != ":":
            return
        start = _skip(text, place + 1)
        end = _value_end(text, start)
        if end is None:
            return
        yield key, text[start:end]
        place = _skip(text, end)
        if text[place : place + 1] != ",":
            return
        place = _skip(text, place + 1)


def string_of(value: str) -> str | None:
    """Return the text of a JSON string, None where the value is none."""
    if value[:1] != '"':
        return None
    try:
        text = json.loads(value, strict=False)
    except ValueError:
        return None
    return text if isinstance(text, str) else None


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _value_end(text: str, place: int) -> int | None:
    """Where the value that begins here ends; None where it is cut off or too deep."""
    first = text[place : place + 1]
    if first == '"':
        return _string_end(text, place)
    if first not in ("{", "["):
        match = _PLAIN.match(text, place)
        return match.end() if match else None
    depth = 0
    while (match := _MARK.search(text, place)) is not None:
        mark, place = match.group(), match.end()
        if mark == '"':
            end = _string_end(text, place - 1)
            if end is None:
                return None
            place = end
        elif mark in "{[":
            depth += 1
            if depth > DEPTH_LIMIT:
                return None
        else:
            depth -= 1
            if not depth:
                return place
    return None


def _string_end(text: str, place: int) -> int | None:
    end = place + 1
    while (end := text.find('"', end)) >= 0:
        slashes = end - 1
        while text[slashes] == "\\":
            slashes -= 1
        if (end - slashes) % 2:
            return end + 1
        end += 1
    return None
