"""Statements about what was asked to be derived."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import insert, select

from memoryd.foundation.database import Session
from memoryd.ingest.tables import EnrichmentOrder


def insert_order(session: Session, **values: object) -> None:
    """Record that recipes were asked for."""
    session.execute(insert(EnrichmentOrder).values(**values))


def find_order(session: Session, order: UUID) -> EnrichmentOrder | None:
    """Return what was asked, or None."""
    return session.scalar(
        select(EnrichmentOrder).where(EnrichmentOrder.id == order).execution_options(populate_existing=True)
    )
