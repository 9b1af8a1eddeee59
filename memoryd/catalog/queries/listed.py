"""Rows handed to one statement: the set-based statements of this room select from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    TableValuedAlias,
    Text,
    Uuid,
    bindparam,
    column,
    func,
)
from sqlalchemy.types import TypeEngine

from memoryd.foundation.arrays import Array
from memoryd.foundation.database import Session, raw_connection

Row: TypeAlias = Mapping[str, object]

ID: TypeEngine[Any] = Uuid()
BYTES: TypeEngine[Any] = LargeBinary()
TEXT: TypeEngine[Any] = Text()
INT: TypeEngine[Any] = Integer()
SMALL: TypeEngine[Any] = SmallInteger()
BIG: TypeEngine[Any] = BigInteger()
FLAG: TypeEngine[Any] = Boolean()
NUMBER: TypeEngine[Any] = Float(53)
MOMENT: TypeEngine[Any] = DateTime(timezone=True)


def listed(rows: Sequence[Row], types: Mapping[str, TypeEngine[Any]]) -> TableValuedAlias:
    """Return a table of the rows, to select from: one array per column, whatever the number of rows."""
    arrays = [
        bindparam(f"listed_{name}", [row[name] for row in rows], Array(kind), unique=True)
        for name, kind in types.items()
    ]
    columns = [column(name, kind) for name, kind in types.items()]
    return func.unnest(*arrays).table_valued(*columns, name="listed").render_derived()


def copy_rows(session: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Append rows that cannot exist yet, by COPY."""
    with (
        raw_connection(session).cursor() as cursor,
        cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin") as copy,
    ):
        for row in rows:
            copy.write_row(row)
