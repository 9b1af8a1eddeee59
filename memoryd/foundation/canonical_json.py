"""JSON in one spelling, so that equal values have equal bytes and so equal hashes.

The spelling, version 1: pure ASCII (everything else as \\uXXXX, lone surrogates included), members sorted by name,
no white space, integers in full (seeds exceed 2^53), floats with integral value below 2^53 as integers, every other
float by its shortest digits that read back equal, -0 as 0. NaN and the infinities have no spelling.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TypeAlias

import orjson

from memoryd.foundation.errors import NotAcceptable, TooLarge

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_EXACT_INTEGER_LIMIT = 2**53
"""Below this, every integral float is exactly that integer. Source: IEEE 754 binary64."""

JSON_DEPTH_LIMIT = 200
"""Nesting of arrays and objects that is accepted. Real workflows nest below 20; deeper text attacks the parser."""

INTEGER_DIGITS_LIMIT = 4_300
"""Digits of one integer. Source: Python's own limit against quadratic conversion (sys.int_info)."""

_DIGITS = bytes(ord("0") if 48 <= byte <= 57 else ord(" ") for byte in range(256))
_MANY_DIGITS = b"0" * 19
"""So many digits in a row may be an integer beyond 64 bits, which the fast parser would make a float."""


class NotJson(NotAcceptable):
    """This text is not JSON."""


class NotCanonical(NotAcceptable):
    """This value has no canonical spelling."""


class JsonTooDeep(TooLarge):
    """This JSON is nested too deeply."""


def _plain(value: object, depth: int) -> object:
    if depth > JSON_DEPTH_LIMIT:
        raise JsonTooDeep(f"nested deeper than {JSON_DEPTH_LIMIT} levels (JSON_DEPTH_LIMIT)")
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotCanonical(f"{value!r} is not a number that JSON can spell")
        if value.is_integer() and abs(value) < _EXACT_INTEGER_LIMIT:
            return int(value)
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise NotCanonical("a member's name is not text")
        return {name: _plain(member, depth + 1) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    raise NotCanonical(f"{type(value).__name__} is not a JSON value")


def canonical_bytes(value: object) -> bytes:
    """Return the one spelling of a JSON value, ASCII.

    Raises: NotCanonical for NaN, infinities and what is not JSON; JsonTooDeep beyond JSON_DEPTH_LIMIT.
    """
    plain = _plain(value, 0)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def canonical_digest(value: object) -> bytes:
    """Return the SHA-256 (32 bytes) of the value's one spelling. Raises as canonical_bytes."""
    return hashlib.sha256(canonical_bytes(value)).digest()


def read_json(text: str | bytes) -> Json:
    """Read JSON leniently in what real writers do (NaN, Infinity), strictly in everything else; integers stay exact.

    The last of two members with one name wins, as in every reader our users know.
    Raises: NotJson; JsonTooDeep where nesting exceeds what the parser can hold.
    """
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if _MANY_DIGITS not in raw.translate(_DIGITS):
        try:
            value: Json = orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # the slower parser knows more, and says what is wrong in words that stay the same
        else:
            return value
    return _read_slowly(text)


def _read_slowly(text: str | bytes) -> Json:
    try:
        value: Json = json.loads(text)
    except RecursionError:
        raise JsonTooDeep("nested deeper than the parser can hold (JSON_DEPTH_LIMIT is lower)") from None
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    return value
