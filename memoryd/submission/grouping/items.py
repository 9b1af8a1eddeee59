"""From a template and its axes to items: which values each of them puts into which inputs. Pure."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.foundation.texts import storable
from memoryd.submission.grouping.addresses import Address, find_input

ITEMS_LIMIT = 10_000
"""Items of one group: a month of one card's pictures. More are several groups."""
AXES_LIMIT = 16
CSV_LIMIT = 16 * 1024 * 1024
"""Characters of a table."""

_TRUTHS: Mapping[str, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class TooManyItems(TooLarge):
    """A group has too many items."""


class BadItems(NotAcceptable):
    """These items cannot be made."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An input, and the values that it takes one after the other."""

    input: str
    values: tuple[Json, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items in order: each row has a value for each address."""

    addresses: tuple[Address, ...]
    rows: tuple[tuple[Json, ...], ...]

    def document(self, template: Mapping[str, Any], number: int) -> dict[str, Any]:
        """Return an item's graph: the template, with this item's values in it."""
        found = dict(template)
        for address, value in zip(self.addresses, self.rows[number], strict=True):
            node = found[address.node]
            found[address.node] = {**node, "inputs": {**node["inputs"], address.input: value}}
        return found

    def shown(self, number: int) -> dict[str, Json]:
        """Return an item's values by address, as people read them: integers beyond 2^53 as text."""
        values = zip(self.addresses, self.rows[number], strict=True)
        return {
            address.text: str(value) if isinstance(value, int) and abs(value) >= 2**53 else value
            for address, value in values
        }


def make_items(
    template: Mapping[str, Any], *, axes: Sequence[Axis] = (), rows: Sequence[Mapping[str, Json]] = ()
) -> Items:
    """Return every combination of the axes' values, for every row; the last axis changes fastest.

    Values get the type that the template has at their place: a table holds nothing but texts.
    Raises: InputNotFound, TitleAmbiguous, InputIsLinked, BadItems, TooManyItems.
    """
    columns = tuple(rows[0]) if rows else ()
    names = (*columns, *(axis.input for axis in axes))
    addresses = tuple(find_input(template, name) for name in names)
    if len({(address.node, address.input) for address in addresses}) < len(addresses):
        raise BadItems("an input is named twice", hint="give each input one axis or one column")
    if not addresses or len(names) > AXES_LIMIT:
        raise BadItems(f"{len(names)} inputs", hint=f"name 1 to {AXES_LIMIT} inputs (AXES_LIMIT)")
    total = math.prod([max(1, len(rows)), *(len(axis.values) for axis in axes)])
    if total == 0:
        raise BadItems("an axis has no values", hint="give each axis one value at least")
    if total > ITEMS_LIMIT:
        raise TooManyItems(f"{total} items", hint=f"{ITEMS_LIMIT} at most (ITEMS_LIMIT): make several groups")
    for number, row in enumerate(rows):
        if tuple(row) != columns:
            raise BadItems(f"row {number + 1} has other columns than the first", hint="name the same inputs in each")
    given = [
        _typed(template, addresses[: len(columns)], tuple(row.values()), number) for number, row in enumerate(rows)
    ]
    along = [
        [_value(template, address, value, None) for value in axis.values]
        for address, axis in zip(addresses[len(columns) :], axes, strict=True)
    ]
    combined = tuple((*row, *combination) for row in (given or [()]) for combination in itertools.product(*along))
    return Items(addresses=addresses, rows=combined)


def read_table(text: str) -> list[dict[str, Json]]:
    """Return the rows of a table (CSV with a head line; comma, semicolon or tab). Raises: BadItems, TooManyItems."""
    if len(text) > CSV_LIMIT:
        raise TooManyItems(f"a table of {len(text)} characters", hint=f"{CSV_LIMIT} at most (CSV_LIMIT)")
    head = text.lstrip("\ufeff").partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=separator)
    try:
        lines = [line for line in itertools.islice(reader, ITEMS_LIMIT + 2) if line]
    except csv.Error as error:
        raise BadItems(f"line {reader.line_num}: {error}", hint="save the table as CSV with a head line") from None
    if len(lines) < 2:
        raise BadItems("the table has no rows", hint="its first line names inputs, such as 6.text,3.seed")
    columns = [name.strip() for name in lines[0]]
    if len(lines) - 1 > ITEMS_LIMIT:
        raise TooManyItems("more rows than a group has items", hint=f"{ITEMS_LIMIT} at most (ITEMS_LIMIT)")
    if len(set(columns)) < len(columns):
        raise BadItems("a column is named twice", hint="give each input one column")
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(columns):
            raise BadItems(
                f"row {number} has {len(line)} values, the head names {len(columns)}",
                hint="put texts with commas or line ends between quotation marks",
            )
    return [dict(zip(columns, line, strict=True)) for line in lines[1:]]


def _typed(
    template: Mapping[str, Any], addresses: Sequence[Address], values: Sequence[Json], number: int
) -> tuple[Json, ...]:
    return tuple(_value(template, address, value, number) for address, value in zip(addresses, values, strict=True))


def _value(template: Mapping[str, Any], address: Address, value: Json, number: int | None) -> Json:
    where = f"row {number + 1}, {address.text}" if number is not None else address.text
    return typed_value(template[address.node]["inputs"][address.input], value, where=where)


def typed_value(present: Json, value: Json, *, where: str) -> Json:
    """Return a value with the type of the one that is `present` in its place. `where` names the place to people.

    A whole number gives way to a fraction: an editor writes 8.0 as 8. Raises: BadItems.
    """
    if isinstance(value, (list, dict)) or value is None:
        raise BadItems(_named(where, value, "one value, no list and no object"), hint="give texts or numbers")
    try:
        if isinstance(present, bool):
            return value if isinstance(value, bool) else _TRUTHS[str(value).strip().lower()]
        if isinstance(value, bool) or not isinstance(value, str):
            return str(value) if isinstance(present, str) and not isinstance(value, bool) else value
        if isinstance(present, int):
            return _number(value)
        if isinstance(present, float):
            return _finite(float(value))
    except (ValueError, KeyError, OverflowError):
        kind = "true or false" if isinstance(present, bool) else "a number"
        raise BadItems(_named(where, value, kind), hint="the template has one there") from None
    return value


def _number(spelled: str) -> int | float:
    try:
        return int(spelled)
    except ValueError:
        return _finite(float(spelled))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return value


def _named(where: str, value: Json, wanted: str) -> str:
    return storable(f"{where}: {str(value)[:80]!r} is not {wanted}")[0]
