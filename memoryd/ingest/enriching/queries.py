"""Statements about what was asked to be derived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, text

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


def list_inputs_to_keep(session: Session, subjects: Sequence[UUID], host: str) -> Sequence[Row[Any]]:
    """Return the contents that runs of these assets read and of which the store has none: sha256, name, root (a path).

    `root` is a folder of this host in which what the run made was found.
    """
    return session.execute(
        text("""
        select distinct i.sha256, i.name, r.path as root
          from generation_output o
          join generation_input i on i.generation_id = o.generation_id and i.sha256 is not null
          join location l on l.asset_id = o.asset_id and l.state = 'recorded'
          join watch_root r on r.id = l.watch_root_id and r.host = :host
         where o.asset_id = any(:subjects)
           and not exists (select from blob b where b.sha256 = i.sha256 and b.state = 'present')"""),
        {"subjects": list(subjects), "host": host},
    ).all()
