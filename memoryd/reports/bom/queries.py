"""What a project's runs used: read, nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session


def list_project_models(session: Session, project_id: UUID, *, limit: int) -> Sequence[Row[Any]]:
    """Return what runs of a project name, most used first: role, name, sha256, identified, and how many runs (uses)."""
    return session.execute(
        text("""
        select m.role, m.name, m.sha256, max(m.identified) as identified, count(distinct m.generation_id) as uses
          from generation_model m join generation g on g.id = m.generation_id
         where g.project_id = :project_id
         group by m.role, m.name, m.sha256 order by uses desc, m.role, m.name, m.sha256 limit :limit"""),
        {"project_id": project_id, "limit": limit},
    ).all()


def count_project_runs(session: Session, project_id: UUID) -> Row[Any]:
    """Return how many runs a project has (runs), and how many assets they made (assets)."""
    return session.execute(
        text("""
        select (select count(*) from generation where project_id = :project_id) as runs,
               (select count(*) from asset_project where project_id = :project_id) as assets"""),
        {"project_id": project_id},
    ).one()
