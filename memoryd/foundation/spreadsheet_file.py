"""CSV files that people open in a spreadsheet: what somebody else named must not be run there."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import TextIO

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so would be run by a spreadsheet. Source: OWASP, CSV injection."""

SECONDS_DIGITS = 3
"""Digits after the point of a number that is no integer."""


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows under their headings; None as an empty cell, and a text that begins like a formula behind a quote."""
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows([safe_cell(value) for value in row] for row in rows)


def safe_cell(value: object) -> object:
    """Return what is written for a value: a text that begins like a formula behind a quote, numbers with few digits."""
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return f"'{value}"
    return round(value, SECONDS_DIGITS) if isinstance(value, float) else value
