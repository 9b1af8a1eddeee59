"""Values as tools write them, made plain: numbers, words, JSON; what only stands for "nothing" is None."""

from __future__ import annotations

import datetime
import email.utils
import json
import math
import re
from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

TEXT_LIMIT = 1_000_000
"""Characters of one text that a dialect reads. Source: the longest recipe seen has 90,000."""

LIST_LIMIT = 2_000
"""Items of one list that are read: models, resources, regions."""

NAME_LIMIT = 1_000
"""Characters of a name in which a weight or a hash is looked for."""

DIGITS_LIMIT = 40
"""Digits of a number: seeds have 20 at most."""

_NOTHING = frozenset(("", "none", "null", "undefined", "n/a", "nan"))
_DIGITS = re.compile(rf"\+?\d{{1,{DIGITS_LIMIT}}}(?:\.0*)?")
_SIZE = re.compile(r"\s*\(?\s*(\d{1,6})\s*[x×*,X]\s*(\d{1,6})\s*\)?\s*")


def json_of(text: str) -> Json:
    """Return the JSON value a text holds, unwrapped where it is a JSON string that holds JSON; None where it is none."""
    text = text.strip(" \t\r\n\x00\ufeff")
    for _ in range(2):
        if text[:1] not in ("{", "[", '"') or len(text) > TEXT_LIMIT:
            return None
        try:
            value: Json = json.loads(text, parse_constant=lambda _: None, strict=False)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, str):
            return value
        text = value.strip()
    return None


def object_of(text: str) -> dict[str, Json] | None:
    """Return the JSON object a text holds, or None."""
    value = json_of(text)
    return value if isinstance(value, dict) else None


def part(value: Json, name: str) -> dict[str, Json]:
    """Return the object under a name, an empty one where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def items(value: Json) -> list[Json]:
    """Return a list's items, LIST_LIMIT of them; nothing is in what is no list."""
    return value[:LIST_LIMIT] if isinstance(value, list) else []


def text(value: object) -> str | None:
    """Return a text as written, None where it is none or has only blanks and commas."""
    return value if isinstance(value, str) and value.strip(" ,\t\r\n") else None


def word(value: object) -> str | None:
    """Return a word or number as text, without blanks around it; None where it stands for nothing."""
    if isinstance(value, bool) or value is None or not isinstance(value, str | int | float):
        return None
    found = str(value).strip()
    return None if found.lower() in _NOTHING else found


def whole(value: object) -> int | None:
    """Return a whole number that is not negative (-1 stands for nothing), whatever its size; None otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value >= 0 and value.is_integer() else None
    if isinstance(value, int):
        return value if 0 <= value < 10**DIGITS_LIMIT else None
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value.strip().lstrip("+").partition(".")[0])
    return None


def number(value: object) -> float | None:
    """Return a finite number, None otherwise."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def count(value: object) -> int | None:
    """Return a number of steps: whole, from 1 to a million; None otherwise."""
    found = whole(value)
    return found if found is not None and 0 < found <= 1_000_000 else None


def pixels(value: object) -> int | None:
    """Return a side in pixels; None otherwise."""
    found = whole(value)
    return found if found is not None and 0 < found < 2**31 else None


def size(value: object) -> tuple[int | None, int | None]:
    """Return width and height of `512x768`, `(512, 768)`, `512 × 768`, [512, 768]; None and None otherwise."""
    if isinstance(value, list) and len(value) == 2:
        return pixels(value[0]), pixels(value[1])
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return (pixels(found[1]), pixels(found[2])) if found else (None, None)


def plain_settings(source: Mapping[str, Json], known: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return every other value of an object by name, as written; lists and objects as JSON, nothing for nothing."""
    found: list[tuple[str, str]] = []
    for name, value in source.items():
        if name in known or value is None or value in ("", [], {}):
            continue
        if isinstance(value, str):
            found.append((name, value))
        else:
            found.append((name, json.dumps(value, ensure_ascii=False)))
    return tuple(found)


def when(value: object) -> datetime.datetime | None:
    """Return an instant: ISO text with or without zone (then UTC), or as letters are dated; None otherwise."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    found = value.strip().replace("Z", "+00:00")
    # Seven digits of a second are more than Python reads.
    found = re.sub(r"(\.\d{6})\d+", r"\1", found)
    try:
        moment = datetime.datetime.fromisoformat(found)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except (ValueError, IndexError):
            return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
