"""Statements that count what weights touched: the whole from kept sums, a part by looking at it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"

NOBODY = UUID(int=0)


def find_sums(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, AnyRow]:
    """Return (no, sha256, generations, assets, lines) of these weights, of those that touched anything."""
    rows = session.execute(
        text("select no, sha256, generations, assets, lines from touch_model where sha256 = any(cast(:s as bytea[]))"),
        {"s": list(sha256s)},
    )
    return {bytes(row.sha256): row for row in rows}


def _of_seen(sees: Sees, column: str) -> str:
    return "true" if sees is None else f"{column} = any(cast(:sees as uuid[]))"


def touched_line(sees: Sees, root: str) -> str:
    """Return the condition that a line was touched, as far as is seen: of weights `:no` (`:sha256`), in SQL."""
    owned = "true" if sees is None else f"t.projects && cast(:sees as uuid[]) and {seen_touch(sees)}"
    return f"exists (select from touch t where t.model_no = :no and t.root_id = {root} and {owned})"


def probed_line(sees: Sees, root: str) -> str:
    """Return the same condition, asked of each line by itself: against a million touches, of which a join would make a
    table first."""
    owned = "true" if sees is None else f"t.projects && cast(:sees as uuid[]) and {seen_touch(sees)}"
    probe = f"select from touch t where t.model_no = :no and t.root_id = {root} and {owned} limit 1"
    return f"(select count(*) > 0 from ({probe}) x)"


def seen_touch(sees: Sees) -> str:
    """Return the condition that touch `t` rests on a run that one sees: a project's own runs are no other's to know (INV-6),
    unless the file says the same of itself."""
    if sees is None:
        return "true"
    return f"""exists (
        select from generation_output o
          join generation_model m on (m.generation_id, m.output_node) = (o.generation_id, o.node)
          join generation g on g.id = o.generation_id
         where o.asset_id = t.asset_id and m.sha256 = :sha256 and {seen_run()})"""


def seen_run() -> str:
    """Return the condition that run `g` is seen by who sees `:sees`, in SQL."""
    return """(g.project_id is null or g.project_id = any(cast(:sees as uuid[])) or g.origin = 'file'
               or exists (select from generation f where f.adopted_by = g.id))"""


def values(sees: Sees, **others: object) -> Mapping[str, object]:
    """Return the parameters of a statement that looks at `no`, `sha256` and what is seen."""
    return {**others, **({} if sees is None else {"sees": list(sees)})}


def list_owners(session: Session, no: int) -> Sequence[AnyRow]:
    """Return (project_id, person_id, assets) of all that these weights touched; person NOBODY where it is not known."""
    return session.execute(
        text("select project_id, person_id, assets from touch_tally where model_no = :no and assets <> 0"), {"no": no}
    ).all()


def count_part(session: Session, no: int, sha256: bytes, sees: Collection[UUID]) -> tuple[AnyRow, Sequence[AnyRow]]:
    """Return (generations, assets, lines) of the part that is seen, and its owners as list_owners does."""
    part = f"""
        with part as materialized (
            select t.root_id, t.asset_id, p.project_id, p.first_person
              from asset_project p join touch t on t.model_no = :no and t.root_id = p.root_id and t.asset_id = p.asset_id
             where p.project_id = any(cast(:sees as uuid[])) and {seen_touch(frozenset())})"""
    given = {"no": no, "sha256": sha256, "sees": list(sees)}
    sums = session.execute(
        text(f"""{part} select count(distinct asset_id) as assets, count(distinct root_id) as lines,
            (select count(distinct g.id) from part join generation_output o using (asset_id)
               join generation_model m on (m.generation_id, m.output_node) = (o.generation_id, o.node)
               join generation g on g.id = o.generation_id
              where m.sha256 = :sha256 and {seen_run()}) as generations from part"""),
        given,
    ).one()
    owners = session.execute(
        text(f"""{part} select project_id, coalesce(first_person, '{NOBODY}') as person_id, count(*) as assets from part
                 group by 1, 2"""),
        given,
    ).all()
    return sums, owners


def count_copies(session: Session, no: int, sha256: bytes, sees: Sees) -> int:
    """Return how many disclosed copies of touched lines there are."""
    owned = "true" if sees is None else (
        "exists (select from asset_project p where p.asset_id = a.id and p.project_id = any(cast(:sees as uuid[])))"
    )  # fmt: skip
    return int(
        session.scalar(
            text(f"""select count(*) from asset a where a.succession = 'disclosed' and {owned}
                      and {touched_line(sees, "a.root_id")}"""),
            values(sees, no=no, sha256=sha256),
        )
        or 0
    )


def count_derived(session: Session, no: int, sha256: bytes, sees: Sees) -> int:
    """Return how many lines were made, at whatever distance, from touched ones and are not touched themselves.

    Whoever is reached is reached from the last touched line above it, by lines that are not touched: only those are walked.
    """
    shown = (
        "true"
        if sees is None
        else """(
        not exists (select from declared_parent d where (d.child_root, d.parent_root, d.via)
                                                        = (l.child_root, l.parent_root, l.via))
        or exists (select from declared_parent d where (d.child_root, d.parent_root, d.via)
                   = (l.child_root, l.parent_root, l.via) and d.project_id = any(cast(:sees as uuid[]))))"""
    )
    owned = "true" if sees is None else (
        "exists (select from asset_project p where p.root_id = walk.root and p.project_id = any(cast(:sees as uuid[])))"
    )  # fmt: skip
    return int(
        session.scalar(
            text(f"""
            with recursive free as materialized (
                select c.root from (select distinct child_root as root from lineage) c
                 where not {probed_line(sees, "c.root")}),
            edge as materialized (
                select l.child_root, l.parent_root from lineage l join free on free.root = l.child_root where {shown}),
            walk (root) as (
                select e.child_root from edge e where {touched_line(sees, "e.parent_root")}
                union
                select e.child_root from edge e join walk on walk.root = e.parent_root)
            select count(*) from walk where {owned}"""),
            values(sees, no=no, sha256=sha256),
        )
        or 0
    )


def list_deliveries(session: Session, no: int, sha256: bytes, sees: Sees, limit: int) -> Sequence[AnyRow]:
    """Return (id, name, project, client, frozen_at, items, of_all) of deliveries with touched lines: frozen ones first."""
    return session.execute(
        text(f"""
        with touched as (
            select i.delivery_id, count(*) as items from delivery_item i
             where {touched_line(sees, "i.root_id")} group by 1)
        select d.id, d.name, p.slug as project, coalesce(c.name, own.name) as client, d.frozen_at, t.items,
               count(*) over () as of_all, count(d.frozen_at) over () as frozen
          from touched t join delivery d on d.id = t.delivery_id join project p on p.id = d.project_id
          left join client c on c.id = d.client_id left join client own on own.id = p.client_id
         where {_of_seen(sees, "d.project_id")}
         order by d.frozen_at is null, d.frozen_at desc, d.id desc limit :limit"""),
        values(sees, no=no, sha256=sha256, limit=limit),
    ).all()


def list_projects(session: Session, projects: Collection[UUID]) -> Sequence[AnyRow]:
    """Return (id, slug, name, client) of these projects."""
    return session.execute(
        text("""select p.id, p.slug, p.name, c.name as client from project p left join client c on c.id = p.client_id
                 where p.id = any(cast(:p as uuid[])) order by p.slug"""),
        {"p": list(projects)},
    ).all()


def list_people(session: Session, people: Collection[UUID]) -> dict[UUID, str]:
    """Return the shown names of these people."""
    rows = session.execute(
        text("select id, display_name from person where id = any(cast(:p as uuid[]))"), {"p": list(people)}
    )
    return {row.id: row.display_name for row in rows}


def list_possible(session: Session, names: Sequence[str], sees: Sees) -> Sequence[AnyRow]:
    """Return (name, generations) of runs that name weights so without saying by a hash which they were."""
    seen = "true" if sees is None else (
        f"exists (select from generation g where g.id = m.generation_id and {seen_run()}) and exists ("
        "select from generation_output o join asset_project p on p.asset_id = o.asset_id"
        " where o.generation_id = m.generation_id and p.project_id = any(cast(:sees as uuid[])))"
    )  # fmt: skip
    return session.execute(
        text(f"""
        select m.name, count(distinct m.generation_id) as generations from generation_model m
         where m.sha256 is null and octet_length(m.name) <= 1000 and m.name = any(cast(:names as text[])) and {seen}
         group by m.name"""),
        values(sees, names=list(names)),
    ).all()
