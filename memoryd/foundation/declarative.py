"""The two lines of tables: the farm's (shared, once) and a tenant's (once per tenant schema).

Tables are declared without a schema: the unit of work's search path decides where a statement lands, and the role it
took decides whether it may.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import DateTime, Integer, LargeBinary, MetaData, Numeric, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeEngine

_NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}

Sha256 = Annotated[bytes, mapped_column(LargeBinary)]
"""32 bytes."""
Moment = Annotated[datetime.datetime, mapped_column(DateTime(timezone=True))]
"""An instant, UTC."""
RecordedNow = Annotated[
    datetime.datetime, mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp(), nullable=False)
]
"""The instant a row was written, by the database's clock."""
Seed = Annotated[int, mapped_column(Numeric(20, 0))]
"""0 to 2^64-1: a signed 64-bit column would not hold it."""


class _Line(DeclarativeBase):
    __abstract__ = True
    type_annotation_map: ClassVar[dict[Any, TypeEngine[Any]]] = {
        str: Text(),
        bytes: LargeBinary(),
        int: Integer(),
        datetime.datetime: DateTime(timezone=True),
        dict[str, object]: JSONB(),
        list[dict[str, object]]: JSONB(),
    }


class FarmTable(_Line):
    """A table that serves all tenants; lives in schema `farm`."""

    __abstract__ = True
    metadata = MetaData(naming_convention=_NAMING)


class TenantTable(_Line):
    """A table of one tenant; lives in the tenant's own schema."""

    __abstract__ = True
    metadata = MetaData(naming_convention=_NAMING)


__all__ = ["UUID", "FarmTable", "Moment", "RecordedNow", "Seed", "Sha256", "TenantTable"]
