"""Statements about originals and their runs. Reads the catalogue's tables, writes none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session

_SEEN = """(cast(:sees as uuid[]) is null or exists (
    select from asset_project p where p.asset_id = a.id and p.project_id = any(cast(:sees as uuid[]))))"""

COPIES = ("disclosed", "exported", "re-encoded")
"""How an asset follows another in its line without being another picture; what was rewritten in place is one of its own."""


def list_originals(session: Session, assets: Collection[UUID], sees: Sees) -> dict[UUID, tuple[UUID, str]]:
    """Return of which asset of its line each copy was made, and how the copy came about; others are left out."""
    rows = session.execute(
        text(
            f"""
            with recursive back as (
                select c.id as copy, c.succession as how, a.id, a.succeeds_id, a.succession, 1 as step
                from asset c join asset a on a.id = c.succeeds_id
                where c.id = any(:assets) and c.succession = any(:copies) and a.erased_at is null and {_SEEN}
                union all
                select back.copy, back.how, a.id, a.succeeds_id, a.succession, back.step + 1
                from back join asset a on a.id = back.succeeds_id
                where back.succession = any(:copies) and back.step < 1000 and a.erased_at is null and {_SEEN}
            )
            select distinct on (copy) copy, id, how from back order by copy, step desc
            """
        ),
        {"assets": list(assets), "copies": list(COPIES), "sees": _listed(sees)},
    )
    return {row.copy: (row.id, row.how) for row in rows}


def list_copied_lines(session: Session, roots: Collection[UUID], sees: Sees) -> dict[UUID, UUID]:
    """Return which of these lines are recorded as copies of another line: copy -> what it was copied from."""
    rows = session.execute(
        text(
            """
            select l.child_root, l.parent_root from lineage l
            where l.via = 'copied' and l.child_root = any(:roots)
              and (cast(:sees as uuid[]) is null or exists (
                  select from declared_parent d
                  where d.child_root = l.child_root and d.parent_root = l.parent_root and d.via = l.via
                    and d.project_id = any(cast(:sees as uuid[]))))
            """
        ),
        {"roots": list(roots), "sees": _listed(sees)},
    )
    return {row.child_root: row.parent_root for row in rows}


def list_named(
    session: Session,
    *,
    graph: bytes | None,
    job: UUID | None,
    asset: UUID | None,
    sha256: bytes | None,
    sees: Sees,
    limit: int,
) -> list[UUID]:
    """Return the assets that a file's own text names: those of a graph's or a job's runs, an asset, content by its hash."""
    return list(
        session.execute(
            text(
                f"""
                select distinct a.id from asset a
                where a.erased_at is null and {_SEEN} and (
                    a.id = cast(:asset as uuid) or a.sha256 = cast(:sha256 as bytea) or a.id in (
                        select o.asset_id from generation g join generation_output o on o.generation_id = g.id
                        where g.adopted_by is null and (g.exact = cast(:graph as bytea) or g.job_id = cast(:job as uuid))
                          and (cast(:sees as uuid[]) is null or g.project_id is null
                               or g.project_id = any(cast(:sees as uuid[])))))
                order by a.id limit :limit
                """
            ),
            {"graph": graph, "job": job, "asset": asset, "sha256": sha256, "sees": _listed(sees), "limit": limit},
        ).scalars()
    )


def list_runs_of(session: Session, assets: Collection[UUID], sees: Sees, limit: int) -> list[Row[Any]]:
    """Return (asset_id, run, fingerprinted) of these assets and of what the same runs made, as far as the caller may see.

    `run` names an executed graph, where one is known: files of one batch that were found one by one have the graph in
    common. `fingerprinted`: it was looked at, so that a comparison with all fingerprints is one with it too.
    """
    return list(
        session.execute(
            text(
                f"""
                with own as (
                    select distinct g.id, g.exact from generation_output o join generation g on g.id = o.generation_id
                    where o.asset_id = any(:assets) and g.adopted_by is null
                )
                select distinct o.asset_id, coalesce(encode(g.exact, 'hex'), cast(g.id as text)) as run,
                       exists (select from fingerprint f where f.asset_id = o.asset_id) as fingerprinted
                from generation g join generation_output o on o.generation_id = g.id join asset a on a.id = o.asset_id
                where (g.id in (select id from own) or g.exact in (select exact from own where exact is not null))
                  and g.adopted_by is null and a.erased_at is null and {_SEEN}
                limit :limit
                """
            ),
            {"assets": list(assets), "sees": _listed(sees), "limit": limit},
        )
    )


def _listed(sees: Sees) -> list[UUID] | None:
    return None if sees is None else list(sees)
