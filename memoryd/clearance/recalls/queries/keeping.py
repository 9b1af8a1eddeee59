"""Statements that keep `touch` and its sums what the facts of runs say."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def lock_touches(session: Session, *, wait: bool) -> bool:
    """Let one transaction at a time keep this tenant's touches; False where another is at it and `wait` is not set."""
    name = "hashtext('memoryd.touches'), hashtext(current_schema())"
    if wait:
        session.execute(text(f"select pg_advisory_xact_lock({name})"))
        return True
    return bool(session.scalar(text(f"select pg_try_advisory_xact_lock({name})")))


def take_changes(session: Session, limit: int) -> tuple[list[UUID], list[UUID], datetime.datetime] | None:
    """Take what the oldest `limit` statements changed: (assets, generations), each once, and when the last of them did.

    None where nothing is waiting.
    """
    row = session.execute(
        text(
            """
            with taken as (
                delete from touch_change where id in (select id from touch_change order by id limit :limit)
                returning assets, generations, at)
            select array(select distinct unnest(assets) from taken) as assets,
                   array(select distinct unnest(generations) from taken) as generations,
                   (select max(at) from taken) as last_at
            """
        ),
        {"limit": limit},
    ).one()
    return (list(row.assets), list(row.generations), row.last_at) if row.last_at is not None else None


def mark_stale(session: Session, assets: Sequence[UUID], changed_at: datetime.datetime, margin_s: float) -> None:
    """Note that the sets of models of these assets have to be worked out anew, unless that was done since.

    `margin_s`: what was worked out so shortly after the change may not have seen it yet.
    """
    session.execute(
        text(
            """
            update asset_model_set set stale = true
             where asset_id = any(cast(:assets as uuid[])) and not stale
               and at < cast(:changed_at as timestamptz) + make_interval(secs => :margin_s)
            """
        ),
        {"assets": list(assets), "changed_at": changed_at, "margin_s": margin_s},
    )


def count_changes(session: Session) -> int:
    """Return how many statements' changes wait."""
    return int(session.scalar(text("select count(*) from touch_change")) or 0)


def list_made(session: Session, generations: Sequence[UUID]) -> list[UUID]:
    """Return the assets that these runs made."""
    rows = session.scalars(
        text("select distinct asset_id from generation_output where generation_id = any(cast(:g as uuid[]))"),
        {"g": list(generations)},
    )
    return list(rows)


def number_models(session: Session, assets: Sequence[UUID], generations: Sequence[UUID]) -> None:
    """Give a number to those weights of these runs, and of the runs that made these assets, that have none yet."""
    session.execute(
        text(
            """
            insert into touch_model (sha256)
            select distinct sha256 from generation_model m
             where sha256 is not null
               and (generation_id = any(cast(:g as uuid[])) or generation_id in (
                    select generation_id from generation_output where asset_id = any(cast(:a as uuid[]))))
               and not exists (select from touch_model k where k.sha256 = m.sha256)
            on conflict do nothing
            """
        ),
        {"g": list(generations), "a": list(assets)},
    )


def fold_runs(session: Session, generations: Sequence[UUID]) -> None:
    """Bring what is kept of these runs, and the sums of runs, to what their facts say."""
    session.execute(
        text(
            """
            with run as (select unnest(cast(:g as uuid[])) as generation_id),
            now as (
                select distinct m.generation_id, k.no as model_no from run join generation_model m using (generation_id)
                  join touch_model k on k.sha256 = m.sha256),
            gone as (
                delete from touch_run t using run where t.generation_id = run.generation_id and not exists (
                    select from now where (now.generation_id, now.model_no) = (t.generation_id, t.model_no))
                returning t.model_no),
            come as (insert into touch_run select * from now on conflict do nothing returning model_no),
            changed as (
                select model_no, sum(n) as n from (
                    select model_no, 1 as n from come union all select model_no, -1 from gone) each group by model_no)
            update touch_model k set generations = k.generations + changed.n from changed
             where changed.model_no = k.no and changed.n <> 0
            """
        ),
        {"g": list(generations)},
    )


def fold_assets(session: Session, assets: Sequence[UUID]) -> list[AnyRow]:
    """Bring what is kept of these assets, and the sums, to what facts and owners say; return the (model_no, root_id) that are
    touched now and were not touched before by way of these assets."""
    rows = session.execute(_FOLD_ASSETS, {"a": list(assets)}).all()
    return list(rows)


_FOLD_ASSETS = text(
    """
    with asked as (select unnest(cast(:a as uuid[])) as asset_id),
    owner as (
        select asset_id, array_agg(project_id order by project_id) as projects,
               array_agg(first_person order by project_id) as people
          from asked join asset_project using (asset_id) group by asset_id),
    used as (
        select distinct k.no as model_no, o.asset_id from asked join generation_output o using (asset_id)
          join generation_model m on (m.generation_id, m.output_node) = (o.generation_id, o.node)
          join touch_model k on k.sha256 = m.sha256),
    now as materialized (
        select model_no, a.root_id, asset_id, coalesce(projects, '{}') as projects, coalesce(people, '{}') as people
          from used join asset a on a.id = asset_id left join owner using (asset_id)),
    old as materialized (select t.* from asked join touch t using (asset_id)),
    gone as (
        delete from touch t using old where (t.model_no, t.root_id, t.asset_id) = (old.model_no, old.root_id, old.asset_id)
           and not exists (select from now where (now.model_no, now.root_id, now.asset_id)
                                                 = (old.model_no, old.root_id, old.asset_id))),
    other as (
        update touch t set projects = now.projects, people = now.people from now
         where (t.model_no, t.root_id, t.asset_id) = (now.model_no, now.root_id, now.asset_id)
           and (t.projects, t.people) is distinct from (now.projects, now.people)),
    come as (
        insert into touch (model_no, root_id, asset_id, projects, people)
        select model_no, root_id, asset_id, projects, people from now
         where not exists (select from old where (now.model_no, now.root_id, now.asset_id)
                                                 = (old.model_no, old.root_id, old.asset_id))
         order by model_no, root_id, asset_id),
    each as (
        select model_no, root_id, asset_id, projects, people, 1 as n from now
        union all select model_no, root_id, asset_id, projects, people, -1 from old),
    line as (
        select model_no, root_id, bool_or(n > 0) as is_now, bool_or(n < 0) as was from each group by model_no, root_id),
    lines as (
        select model_no, is_now, was, root_id from line
         where is_now <> was and not exists (
               select from touch t where t.model_no = line.model_no and t.root_id = line.root_id
                  and t.asset_id <> all (cast(:a as uuid[])))),
    summed as (
        select model_no, sum(assets) as assets, sum(lines) as lines from (
            select model_no, n as assets, 0 as lines from each
            union all select model_no, 0, case when is_now then 1 else -1 end from lines) both_sums group by model_no),
    models as (
        update touch_model k set assets = k.assets + summed.assets, lines = k.lines + summed.lines from summed
         where k.no = summed.model_no and (summed.assets, summed.lines) <> (0, 0)),
    owned as (
        select model_no, project_id, coalesce(person_id, '00000000-0000-0000-0000-000000000000') as person_id,
               sum(n) as n
          from each, unnest(projects, people) as owner (project_id, person_id) group by 1, 2, 3 having sum(n) <> 0),
    tally as (
        insert into touch_tally (model_no, project_id, person_id, assets) select * from owned
        on conflict (model_no, project_id, person_id) do update set assets = touch_tally.assets + excluded.assets)
    select model_no, root_id from line where is_now and not was
    """
)
