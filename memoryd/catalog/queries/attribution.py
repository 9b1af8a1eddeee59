"""Statements about whose pictures are: what people corrected, what our own text claims, and moving many at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, and_, exists, func, insert, or_, select, text, update

from memoryd.access.facts import Sees
from memoryd.catalog.queries.listed import ID, listed
from memoryd.catalog.queries.showing import seen_asset
from memoryd.catalog.tables.content import Asset, AssetProject
from memoryd.catalog.tables.decided import Reattribution, ReattributionItem
from memoryd.catalog.tables.runs import Generation, GenerationOutput
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def list_corrections(session: Session, roots: Collection[UUID]) -> list[AnyRow]:
    """Return (root, from project, to project, to person) that people said of lines and did not take back, in order."""
    asked = listed([{"v": root} for root in roots], {"v": ID})
    item = ReattributionItem
    return list(
        session.execute(
            select(item.reattribution_id, item.root_id, item.from_project, item.to_project, item.to_person)
            .join(Reattribution, Reattribution.id == item.reattribution_id)
            .where(item.root_id.in_(select(asked.c.v)), Reattribution.undone_at.is_(None))
            .distinct()
            .order_by(item.reattribution_id)
        )
    )


def list_claimed_runs(session: Session, jobs: Collection[UUID], assets: Collection[UUID]) -> list[AnyRow]:
    """Return (run, job, asset, exact, project, person) of runs of these jobs, and of those that made these assets."""
    return list(
        session.execute(
            select(
                *(Generation.id, Generation.job_id, GenerationOutput.asset_id, Generation.exact),
                *(Generation.project_id, Generation.person_id),
            )
            .join(GenerationOutput, GenerationOutput.generation_id == Generation.id)
            .where(
                or_(Generation.job_id.in_(jobs), GenerationOutput.asset_id.in_(assets)), Generation.adopted_by.is_(None)
            )
            .order_by(Generation.id)
        )
    )


def list_lines(session: Session, assets: Collection[UUID], sees: Sees) -> dict[UUID, UUID]:
    """Return asset -> line of those that the caller sees."""
    asked = listed([{"v": asset} for asset in assets], {"v": ID})
    rows = session.execute(
        select(Asset.id, Asset.root_id).where(
            Asset.id.in_(select(asked.c.v)), Asset.erased_at.is_(None), seen_asset(Asset.id, sees)
        )
    )
    return {row.id: row.root_id for row in rows}


def insert_reattribution(session: Session, own_id: UUID, person: UUID | None) -> None:
    """Begin a re-attribution."""
    session.execute(insert(Reattribution).values(id=own_id, by_person=person))


def insert_items(
    session: Session,
    own_id: UUID,
    lines: Sequence[tuple[UUID, UUID | None]],
    to_project: UUID | None,
    to_person: UUID | None,
) -> int:
    """Note how the assets of (line, from project) are before they are moved; return how many.

    `to_project` None: the project stays. Runs that also made what is not moved are not among those changed.
    """
    session.execute(
        text(
            """
            insert into reattribution_item
                (reattribution_id, asset_id, root_id, from_project, to_project, to_person, had, first_person,
                 locations, runs)
            select :id, asset.id, asset.root_id, given.project, coalesce(:project, given.project), :person,
                   exists (select from asset_project held
                           where held.asset_id = asset.id and held.project_id = :project),
                   owner.first_person,
                   coalesce((select jsonb_agg(jsonb_build_object('id', location.id)) from location
                             where location.asset_id = asset.id
                               and location.project_id is not distinct from given.project), '[]'),
                   coalesce((select jsonb_agg(jsonb_build_object('id', run.id, 'project', run.project_id,
                                                                 'person', run.person_id,
                                                                 'source', run.attribution_source))
                             from generation run
                             where run.id in (select made.generation_id from generation_output made
                                              where made.asset_id = asset.id)
                               and run.project_id is not distinct from given.project), '[]')
            from unnest(cast(:roots as uuid[]), cast(:projects as uuid[])) as given (root, project)
            join asset on asset.root_id = given.root
            left join asset_project owner on owner.asset_id = asset.id and owner.project_id = given.project
            where given.project is null or owner.asset_id is not null
            """
        ),
        {
            "id": own_id,
            "roots": [root for root, _ in lines],
            "projects": [project for _, project in lines],
            "project": to_project,
            "person": to_person,
        },
    )
    # A run that made something else too is everybody's whose pictures it made.
    session.execute(
        text(
            """
            update reattribution_item item set runs = coalesce(
                (select jsonb_agg(run) from jsonb_array_elements(item.runs) run
                 where not exists (
                     select from generation_output also
                     where also.generation_id = cast(run ->> 'id' as uuid)
                       and not exists (select from reattribution_item moved
                                       where moved.reattribution_id = :id and moved.asset_id = also.asset_id))), '[]')
            where item.reattribution_id = :id and item.runs <> '[]'
            """
        ),
        {"id": own_id},
    )
    counted = select(func.count()).where(ReattributionItem.reattribution_id == own_id)
    return int(session.execute(counted).scalar_one())


def move(session: Session, own_id: UUID) -> tuple[int, int]:
    """Do what a re-attribution's items say; return (places, runs) changed."""
    values = {"id": own_id}
    session.execute(
        text(
            """
            insert into asset_project (project_id, asset_id, root_id, made_at, first_person)
            select item.to_project, item.asset_id, item.root_id, asset.made_at,
                   coalesce(item.to_person, item.first_person)
            from reattribution_item item join asset on asset.id = item.asset_id
            where item.reattribution_id = :id and item.to_project is not null
            order by item.to_project, item.asset_id
            on conflict (project_id, asset_id) do update
                set first_person = coalesce(excluded.first_person, asset_project.first_person)
            """
        ),
        values,
    )
    session.execute(
        text(
            """
            delete from asset_project gone using reattribution_item item
            where item.reattribution_id = :id and gone.asset_id = item.asset_id
              and gone.project_id = item.from_project and item.from_project <> item.to_project
            """
        ),
        values,
    )
    places = session.execute(
        text(
            """
            update location set project_id = item.to_project
            from reattribution_item item, jsonb_array_elements(item.locations) place
            where item.reattribution_id = :id and location.id = cast(place ->> 'id' as uuid)
              and item.to_project is distinct from item.from_project
            returning location.id
            """
        ),
        values,
    ).all()
    runs = session.execute(
        text(
            """
            update generation set project_id = item.to_project,
                   person_id = coalesce(item.to_person, generation.person_id), attribution_source = 'person'
            from reattribution_item item, jsonb_array_elements(item.runs) run
            where item.reattribution_id = :id and generation.id = cast(run ->> 'id' as uuid)
            returning generation.id
            """
        ),
        values,
    ).all()
    return len(places), len({row[0] for row in runs})


def move_back(session: Session, own_id: UUID) -> None:
    """Make everything that a re-attribution changed as it was, as far as nobody changed it since."""
    values = {"id": own_id}
    for statement in (
        """
        insert into asset_project (project_id, asset_id, root_id, made_at, first_person)
        select item.from_project, item.asset_id, item.root_id, asset.made_at, item.first_person
        from reattribution_item item join asset on asset.id = item.asset_id
        where item.reattribution_id = :id and item.from_project is not null
        order by item.from_project, item.asset_id
        on conflict (project_id, asset_id) do update set first_person = excluded.first_person
        """,
        """
        delete from asset_project gone using reattribution_item item
        where item.reattribution_id = :id and gone.asset_id = item.asset_id and not item.had
          and gone.project_id = item.to_project and item.from_project is distinct from item.to_project
        """,
        """
        update location set project_id = item.from_project
        from reattribution_item item, jsonb_array_elements(item.locations) place
        where item.reattribution_id = :id and location.id = cast(place ->> 'id' as uuid)
          and location.project_id = item.to_project
        """,
        """
        update generation set project_id = cast(run ->> 'project' as uuid),
               person_id = cast(run ->> 'person' as uuid), attribution_source = run ->> 'source'
        from reattribution_item item, jsonb_array_elements(item.runs) run
        where item.reattribution_id = :id and generation.id = cast(run ->> 'id' as uuid)
          and generation.attribution_source = 'person' and generation.project_id is not distinct from item.to_project
        """,
    ):
        session.execute(text(statement), values)
    session.execute(update(Reattribution).where(Reattribution.id == own_id).values(undone_at=func.clock_timestamp()))


def move_declarations(session: Session, own_id: UUID) -> list[UUID]:
    """Let what was declared of a re-attribution's assets belong to where its runs belong now; return those assets."""
    session.execute(
        text(
            """
            update attestation said set project_id = run.project_id
            from generation run, reattribution_item item
            where item.reattribution_id = :id and said.asset_id = item.asset_id and run.id = said.generation_id
              and run.project_id is distinct from said.project_id
            """
        ),
        {"id": own_id},
    )
    item = ReattributionItem
    return list(session.scalars(select(item.asset_id).where(item.reattribution_id == own_id)))


def rewrite_owner_marks(session: Session, own_id: UUID) -> None:
    """Let the assets of a re-attribution be found under those projects and people that they belong to now."""
    session.execute(
        text(
            r"""
            update asset_text set words = ts_delete(words, array(
                    select word.lexeme from unnest(words) as word where word.lexeme ~ '^[pu]:[0-9a-f]{32}$'))
                || array_to_tsvector(array(
                    select 'p:' || replace(owner.project_id::text, '-', '') from asset_project owner
                    where owner.asset_id = asset_text.asset_id
                    union
                    select 'u:' || replace(owner.first_person::text, '-', '') from asset_project owner
                    where owner.asset_id = asset_text.asset_id and owner.first_person is not null
                    union
                    select 'u:' || replace(run.person_id::text, '-', '')
                    from generation_output made join generation run on run.id = made.generation_id
                    where made.asset_id = asset_text.asset_id and run.person_id is not null))
            where asset_id in (select asset_id from reattribution_item where reattribution_id = :id)
            """
        ),
        {"id": own_id},
    )


def find_reattribution(session: Session, own_id: UUID) -> Reattribution | None:
    """Return a re-attribution, locked, or None."""
    return session.scalars(
        select(Reattribution)
        .where(Reattribution.id == own_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def list_items(session: Session, own_id: UUID) -> list[AnyRow]:
    """Return (asset, SHA-256, root, from project, to project) of a re-attribution."""
    item = ReattributionItem
    return list(
        session.execute(
            select(item.asset_id, Asset.sha256, item.root_id, item.from_project, item.to_project)
            .join(Asset, Asset.id == item.asset_id)
            .where(item.reattribution_id == own_id)
            .order_by(item.asset_id)
        )
    )


def is_overtaken(session: Session, own_id: UUID) -> bool:
    """Tell whether some of a re-attribution's lines were re-attributed again later."""
    mine, later = ReattributionItem.__table__.alias("mine"), ReattributionItem.__table__.alias("later")
    found = exists().where(
        mine.c.reattribution_id == own_id,
        later.c.root_id == mine.c.root_id,
        later.c.reattribution_id > own_id,
        and_(Reattribution.id == later.c.reattribution_id, Reattribution.undone_at.is_(None)),
    )
    return bool(session.scalar(select(found)))


def list_owned(session: Session, roots: Collection[UUID], project: UUID) -> set[UUID]:
    """Return those of the lines that a project owns an asset of."""
    asked = listed([{"v": root} for root in roots], {"v": ID})
    return set(
        session.scalars(
            select(AssetProject.root_id)
            .where(AssetProject.root_id.in_(select(asked.c.v)), AssetProject.project_id == project)
            .distinct()
        )
    )
