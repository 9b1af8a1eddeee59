"""Statements about what approved pictures need: their own bytes, and the inputs, sources and models that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, insert, text

from memoryd.access.facts import Sees
from memoryd.catalog.tables.decided import HoldRelease
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[Any]"

_LOCK = "hashtext('memoryd.holds'), hashtext(current_schema())"

# Downwards from contents: where they lie in a line or were read by a run, then whatever was made from that, by lineage and
# by the contents that runs read (an edge that would have closed a circle is in no lineage, and was an input all the same).
_HOLDERS = text("""
    with recursive line(sha256, root) as (
        select a.sha256, a.root_id from asset a where a.sha256 = any(:digests)
        union
        select i.sha256, a.root_id from generation_input i
          join generation_output o on o.generation_id = i.generation_id join asset a on a.id = o.asset_id
         where i.sha256 = any(:digests)
        union
        select line.sha256, made.root from line cross join lateral (
            select l.child_root as root from lineage l where l.parent_root = line.root
            union all
            select c.root_id from asset p join generation_input i on i.sha256 = p.sha256
              join generation_output o on o.generation_id = i.generation_id join asset c on c.id = o.asset_id
             where p.root_id = line.root) made
    )
    select distinct line.sha256, p.asset_id, p.project_id, p.at
      from line join approval p on p.root_id = line.root and p.state = 'approved'
     where not exists (select from hold_release r where r.sha256 = line.sha256 and r.at >= p.at)
     order by line.sha256, p.asset_id, p.project_id
""")

# Upwards from approvals: their lines and what those were made from, by the same two ways.
_ABOVE = """
    with recursive above(approved, project_id, at, root) as (
        select p.asset_id, p.project_id, p.at, p.root_id from approval p
         where p.state = 'approved' and {which}
        union
        select u.approved, u.project_id, u.at, source.root from above u cross join lateral (
            select l.parent_root as root from lineage l where l.child_root = u.root
            union all
            select s.root_id from asset c join generation_output o on o.asset_id = c.id
              join generation_input i on i.generation_id = o.generation_id join asset s on s.sha256 = i.sha256
             where c.root_id = u.root) source
    )
"""

_MODEL_HOLDERS = text(
    _ABOVE.format(which="true")
    + """
    select distinct m.sha256, u.approved as asset_id, u.project_id, u.at
      from above u join asset a on a.root_id = u.root join generation_output o on o.asset_id = a.id
      join generation_model m on m.generation_id = o.generation_id
     where m.sha256 = any(:digests)
       and not exists (select from hold_release r where r.sha256 = m.sha256 and r.at >= u.at)
     order by 1, 2, 3"""
)

# What is shown of it: pictures and runs of projects that the caller sees (INV-6).
_OWN = {
    "own_asset": """(cast(:sees as uuid[]) is null or exists (
        select from asset_project j where j.asset_id = a.id and j.project_id = any(:sees)))""",
    "own_run": "(cast(:sees as uuid[]) is null or g.project_id is null or g.project_id = any(:sees))",
}

_HELD = text(
    _ABOVE.format(which="p.asset_id = any(:approved) and (cast(:sees as uuid[]) is null or p.project_id = any(:sees))")
    + """
    , lines as (select distinct approved, root from above),
    needed as (
        select l.approved, case when a.root_id = (select root_id from asset where id = l.approved)
                                then 'approved' else 'source' end as kind, a.sha256, null as name, a.id as asset_id
          from lines l join asset a on a.root_id = l.root where {own_asset}
        union
        select l.approved, 'input', i.sha256, i.name, (select a.id from asset a where a.sha256 = i.sha256 and {own_asset})
          from lines l join asset a on a.root_id = l.root join generation_output o on o.asset_id = a.id
          join generation g on g.id = o.generation_id and {own_run}
          join generation_input i on i.generation_id = o.generation_id where i.sha256 is not null
        union
        select l.approved, 'model', m.sha256, m.role || '/' || m.name, null
          from lines l join asset a on a.root_id = l.root join generation_output o on o.asset_id = a.id
          join generation g on g.id = o.generation_id and {own_run}
          join generation_model m on m.generation_id = o.generation_id where m.sha256 is not null
    )
    select n.*, (select r.reason from hold_release r where r.sha256 = n.sha256 order by r.at desc limit 1) as released,
           (select max(r.at) from hold_release r where r.sha256 = n.sha256) as released_at,
           (select max(u.at) from above u where u.approved = n.approved) as approved_at,
           exists (select from blob b where b.sha256 = n.sha256 and b.state = 'present') as in_store,
           (select count(*) from location c where c.asset_id = n.asset_id and c.state = 'recorded') as in_folders,
           (select count(*) from trashed_file t where t.asset_id = n.asset_id and t.ended_at is null) as in_trash
      from needed n order by n.approved, n.kind, n.sha256, n.name""".format(**_OWN)
)


def lock_for_removing(session: Session) -> None:
    """Let nobody approve, and no other remove, until this transaction ends: what is removed was held by nobody at its end."""
    session.execute(text(f"select pg_advisory_xact_lock({_LOCK})"))


def lock_for_approving(session: Session) -> None:
    """Wait for whoever is removing bytes at this moment; others that approve go on together."""
    session.execute(text(f"select pg_advisory_xact_lock_shared({_LOCK})"))


def list_holders(session: Session, digests: Sequence[bytes]) -> Sequence[AnyRow]:
    """Return the approvals that hold these contents, as pictures, inputs or sources: sha256, asset_id, project_id, at."""
    return session.execute(_HOLDERS, {"digests": list(digests)}).all() if digests else []


def list_model_holders(session: Session, digests: Sequence[bytes]) -> Sequence[AnyRow]:
    """Return the approvals that hold these models: sha256, asset_id, project_id, at."""
    return session.execute(_MODEL_HOLDERS, {"digests": list(digests)}).all() if digests else []


def list_approvals(
    session: Session, sees: Sees, project: UUID | None, after: UUID | None, limit: int
) -> Sequence[AnyRow]:
    """Return approved pictures of projects that the caller sees, by id: asset_id, slugs of the projects."""
    return session.execute(
        text("""
        select p.asset_id, array_agg(distinct j.slug order by j.slug) as projects
          from approval p join project j on j.id = p.project_id
         where p.state = 'approved' and (cast(:sees as uuid[]) is null or p.project_id = any(:sees))
           and (cast(:project as uuid) is null or p.project_id = :project)
           and (cast(:after as uuid) is null or p.asset_id > :after)
         group by p.asset_id order by p.asset_id limit :limit"""),
        {"sees": _listed(sees), "project": project, "after": after, "limit": limit},
    ).all()


def list_held(session: Session, approved: Sequence[UUID], sees: Sees) -> Sequence[AnyRow]:
    """Return what these approved pictures hold.

    Columns: approved, kind, sha256, name, asset_id, released (reason), released_at, approved_at, in_store, in_folders,
    in_trash.
    """
    return session.execute(_HELD, {"approved": list(approved), "sees": _listed(sees)}).all() if approved else []


def list_other_places(session: Session, assets: Sequence[UUID]) -> Sequence[AnyRow]:
    """Return where copies of assets were seen last, outside of any trash: asset_id, host, root, path, size."""
    return session.execute(
        text("""
        select l.asset_id, r.host, r.path as root, l.path, l.size
          from location l left join watch_root r on r.id = l.watch_root_id
         where l.asset_id = any(:assets) and l.state = 'recorded' and (r.id is null or r.state = 'online')"""),
        {"assets": list(assets)},
    ).all()


def list_digests(session: Session, assets: Sequence[UUID]) -> dict[UUID, bytes]:
    """Return the SHA-256 of assets."""
    rows = session.execute(text("select id, sha256 from asset where id = any(:assets)"), {"assets": list(assets)})
    return {row.id: bytes(row.sha256) for row in rows}


def insert_releases(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Note that contents were let go."""
    session.execute(insert(HoldRelease), [dict(row) for row in rows])


def delete_releases(session: Session, sha256: bytes) -> int:
    """Hold a content again; return how many times it had been let go."""
    gone = session.execute(text("delete from hold_release where sha256 = :s returning 1"), {"s": sha256})
    return len(gone.all())


def _listed(sees: Sees) -> list[UUID] | None:
    return None if sees is None else list(sees)
