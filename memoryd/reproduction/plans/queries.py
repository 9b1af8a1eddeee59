"""Statements about many assets at once: how they were made, from which inputs and models, and which inputs are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session
from memoryd.reproduction.queries import find_kept_contents
from memoryd.workflows.facts import Level

Found = Row[Any]


def list_lines_of_project(
    session: Session, project: UUID, *, approved: bool, after: UUID | None, limit: int
) -> list[UUID]:
    """Return of each line that is in sight in a project the first asset that is the project's, by line, after an asset's.

    With `approved` only of lines that the project approved.
    """
    rows = session.execute(
        text("""
        select distinct on (j.root_id) j.root_id, j.asset_id from asset_project j
         where j.project_id = :project
           and (cast(:after as uuid) is null or j.root_id > (select root_id from asset where id = :after))
           and not exists (select from removal r where r.root_id = j.root_id and r.project_id = j.project_id)
           and (not :approved or exists (select from approval p where p.root_id = j.root_id
                 and p.project_id = j.project_id and p.state = 'approved'))
         order by j.root_id, j.made_at, j.asset_id limit :limit"""),
        {"project": project, "approved": approved, "after": after, "limit": limit},
    )
    return [row.asset_id for row in rows]


def list_approved(session: Session, assets: Sequence[UUID], sees: Sees) -> set[UUID]:
    """Return those of these assets whose line was approved in a project that the caller sees."""
    rows = session.execute(
        text("""
        select a.id from asset a where a.id = any(:assets)
           and exists (select from approval p where p.root_id = a.root_id and p.state = 'approved'
                 and (cast(:sees as uuid[]) is null or p.project_id = any(:sees)))"""),
        {"assets": list(assets), "sees": _listed(sees)},
    )
    return {row.id for row in rows}


def list_runs(session: Session, assets: Sequence[UUID], sees: Sees) -> dict[UUID, Found]:
    """Return the best known run of each asset, or of the nearest one before it in its line, as `find_run` does for one.

    Columns: asset (the one asked about), generation_id, prompt_document, workflow (digest), environment.
    """
    rows = session.execute(
        text("""
        with recursive line as (
            select a.id as asset, a.id, a.succeeds_id, 0 as step from asset a where a.id = any(:assets)
            union all
            select line.asset, b.id, b.succeeds_id, line.step + 1 from line join asset b on b.id = line.succeeds_id
             where line.step < 1000
        )
        select distinct on (line.asset) line.asset, g.id as generation_id, g.prompt_document, g.environment,
               i.digest as workflow
          from line
          join generation_output o on o.asset_id = line.id
          join generation g on g.id = o.generation_id and g.adopted_by is null and g.prompt_document is not null
               and (cast(:sees as uuid[]) is null or g.project_id is null or g.project_id = any(:sees))
          left join graph_identity i on i.exact = g.exact and i.level = :level
         order by line.asset, line.step, (g.origin = 'job') desc, o.certain desc, g.recorded_at, g.id, i.recipe"""),
        {"assets": list(assets), "sees": _listed(sees), "level": Level.WORKFLOW.value},
    )
    return {row.asset: row for row in rows}


def list_models(session: Session, runs: Sequence[UUID]) -> Sequence[Found]:
    """Return the weights of runs whose content is known: generation_id, role, name, sha256."""
    return session.execute(
        text("""select distinct generation_id, role, name, sha256 from generation_model
                 where generation_id = any(:runs) and sha256 is not null"""),
        {"runs": list(runs)},
    ).all()


def list_inputs(session: Session, runs: Sequence[UUID]) -> Sequence[Found]:
    """Return the files that runs read: generation_id, class_type, name, sha256 or None."""
    return session.execute(
        text("""select distinct generation_id, class_type, name, sha256 from generation_input
                 where generation_id = any(:runs) order by generation_id, name"""),
        {"runs": list(runs)},
    ).all()


def list_kept(session: Session, contents: Sequence[bytes], runs: Sequence[UUID]) -> tuple[set[bytes], set[bytes]]:
    """Return those of these contents that are kept somewhere or went along with one of these runs' jobs; and the known."""
    kept = set(find_kept_contents(session, contents))
    left = [content for content in contents if content not in kept]
    if left:
        rows = session.execute(
            text("""select distinct decode(i ->> 'sha256', 'hex') as sha256
                      from generation g join job_detail d on d.job_id = g.job_id
                     cross join lateral jsonb_array_elements(d.inputs) i where g.id = any(:runs)"""),
            {"runs": list(runs)},
        )
        kept |= {bytes(row.sha256) for row in rows} & set(left)
    known = session.execute(text("select sha256 from asset where sha256 = any(:left)"), {"left": left})
    return kept, {bytes(row.sha256) for row in known}


def _listed(sees: Sees) -> list[UUID] | None:
    return None if sees is None else list(sees)
