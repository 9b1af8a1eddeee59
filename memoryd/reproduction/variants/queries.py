"""Every statement of this part. Reads the catalogue's and the groups' tables, writes variation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session
from memoryd.foundation.texts import storable
from memoryd.reproduction.tables import Variation

Found = Row[Any]

_OUTPUTS = """
    select distinct a.root_id
      from generation g
      join generation_output o on o.generation_id = g.id
      join asset a on a.id = o.asset_id
     where g.adopted_by is null and g.job_id in ({jobs})
       and a.root_id <> :parent
       and not exists (select 1 from lineage l
                        where l.child_root = a.root_id and l.parent_root = :parent and l.via = :via)
"""
_OF_JOB = text(_OUTPUTS.format(jobs="select v.job_id from variation v where v.id = :variation"))
_OF_GROUP = text(
    _OUTPUTS.format(
        jobs="""select d.job_id from variation v join group_request r on r.key = v.group_key
                  join job_detail d on d.group_id = r.group_id where v.id = :variation"""
    )
)


def insert_variation(session: Session, values: Mapping[str, object]) -> bool:
    """Record a wish; False where it was recorded before."""
    named = {**values, "group_key": storable(str(values["group_key"]))[0] if values["group_key"] else None}
    made = insert(Variation).values(**named).on_conflict_do_nothing(index_elements=[Variation.id])
    return session.execute(made.returning(Variation.id)).first() is not None


def set_job(session: Session, variation: UUID, job_id: UUID) -> None:
    """Note the job that makes a variation."""
    session.execute(update(Variation).where(Variation.id == variation).values(job_id=job_id))


def find_recorded(session: Session, variation: UUID) -> Found | None:
    """Return a wish that was recorded before: job_id, changes."""
    return session.execute(
        text("select job_id, changes from variation where id = :variation"), {"variation": variation}
    ).first()


def delete_variation_without_group(session: Session, variation: UUID) -> None:
    """Forget a wish whose group was refused; one whose group is there stays."""
    session.execute(
        text("""delete from variation v where v.id = :variation and v.job_id is null
                   and not exists (select 1 from group_request r where r.key = v.group_key)"""),
        {"variation": variation},
    )


def find_variation(session: Session, variation: UUID) -> Found | None:
    """Return a wish with the line that it is of: asset_id, root_id, job_id."""
    return session.execute(
        text("""select v.asset_id, a.root_id, v.job_id from variation v join asset a on a.id = v.asset_id
                 where v.id = :variation"""),
        {"variation": variation},
    ).first()


def list_unlinked(session: Session, variation: UUID, parent: UUID, via: str, *, alone: bool) -> Sequence[UUID]:
    """Return the lines that jobs of a wish have made and that do not lead back to `parent` yet. `alone`: it is one job."""
    statement = _OF_JOB if alone else _OF_GROUP
    return list(session.execute(statement, {"variation": variation, "parent": parent, "via": via}).scalars())


def list_variations(session: Session, asset_id: UUID, sees: Sees, limit: int) -> Sequence[Found]:
    """Return the newest wishes of an asset that a caller may see, with their groups; such as came to nothing left out."""
    return session.execute(
        text("""select v.id, v.asset_id, v.job_id, r.group_id, v.changes, v.items, v.at
                  from variation v left join group_request r on r.key = v.group_key
                 where v.asset_id = :asset and (v.job_id is not null or r.group_id is not null)
                   and (cast(:sees as uuid[]) is null or v.project_id = any(cast(:sees as uuid[])))
                 order by v.at desc, v.id desc limit :limit"""),
        {"asset": asset_id, "sees": None if sees is None else list(sees), "limit": limit},
    ).all()
