"""Statements about which line was made from which."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, column, exists, func, literal, or_, select, text, true
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.catalog.queries.listed import ID, TEXT, listed
from memoryd.catalog.tables.content import Lineage
from memoryd.catalog.tables.decided import DeclaredParent
from memoryd.foundation.database import Session


def lock_lineage(session: Session) -> None:
    """Let one transaction at a time add edges in this tenant: two halves of a cycle must not pass each other."""
    session.execute(text("select pg_advisory_xact_lock(hashtext('memoryd.lineage'), hashtext(current_schema()))"))


def list_known_edges(session: Session, edges: Collection[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID, str]]:
    """Return those of the (child, parent) edges that are recorded, with each way."""
    asked = listed([{"child": child, "parent": parent} for child, parent in edges], {"child": ID, "parent": ID})
    rows = session.execute(
        select(Lineage.child_root, Lineage.parent_root, Lineage.via).join(
            asked, (asked.c.child == Lineage.child_root) & (asked.c.parent == Lineage.parent_root)
        )
    )
    return {(child, parent, via) for child, parent, via in rows}


def list_having_children(session: Session, roots: Collection[UUID]) -> set[UUID]:
    """Return those of the lines that something was made from."""
    return set(session.scalars(select(Lineage.parent_root).where(Lineage.parent_root.in_(roots)).distinct()))


def list_edges_above(session: Session, roots: Collection[UUID], limit: int) -> list[tuple[UUID, UUID]]:
    """Return all (child, parent) edges on paths upwards from these lines, at most `limit`."""
    start = listed([{"v": root} for root in roots], {"v": ID})
    above = select(Lineage.child_root, Lineage.parent_root).join(start, start.c.v == Lineage.child_root)
    walk = above.cte("walk", recursive=True)
    # `union`, not `union all`: an edge is walked once, however many paths lead to it.
    walk = walk.union(
        select(Lineage.child_root, Lineage.parent_root).join(walk, walk.c.parent_root == Lineage.child_root)
    )
    rows = session.execute(select(walk.c.child_root, walk.c.parent_root).limit(limit))
    return [(child, parent) for child, parent in rows]


def insert_edges(session: Session, edges: Sequence[tuple[UUID, UUID]], via: str) -> None:
    """Insert (child, parent) edges; what is known stays."""
    new = listed(
        [{"child": child, "parent": parent, "via": via} for child, parent in edges],
        {"child": ID, "parent": ID, "via": TEXT},
    )
    session.execute(
        insert(Lineage)
        .from_select(
            ["child_root", "parent_root", "via"],
            select(new.c.child, new.c.parent, new.c.via).order_by(new.c.child, new.c.parent),
        )
        .on_conflict_do_nothing()
    )


def _shown(sees: Sees) -> ColumnElement[bool]:
    if sees is None:
        return true()
    said = exists().where(
        DeclaredParent.child_root == Lineage.child_root,
        DeclaredParent.parent_root == Lineage.parent_root,
        DeclaredParent.via == Lineage.via,
    )
    return or_(~said, said.where(DeclaredParent.project_id.in_(sees)))


def list_relatives(
    session: Session, root: UUID, sees: Sees, *, upwards: bool, depth: int, limit: int
) -> list[tuple[UUID, UUID, str, int]]:
    """Return (line, its neighbour nearer to `root`, via, distance) of ancestors or descendants, nearest first.

    Distances up to `depth`, at most `limit` rows. A line on several paths comes once per neighbour, at its shortest.
    What only people of projects that the caller does not see declared is not walked.
    """
    shown = _shown(sees)
    near, far = (Lineage.child_root, Lineage.parent_root) if upwards else (Lineage.parent_root, Lineage.child_root)
    first = select(
        far.label("line"), near.label("neighbour"), Lineage.via.label("via"), literal(1, Integer).label("distance")
    ).where(near == root, shown)
    walk = first.cte("walk", recursive=True)
    walk = walk.union(
        select(far, near, Lineage.via, walk.c.distance + 1)
        .join(walk, walk.c.line == near)
        .where(walk.c.distance < depth, shown)
    )
    nearest = func.min(walk.c.distance).label("distance")
    rows = session.execute(
        select(walk.c.line, walk.c.neighbour, walk.c.via, nearest)
        .group_by(walk.c.line, walk.c.neighbour, walk.c.via)
        .order_by(column("distance"), walk.c.line, walk.c.neighbour)
        .limit(limit)
    )
    return [(line, neighbour, via, distance) for line, neighbour, via, distance in rows]
