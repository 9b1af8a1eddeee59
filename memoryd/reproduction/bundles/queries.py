"""Statements of bundles: what is told of models, names and verdicts beside the plan."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session
from memoryd.reproduction.queries import Found


def list_names(session: Session, asset_id: UUID, sees: Sees, limit: int) -> list[str]:
    """Return the paths at which an asset lies or lay, as far as the caller may see them, newest first."""
    return list(
        session.scalars(
            text("""
            select shown_path from location
             where asset_id = :asset
               and (cast(:sees as uuid[]) is null or project_id is null or project_id = any(cast(:sees as uuid[])))
             order by last_seen desc, id limit :limit"""),
            {"asset": asset_id, "sees": None if sees is None else list(sees), "limit": limit},
        )
    )


def list_verdicts(session: Session, assets: Sequence[UUID], sees: Sees, limit: int) -> Sequence[Found]:
    """Return the decided attempts, asked for by somebody, at these assets that the caller may see, newest first."""
    return session.execute(
        text("""
        select id, verdict, decided_at, environment, receipt from reproduction
         where asset_id = any(:assets) and state = 'decided' and purpose = 'asked' and parent_id is null
           and verdict <> 'not attempted'
           and (cast(:sees as uuid[]) is null or project_id = any(cast(:sees as uuid[])))
         order by at desc, id desc limit :limit"""),
        {"assets": list(assets), "sees": None if sees is None else list(sees), "limit": limit},
    ).all()


def list_sites(session: Session, generation_id: UUID) -> dict[tuple[str, str], list[str]]:
    """Return by which names sites have the models of a run: (role, name) -> urn:air:… ."""
    rows = session.execute(
        text("""select distinct role, name, air from generation_model
                 where generation_id = :generation and air is not null order by air"""),
        {"generation": generation_id},
    )
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row.role, row.name), []).append(row.air)
    return found


def find_origin(session: Session, generation_id: UUID) -> str:
    """Return who told of a run."""
    return str(
        session.execute(text("select origin from generation where id = :id"), {"id": generation_id}).scalar_one()
    )


def list_exacts(session: Session, asset_id: UUID, sees: Sees) -> set[bytes]:
    """Return the identities of the graphs of which an asset is known to have come, as far as the caller may see."""
    rows = session.scalars(
        text("""
        select distinct g.exact from generation_output o
          join generation g on g.id = o.generation_id and g.adopted_by is null and g.exact is not null
         where o.asset_id = :asset
           and (cast(:sees as uuid[]) is null or g.project_id is null or g.project_id = any(cast(:sees as uuid[])))"""),
        {"asset": asset_id, "sees": None if sees is None else list(sees)},
    )
    return {bytes(exact) for exact in rows}
