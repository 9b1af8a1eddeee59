"""Statements about kept sources of node packs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import insert

from memoryd.foundation.database import Session
from memoryd.reproduction.environments.tables import PackSource

Found = Row[Any]


def find_sources(session: Session, trees: Sequence[bytes]) -> Sequence[Found]:
    """Those of these trees whose sources are kept."""
    statement = text("select tree, archive, name, files, size from pack_source where tree = any(:trees) order by tree")
    return session.execute(statement, {"trees": list(trees)}).all()


def insert_source(session: Session, **values: object) -> bool:
    """Record the sources of a tree; False where they are kept already."""
    made = insert(PackSource).values(**values).on_conflict_do_nothing().returning(PackSource.tree)
    return session.execute(made).first() is not None
