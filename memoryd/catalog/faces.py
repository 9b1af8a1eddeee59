"""What lists show of assets: for rooms above this one."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog.asset_view import Face
from memoryd.catalog.queries import showing as queries
from memoryd.foundation.database import Session


def list_faces(session: Session, assets: Collection[UUID], sees: Sees) -> dict[UUID, Face]:
    """Return what lists show of these assets, by id; those that the caller may not see are left out."""
    return queries.list_faces_of_assets(session, assets, sees) if assets else {}
