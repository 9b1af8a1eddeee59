"""Statements that keep the marks of lines."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from memoryd.foundation.database import Session


def change_flags(session: Session, roots: Sequence[UUID], add: Sequence[str], remove: Sequence[str]) -> None:
    """Add and remove flags of lines; a line without a row gets one. Sorted roots, so that two callers never deadlock."""
    session.execute(
        text(
            """
            insert into asset_mark (root_id, flags)
            select root_id, cast(:add as text[]) from unnest(cast(:roots as uuid[])) as given (root_id) order by root_id
            on conflict (root_id) do update set flags = (
                select coalesce(array_agg(distinct flag order by flag), '{}')
                from unnest(asset_mark.flags || cast(:add as text[])) as held (flag)
                where flag <> all (cast(:remove as text[])))
            """
        ),
        {"roots": list(roots), "add": list(add), "remove": list(remove)},
    )


def replace_project_flags(
    session: Session, roots: Sequence[UUID], flags: Sequence[str], stale: Sequence[str]
) -> list[UUID]:
    """Give lines these project flags in place of those that begin with `stale`, all of them pairs; return those changed."""
    session.execute(
        text(
            """
            insert into asset_mark (root_id)
            select distinct root_id from unnest(cast(:roots as uuid[])) as given (root_id) order by root_id
            on conflict do nothing
            """
        ),
        {"roots": list(roots)},
    )
    changed = session.scalars(
        text(
            """
            with given as (
                select root_id, array_agg(flag) filter (where flag <> '') as flags, array_agg(stale) as stale
                from unnest(cast(:roots as uuid[]), cast(:flags as text[]), cast(:stale as text[]))
                    as given (root_id, flag, stale)
                group by root_id),
            held as (
                select root_id, project_flags from asset_mark
                where root_id in (select root_id from given) order by root_id for update),
            wanted as (
                select held.root_id, held.project_flags as before, array(
                    select kept from unnest(held.project_flags) as old (kept)
                    where not exists (select 1 from unnest(given.stale) as gone (word) where starts_with(kept, word))
                    union
                    select unnest(given.flags)
                    order by 1) as after
                from held join given using (root_id))
            update asset_mark set project_flags = wanted.after
            from wanted where asset_mark.root_id = wanted.root_id and wanted.after <> wanted.before
            returning asset_mark.root_id
            """
        ),
        {"roots": list(roots), "flags": list(flags), "stale": list(stale)},
    )
    return list(changed)


def rebuild_marks(session: Session, roots: Sequence[UUID]) -> None:
    """Make the marks of lines from their flags and from what people attached."""
    session.execute(
        text(
            """
            with given as (select unnest(cast(:roots as uuid[])) as root_id),
            attached (root_id, project_id, kind, word) as (
                select asset_tag.root_id, tag.project_id, 't', tag.name
                from asset_tag join tag on tag.id = asset_tag.tag_id join given using (root_id)
                union all
                select root_id, project_id, 'r', stars::text from rating join given using (root_id)
                union all
                select root_id, project_id, 'a', state from approval join given using (root_id)
                union all
                select root_id, project_id, 'n', 'note' from note join given using (root_id)
                union all
                select root_id, project_id, 'x', kind from removal join given using (root_id)
                union all
                select item.root_id, collection.project_id, 'g', collection.name
                from collection_item item join collection on collection.id = item.collection_id
                join given on given.root_id = item.root_id),
            lexemes (root_id, lexeme) as (
                select root_id, kind || ':' || word from attached
                union
                select root_id, kind || ':' || replace(project_id::text, '-', '') || ':' || word from attached
                union
                select root_id, 'is:' || flag
                from asset_mark join given using (root_id), unnest(flags) as held (flag)
                union
                select root_id, 'f:' || split_part(flag, ':', 2)
                from asset_mark join given using (root_id), unnest(project_flags) as held (flag)
                union
                select root_id, 'f:' || flag
                from asset_mark join given using (root_id), unnest(project_flags) as held (flag))
            update asset_mark set marks = coalesce(
                (select array_to_tsvector(array_agg(lexeme)) from lexemes where lexemes.root_id = asset_mark.root_id),
                '')
            from given where asset_mark.root_id = given.root_id
            """
        ),
        {"roots": list(roots)},
    )
