"""Which picture was made from which: never a cycle (INV-6), kept between lines, so that a rewrite keeps its family."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog.asset_view import Relative
from memoryd.catalog.queries import lineage as queries
from memoryd.catalog.queries import lineage_declared, showing
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId

DEPTH_LIMIT = 50
"""Steps that are followed up or down. Real chains of edits stay below 20."""

RELATIVES_LIMIT = 1_000
"""Relatives that are answered; nearest first."""

EDGES_ABOVE_LIMIT = 100_000
"""Edges that are read to find out whether one more would close a cycle."""

VIA_INPUT = "input"
"""The parent's content was an input file of the run that made the child."""

SOURCE_READ = "read"
"""Nobody had to say it: files or jobs do."""


def add_edges(session: Session, edges: set[tuple[UUID, UUID]], via: str = VIA_INPUT) -> set[tuple[UUID, UUID]]:
    """Record (child, parent) edges between lines; return those refused, each of which would have closed a cycle.

    Also refused: edges above which more than EDGES_ABOVE_LIMIT others lie, since nobody could tell.
    """
    if not edges:
        return set()
    queries.lock_lineage(session)
    known = queries.list_known_edges(session, edges)
    # An edge that is known in another way closes no new circle, and stands in each way by itself.
    if again := {(child, parent) for child, parent, _ in known if (child, parent, via) not in known}:
        queries.insert_edges(session, sorted(again), via)
    new = edges - {(child, parent) for child, parent, _ in known}
    if not new:
        return set()
    parents = {parent for _, parent in new}
    children = {child for child, _ in new}
    above: list[tuple[UUID, UUID]] = []
    # An edge closes a cycle only where something was already made from the child.
    if children & parents or queries.list_having_children(session, children):
        above = queries.list_edges_above(session, parents, EDGES_ABOVE_LIMIT)
        if len(above) == EDGES_ABOVE_LIMIT:
            return new
    accepted, refused = without_cycles(sorted(new), above)
    if accepted:
        queries.insert_edges(session, accepted, via)
    return refused


def without_cycles(
    new: Iterable[tuple[UUID, UUID]], known: Iterable[tuple[UUID, UUID]]
) -> tuple[list[tuple[UUID, UUID]], set[tuple[UUID, UUID]]]:
    """Return (accepted, refused) of new (child, parent) edges, taken in order, given the edges above their parents."""
    parents_of: dict[UUID, set[UUID]] = defaultdict(set)
    for child, parent in known:
        parents_of[child].add(parent)
    accepted: list[tuple[UUID, UUID]] = []
    refused: set[tuple[UUID, UUID]] = set()
    for child, parent in new:
        if _leads_to(parent, child, parents_of):
            refused.add((child, parent))
        else:
            parents_of[child].add(parent)
            accepted.append((child, parent))
    return accepted, refused


def _leads_to(start: UUID, goal: UUID, parents_of: Mapping[UUID, set[UUID]]) -> bool:
    seen: set[UUID] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        if here not in seen:
            seen.add(here)
            waiting.extend(parents_of.get(here, ()))
    return False


def ancestors(session: Session, asset_id: AssetId, sees: Sees, *, depth: int = DEPTH_LIMIT) -> list[Relative]:
    """Return what an asset's line was made from, nearest first, as far as the caller may see.

    At most RELATIVES_LIMIT, up to `depth` steps (at most DEPTH_LIMIT). A line on several paths comes once per neighbour.
    """
    return _relatives(session, asset_id, sees, upwards=True, depth=depth)


def descendants(session: Session, asset_id: AssetId, sees: Sees, *, depth: int = DEPTH_LIMIT) -> list[Relative]:
    """Return what was made from an asset's line, nearest first; limits as `ancestors`."""
    return _relatives(session, asset_id, sees, upwards=False, depth=depth)


def _relatives(session: Session, asset_id: AssetId, sees: Sees, *, upwards: bool, depth: int) -> list[Relative]:
    root = showing.find_root_of(session, asset_id)
    if root is None:
        return []
    rows = queries.list_relatives(
        session, root, sees, upwards=upwards, depth=min(depth, DEPTH_LIMIT), limit=RELATIVES_LIMIT
    )
    sources = (
        _sources(session, {line for line, *_ in rows}, sees) if any(via != VIA_INPUT for *_, via, _ in rows) else {}
    )
    faces = showing.list_faces(session, {line for line, *_ in rows}, sees)
    # A line that the caller may not see is left out, and with it what lies only beyond it.
    shown, reached = [], {root}
    for line, neighbour, via, distance in rows:
        if line in faces and neighbour in reached:
            reached.add(line)
            edge = (line, neighbour, via) if upwards is False else (neighbour, line, via)
            source, by = sources.get(edge, (SOURCE_READ, None))
            shown.append(
                Relative(
                    face=faces[line],
                    near_root_id=AssetId(neighbour),
                    via=via,
                    distance=distance,
                    source=source,
                    by=by,
                )
            )
    return shown


def _sources(session: Session, roots: set[UUID], sees: Sees) -> dict[tuple[UUID, UUID, str], tuple[str, str | None]]:
    """Return of declared edges, by (child, parent, way), how they came to be known and who said so."""
    rows = lineage_declared.list_declared(session, roots, sees)
    return {(row.child_root, row.parent_root, row.via): (row.source, row.by) for row in rows}
