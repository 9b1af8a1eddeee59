"""COPY of rows that were made as lines elsewhere (foundation.copy_lines)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg

from memoryd.foundation.database import Session, raw_connection


class RowExists(Exception):
    """One of the rows is there already: the transaction can only be given up."""


def copy_ready(session: Session, table: str, columns: Sequence[str], lines: Iterable[bytes]) -> None:
    """Append rows, given as lines of COPY's text format. Raises: RowExists."""
    whole = b"".join(lines)
    if not whole:
        return
    try:
        with (
            raw_connection(session).cursor() as cursor,
            cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin") as copy,
        ):
            copy.write(whole)
    except psycopg.errors.UniqueViolation as error:
        raise RowExists(table) from error
