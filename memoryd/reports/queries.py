"""Every statement of this room: it reads, and writes nothing."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from memoryd.foundation.database import Session
from memoryd.workflows.tables import GraphIdentity, StoredGraph


def list_identities(session: Session, exacts: Collection[bytes]) -> list[tuple[bytes, str, str | None, bytes | None]]:
    """Return (exact, recipe of the graph, level, digest) for each identity of these graphs, under the graph's recipe."""
    rows = session.execute(
        select(StoredGraph.exact, StoredGraph.recipe, GraphIdentity.level, GraphIdentity.digest)
        .join(
            GraphIdentity,
            (GraphIdentity.exact == StoredGraph.exact) & (GraphIdentity.recipe == StoredGraph.recipe),
            isouter=True,
        )
        .where(StoredGraph.exact.in_(exacts))
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]
