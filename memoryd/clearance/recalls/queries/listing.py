"""Statements that list touched lines, newest first, and lines derived from them: by keys, so that no list is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.access.facts import Sees
from memoryd.clearance.recalls.queries.counting import seen_touch, touched_line, values
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def list_touched_lines(
    session: Session, no: int, sha256: bytes, sees: Sees, *, before: UUID | None, limit: int
) -> list[UUID]:
    """Return touched lines that are seen, the newest first."""
    owned = "true" if sees is None else f"t.projects && cast(:sees as uuid[]) and {seen_touch(sees)}"
    rows = session.scalars(
        text(f"""select distinct root_id from touch t where model_no = :no and {owned}
                  {"" if before is None else "and root_id < :before"} order by root_id desc limit :limit"""),
        values(sees, no=no, sha256=sha256, before=before, limit=limit),
    )
    return list(rows)


def list_derived_lines(
    session: Session, no: int, sha256: bytes, sees: Sees, *, before: UUID | None, limit: int
) -> tuple[list[UUID], UUID | None]:
    """Return lines made from touched ones and not touched themselves, the newest first, of the next `limit` lines that were
    made from anything; and the last of those looked at (None: that was all)."""
    owned = "true" if sees is None else (
        "exists (select from asset_project p where p.root_id = page.root and p.project_id = any(cast(:sees as uuid[])))"
    )  # fmt: skip
    rows = session.execute(
        text(f"""
        with page as materialized (
            select distinct child_root as root from lineage {"" if before is None else "where child_root < :before"}
             order by 1 desc limit :limit)
        select root, {owned} and not {touched_line(sees, "page.root")} and exists (
            with recursive up (root) as (
                select l.parent_root from lineage l where l.child_root = page.root
                union select l.parent_root from lineage l join up on l.child_root = up.root)
            select from up where {touched_line(sees, "up.root")}) as derived
          from page order by root desc"""),
        values(sees, no=no, sha256=sha256, before=before, limit=limit),
    ).all()
    return [row.root for row in rows if row.derived], rows[-1].root if len(rows) == limit else None


def list_assets(session: Session, roots: Sequence[UUID], no: int, sha256: bytes, sees: Sees) -> Sequence[AnyRow]:
    """Return the assets of these lines that are seen: root_id, id, sha256, media_type, succession, made_at, touched, and
    projects, deliveries and frozen deliveries by name."""
    owned = "true" if sees is None else (
        "exists (select from asset_project p where p.asset_id = a.id and p.project_id = any(cast(:sees as uuid[])))"
    )  # fmt: skip
    in_sight = "true" if sees is None else "p.id = any(cast(:sees as uuid[]))"
    return session.execute(
        text(f"""
        select a.root_id, a.id, a.sha256, a.media_type, a.succession, a.made_at,
               exists (select from touch t where (t.model_no, t.root_id, t.asset_id) = (:no, a.root_id, a.id)
                          and {seen_touch(sees)}) as touched,
               array(select p.slug from asset_project o join project p on p.id = o.project_id
                      where o.asset_id = a.id and {in_sight} order by p.slug) as projects,
               array(select d.name from delivery_item i join delivery d on d.id = i.delivery_id
                       join project p on p.id = d.project_id
                      where i.root_id = a.root_id and {in_sight} and d.frozen_at is not null order by d.name) as frozen,
               array(select d.name from delivery_item i join delivery d on d.id = i.delivery_id
                       join project p on p.id = d.project_id
                      where i.root_id = a.root_id and {in_sight} and d.frozen_at is null order by d.name) as open
          from asset a where a.root_id = any(cast(:roots as uuid[])) and {owned} order by a.root_id desc, a.id desc"""),
        values(sees, no=no, sha256=sha256, roots=list(roots)),
    ).all()
