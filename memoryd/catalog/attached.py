"""What people attached to a line, as far as the caller sees the projects."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog.asset_view import Annotations, ApprovalView, NoteView
from memoryd.catalog.queries import showing as queries
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, ProjectId


def annotations_of(session: Session, root: UUID, asset_id: AssetId, sees: Sees) -> tuple[Annotations, ...]:
    """Return what each project attached to a line, by project; `asset_id` is the asset that is looked at."""
    owners = queries.list_owners(session, root, sees)
    if not owners:
        return ()
    attached = queries.list_attached(session, root, [project for project, _ in owners])

    def of(kind: str, project: UUID) -> list[Any]:
        return [row for row in attached[kind] if row.project_id == project]

    def approval(project: UUID) -> ApprovalView | None:
        for row in of("approvals", project):
            return ApprovalView(
                state=row.state,
                comment=row.comment,
                by=row.by,
                at=row.at,
                asset_id=AssetId(row.asset_id),
                of_this=row.asset_id == asset_id,
            )
        return None

    return tuple(
        Annotations(
            project_id=ProjectId(project),
            project=slug,
            tags=tuple(row.name for row in of("tags", project)),
            rating=next((row.stars for row in of("ratings", project)), None),
            notes=tuple(NoteView(text=row.text, by=row.by, at=row.at) for row in of("notes", project)),
            collections=tuple(row.name for row in of("collections", project)),
            approval=approval(project),
        )
        for project, slug in owners
    )
