"""Statements that the driver sends by itself: for what is asked many times a second.

SQLAlchemy takes four times as long for a statement as the driver does, and Postgres waits meanwhile. What such a statement
finds is the same: rows whose columns are attributes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from memoryd.foundation.database import Session, raw_connection

_NAME = re.compile(r"(?<![:\w]):(\w+)")


class Lean:
    """A statement, spelled as for SQLAlchemy's `text`: names begin with a colon.

    A value that may be None, or a list that may be empty, needs a cast where Postgres cannot tell its type from its place;
    a JSON value is given as `jsonb(value)`.
    """

    __slots__ = ("_sent", "text")

    def __init__(self, sql: str) -> None:
        """Nothing is sent yet."""
        self.text = sql
        self._sent = _NAME.sub(r"%(\1)s", sql.replace("%", "%%"))

    def run(self, session: Session, values: Mapping[str, object]) -> None:
        """Send it in the session's transaction."""
        raw_connection(session).execute(self._sent, values)

    def first(self, session: Session, values: Mapping[str, object]) -> Any | None:
        """Send it, and return the first row, or None."""
        with raw_connection(session).cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(self._sent, values).fetchone()

    def one(self, session: Session, values: Mapping[str, object]) -> Any:
        """Send it, and return its row: there is always one."""
        row = self.first(session, values)
        assert row is not None
        return row

    def all(self, session: Session, values: Mapping[str, object]) -> list[Any]:
        """Send it, and return its rows."""
        with raw_connection(session).cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(self._sent, values).fetchall()


def jsonb(value: object) -> Jsonb:
    """Return a value as a statement takes it for a jsonb column."""
    return Jsonb(value)
