"""Every statement of this part that its room does not have yet. Reads the catalogue's tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session
from memoryd.reproduction.facts import Purpose

Found = Row[Any]


def list_sized(session: Session, assets: Collection[UUID], sees: Sees) -> Sequence[Found]:
    """Return those assets that are there and that a caller may see: id, root_id, sha256, width, height."""
    return session.execute(
        text("""select a.id, a.root_id, a.sha256, a.width, a.height from asset a
                 where a.id = any(cast(:assets as uuid[])) and a.erased_at is null
                   and a.width is not null and a.height is not null
                   and (cast(:sees as uuid[]) is null or exists (select 1 from asset_project p
                         where p.asset_id = a.id and p.project_id = any(cast(:sees as uuid[]))))"""),
        {"assets": list(assets), "sees": None if sees is None else list(sees)},
    ).all()


def find_roots(session: Session, assets: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the lines of assets."""
    rows = session.execute(
        text("select id, root_id from asset where id = any(cast(:assets as uuid[]))"), {"assets": list(assets)}
    )
    return {row.id: row.root_id for row in rows}


def list_enlargements(session: Session, asset_id: UUID, sees: Sees, limit: int) -> Sequence[Found]:
    """Return the newest enlargements of an asset that a caller may see."""
    return session.execute(
        text("""select r.* from reproduction r where r.asset_id = :asset and r.purpose = :purpose
                   and (cast(:sees as uuid[]) is null or r.project_id = any(cast(:sees as uuid[])))
                 order by r.at desc, r.id desc limit :limit"""),
        {
            "asset": asset_id,
            "purpose": Purpose.ENLARGEMENT.value,
            "sees": None if sees is None else list(sees),
            "limit": limit,
        },
    ).all()
