"""Statements that find the lines that another gallery's files are, and what projects attached to them already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select, true

from memoryd.access.facts import Sees
from memoryd.access.tables import Project
from memoryd.catalog.queries.listed import BIG, BYTES, ID, INT, TEXT, listed
from memoryd.catalog.queries.showing import seen_asset, seen_place
from memoryd.catalog.tables.attached import Rating
from memoryd.catalog.tables.content import Asset, AssetProject
from memoryd.catalog.tables.decided import Removal
from memoryd.catalog.tables.places import Location
from memoryd.foundation.database import Session


def list_by_digest(session: Session, asked: Sequence[tuple[int, bytes]], sees: Sees) -> dict[int, set[UUID]]:
    """Return the lines with these contents, by the number they were asked under."""
    given = listed([{"n": n, "v": digest} for n, digest in asked], {"n": INT, "v": BYTES})
    rows = session.execute(
        select(given.c.n, Asset.root_id)
        .join(Asset, Asset.sha256 == given.c.v)
        .where(Asset.erased_at.is_(None), seen_asset(Asset.id, sees))
    )
    return _grouped(rows)


def list_by_path(session: Session, asked: Sequence[tuple[int, UUID | None, bytes]], sees: Sees) -> dict[int, set[UUID]]:
    """Return the lines that lie, or lay, at (root, path), by the number they were asked under."""
    given = listed(
        [{"n": n, "root": root, "path": path} for n, root, path in asked], {"n": INT, "root": ID, "path": BYTES}
    )
    rows = session.execute(
        select(given.c.n, Asset.root_id)
        .join(
            Location,
            and_(
                func.sha256(Location.path) == func.sha256(given.c.path),
                Location.watch_root_id.is_not_distinct_from(given.c.root),
            ),
        )
        .join(Asset, Asset.id == Location.asset_id)
        .where(Asset.erased_at.is_(None), seen_place(sees), seen_asset(Asset.id, sees))
    )
    return _grouped(rows)


def list_by_name(session: Session, asked: Sequence[tuple[int, str, int]], sees: Sees) -> dict[int, set[UUID]]:
    """Return the lines of files with this name (without folders) and size, by the number they were asked under."""
    given = listed(
        [{"n": n, "name": name, "size": size} for n, name, size in asked], {"n": INT, "name": TEXT, "size": BIG}
    )
    rows = session.execute(
        select(given.c.n, Asset.root_id)
        .join(
            Location,
            and_(
                Location.size == given.c.size,
                func.regexp_replace(Location.shown_path, r"^.*[/\\]", "") == given.c.name,
            ),
        )
        .join(Asset, Asset.id == Location.asset_id)
        .where(Asset.erased_at.is_(None), seen_place(sees), seen_asset(Asset.id, sees))
    )
    return _grouped(rows)


def _grouped(rows: Iterable[Any]) -> dict[int, set[UUID]]:
    lines: defaultdict[int, set[UUID]] = defaultdict(set)
    for number, root in rows:
        lines[number].add(root)
    return dict(lines)


def list_owners(session: Session, roots: Collection[UUID], sees: Sees) -> dict[UUID, list[tuple[UUID, str]]]:
    """Return (project, slug) of the projects that own these lines and that the caller sees, by line."""
    given = listed([{"v": root} for root in roots], {"v": ID})
    rows = session.execute(
        select(AssetProject.root_id, Project.id, Project.slug)
        .join(Project, Project.id == AssetProject.project_id)
        .where(
            AssetProject.root_id.in_(select(given.c.v)), true() if sees is None else AssetProject.project_id.in_(sees)
        )
        .distinct()
        .order_by(Project.slug)
    )
    owners: defaultdict[UUID, list[tuple[UUID, str]]] = defaultdict(list)
    for root, project, slug in rows:
        owners[root].append((project, slug))
    return dict(owners)


def list_ratings(session: Session, places: Collection[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], int]:
    """Return the stars of (line, project)."""
    given = listed([{"root": root, "project": project} for root, project in places], {"root": ID, "project": ID})
    rows = session.execute(
        select(Rating.root_id, Rating.project_id, Rating.stars).join(
            given, and_(given.c.root == Rating.root_id, given.c.project == Rating.project_id)
        )
    )
    return {(root, project): stars for root, project, stars in rows}


def list_removed(session: Session, roots: Collection[UUID]) -> set[tuple[UUID, UUID]]:
    """Return (line, project) of these lines where a project removed one."""
    rows = session.execute(select(Removal.root_id, Removal.project_id).where(Removal.root_id.in_(roots)))
    return {(root, project) for root, project in rows}
