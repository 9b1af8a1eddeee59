"""Statements about the marks of recalled lines. Marks themselves are the catalogue's to write."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from memoryd.clearance.recalls.facts import FLAG_DERIVED, FLAG_RECALLED
from memoryd.foundation.database import Session


def list_lines(session: Session, recall_id: UUID, *, before: UUID | None, limit: int) -> list[UUID]:
    """Return lines that the weights of a recall touched, the newest first."""
    rows = session.scalars(
        text(f"""
        select distinct x.root_id from recalled_model r join touch_model k on k.sha256 = r.sha256
         cross join lateral (
            select distinct t.root_id from touch t
             where t.model_no = k.no {"" if before is None else "and t.root_id < :before"}
             order by t.root_id desc limit :limit) x
         where r.recall_id = :recall order by 1 desc limit :limit"""),
        {"recall": recall_id, "before": before, "limit": limit},
    )
    return list(rows)


def list_recalled_otherwise(session: Session, roots: Sequence[UUID]) -> set[UUID]:
    """Return those of these lines that weights of any standing recall touched."""
    return set(
        session.scalars(
            text("""
            select x.root_id from unnest(cast(:roots as uuid[])) as x (root_id)
             where exists (
                select from recall r join recalled_model m on m.recall_id = r.id join touch_model k on k.sha256 = m.sha256
                  join touch t on t.model_no = k.no and t.root_id = x.root_id
                 where r.lifted_at is null)"""),
            {"roots": list(roots)},
        )
    )


def list_made_from(session: Session, roots: Sequence[UUID], limit: int) -> list[UUID]:
    """Return lines made from these, at whatever distance, that do not bear the mark themselves; `limit` at most."""
    rows = session.scalars(
        text("""
        with recursive walk (root) as (
            select child_root from lineage where parent_root = any(cast(:roots as uuid[]))
            union select l.child_root from lineage l join walk on l.parent_root = walk.root)
        select root from walk where not exists (
            select from asset_mark k where k.root_id = walk.root and cast(:flag as text) = any(k.flags)) limit :limit"""),
        {"roots": list(roots), "limit": limit, "flag": FLAG_RECALLED},
    )
    return list(rows)


def list_derived_marked(session: Session, *, before: UUID | None, limit: int) -> list[tuple[UUID, bool]]:
    """Return (line, whether one that it was made from is marked) of lines marked as derived, the newest first."""
    rows = session.execute(
        text(f"""
        with page as materialized (
            select root_id as root from asset_mark
             where marks @@ cast(:word as tsquery) {"" if before is None else "and root_id < :before"}
             order by root_id desc limit :limit)
        select root, exists (
            with recursive up (root) as (
                select l.parent_root from lineage l where l.child_root = page.root
                union select l.parent_root from lineage l join up on l.child_root = up.root)
            select from up join asset_mark k on k.root_id = up.root where cast(:flag as text) = any(k.flags)) as still
          from page order by root desc"""),
        {"before": before, "limit": limit, "word": f"'is:{FLAG_DERIVED}'", "flag": FLAG_RECALLED},
    )
    return [(row.root, row.still) for row in rows]
