"""Statements about what changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from memoryd.foundation.database import Session


def present_schema(session: Session) -> str:
    """Return the schema of the tenant whose role this transaction has taken."""
    schema: str = session.execute(text("select current_schema()")).scalar_one()
    return schema


def find_by_keys(session: Session, keys: Sequence[bytes]) -> list[bytes]:
    """Return the models whose hashes begin with one of these 16 bytes."""
    statement = text(
        "select m.sha256 from unnest(cast(:keys as bytea[])) k"
        " join model m on m.sha256 >= k || decode(repeat('00', 16), 'hex')"
        " and m.sha256 <= k || decode(repeat('ff', 16), 'hex')"
    )
    return [bytes(row.sha256) for row in session.execute(statement, {"keys": list(keys)})]
