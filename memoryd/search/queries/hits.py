"""Statements that find assets, newest first, by key, and read what a list shows of them."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any as AnyType
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, exists, func, select, text, true, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from memoryd.access.facts import Sees
from memoryd.access.tables import Project
from memoryd.catalog.facts import GenerationOrigin
from memoryd.catalog.sequences import SHOWN_FROM
from memoryd.catalog.tables.attached import Approval, AssetTag, Rating, Tag
from memoryd.catalog.tables.content import AssetMark, AssetProject, AssetText
from memoryd.catalog.tables.enriched import Sequence, SequenceMember
from memoryd.catalog.tables.runs import (
    Generation,
    GenerationModel,
    GenerationOutput,
    GenerationPrompt,
    GenerationSampler,
)
from memoryd.foundation.database import Session


def is_head() -> ColumnElement[bool]:
    """The condition that people mean this asset by its line now."""
    return AssetText.head.is_(True)


def is_alone_or_first(sees: Sees) -> ColumnElement[bool]:
    """The condition that the asset is no later frame of a sequence, of which the caller sees an earlier one."""
    member, earlier = aliased(SequenceMember), aliased(SequenceMember)
    return ~exists().where(
        member.asset_id == AssetText.asset_id,
        Sequence.id == member.sequence_id,
        Sequence.frames >= SHOWN_FROM,
        earlier.sequence_id == member.sequence_id,
        earlier.number < member.number,
        true()
        if sees is None
        else exists().where(AssetProject.asset_id == earlier.asset_id, AssetProject.project_id.in_(sees)),
    )


def _before(after: tuple[datetime.datetime, UUID] | None) -> ColumnElement[bool]:
    return true() if after is None else tuple_(AssetText.made_at, AssetText.asset_id) < tuple_(*after)


_NEWEST = (AssetText.made_at.desc(), AssetText.asset_id.desc())


def list_in_window(
    session: Session,
    where: ColumnElement[bool],
    after: tuple[datetime.datetime, UUID] | None,
    window: int,
    limit: int,
) -> list[tuple[datetime.datetime, UUID]]:
    """Return the key of what matches among the next `window` assets, newest first, at most `limit`."""
    near = select(AssetText.asset_id).where(_before(after)).order_by(*_NEWEST).limit(window).subquery("near")
    rows = session.execute(
        select(AssetText.made_at, AssetText.asset_id)
        .join(near, near.c.asset_id == AssetText.asset_id)
        .where(where)
        .order_by(*_NEWEST)
        .limit(limit)
    )
    return [(made_at, asset) for made_at, asset in rows]


def find_window_end(
    session: Session, after: tuple[datetime.datetime, UUID] | None, window: int
) -> tuple[datetime.datetime, UUID] | None:
    """Return the key of the last of the next `window` assets, or None where there are fewer."""
    row = session.execute(
        select(AssetText.made_at, AssetText.asset_id)
        .where(_before(after))
        .order_by(*_NEWEST)
        .offset(window - 1)
        .limit(1)
    ).first()
    return None if row is None else (row.made_at, row.asset_id)


def list_matches(
    session: Session, where: ColumnElement[bool], after: tuple[datetime.datetime, UUID] | None, limit: int
) -> list[tuple[datetime.datetime, UUID]]:
    """Return the key of what matches, newest first: found through the indexes of the conditions, then sorted."""
    hits = (
        select(AssetText.made_at, AssetText.asset_id)
        .where(where, _before(after))
        .cte("hits")
        .prefix_with("materialized")
    )
    # Materialised, since the planner takes the newest-first walk whenever it expects many hits, and walks everything
    # if they are old or there is none.
    rows = session.execute(
        select(hits.c.made_at, hits.c.asset_id).order_by(hits.c.made_at.desc(), hits.c.asset_id.desc()).limit(limit)
    )
    return [(made_at, asset) for made_at, asset in rows]


def set_time_limit(session: Session, milliseconds: int) -> None:
    """Let no statement of this transaction run longer: a search never holds a connection for a minute."""
    session.execute(text("select set_config('statement_timeout', :limit, true)"), {"limit": f"{milliseconds}ms"})


def list_details(session: Session, assets: Collection[UUID], sees: Sees) -> dict[UUID, Row[AnyType]]:
    """Return what a list of hits shows beside their faces, by asset."""

    def of_project(column: AnyType) -> ColumnElement[bool]:
        return true() if sees is None else column.in_(sees)

    def first_fact(column: AnyType, table: AnyType, where: ColumnElement[bool], *order: AnyType) -> AnyType:
        return (
            select(column)
            .join(
                GenerationOutput,
                and_(GenerationOutput.generation_id == table.generation_id, GenerationOutput.node == table.output_node),
            )
            .where(GenerationOutput.asset_id == AssetText.asset_id, where, not_foreign)
            .order_by(*order)
            .limit(1)
            .scalar_subquery()
        )

    # What another project declared of the same bytes is its own (INV-6); a declaration follows what files and jobs say.
    declared = exists().where(
        Generation.id == GenerationOutput.generation_id, Generation.origin == GenerationOrigin.DECLARED.value
    )
    not_foreign = (
        true()
        if sees is None
        else ~declared.where(Generation.project_id.is_distinct_from(None)).where(Generation.project_id.not_in(sees))
    )
    prompt = first_fact(
        func.left(GenerationPrompt.text, 400),
        GenerationPrompt,
        GenerationPrompt.polarity == "positive",
        GenerationPrompt.generation_id,
        GenerationPrompt.ordinal,
    )
    seed = first_fact(
        GenerationSampler.seed,
        GenerationSampler,
        GenerationSampler.seed.is_not(None),
        GenerationSampler.generation_id,
        GenerationSampler.final.desc(),
        GenerationSampler.ordinal.desc(),
    )
    models = (
        select(func.array_agg(aggregate_order_by(GenerationModel.name, GenerationModel.ordinal)))
        .join(
            GenerationOutput,
            and_(
                GenerationOutput.generation_id == GenerationModel.generation_id,
                GenerationOutput.node == GenerationModel.output_node,
            ),
        )
        .where(GenerationOutput.asset_id == AssetText.asset_id, not_foreign)
        .scalar_subquery()
    )
    projects = (
        select(func.array_agg(aggregate_order_by(Project.slug, Project.slug)))
        .join(AssetProject, AssetProject.project_id == Project.id)
        .where(AssetProject.asset_id == AssetText.asset_id, of_project(Project.id))
        .scalar_subquery()
    )
    tags = (
        select(func.array_agg(func.distinct(Tag.name)))
        .join(AssetTag, AssetTag.tag_id == Tag.id)
        .where(AssetTag.root_id == AssetText.root_id, of_project(Tag.project_id))
        .scalar_subquery()
    )
    rating = (
        select(func.max(Rating.stars))
        .where(Rating.root_id == AssetText.root_id, of_project(Rating.project_id))
        .scalar_subquery()
    )
    approval = (
        select(Approval.state)
        .where(Approval.root_id == AssetText.root_id, of_project(Approval.project_id))
        .order_by(Approval.at.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            AssetText.asset_id,
            AssetText.head,
            AssetMark.flags,
            *(prompt.label("prompt"), seed.label("seed"), models.label("models"), projects.label("projects")),
            *(tags.label("tags"), rating.label("rating"), approval.label("approval")),
        )
        .outerjoin(AssetMark, AssetMark.root_id == AssetText.root_id)
        .where(AssetText.asset_id.in_(list(assets)))
    )
    return {row.asset_id: row for row in rows}
