"""Statements for numbered frames that are one item."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, func, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, insert
from sqlalchemy.orm import aliased

from memoryd.access.facts import Sees
from memoryd.catalog.facts import AssetKind, LocationState
from memoryd.catalog.queries.showing import seen_asset
from memoryd.catalog.tables.content import Asset
from memoryd.catalog.tables.enriched import Sequence, SequenceMember
from memoryd.catalog.tables.places import Location
from memoryd.catalog.tables.runs import Generation, GenerationOutput
from memoryd.foundation.database import Session

OUTPUTS_LIMIT = 20_000
"""Frames of one run that are looked at: a quarter of an hour at 24 a second."""


def _place() -> Any:
    """The place that names an asset: the first that it was seen at, of those where it still lies."""
    place = aliased(Location)
    return (
        select(place.id)
        .where(place.asset_id == Asset.id, place.state == LocationState.RECORDED.value)
        .order_by(place.first_seen, place.id)
        .limit(1)
        .correlate(Asset)
        .scalar_subquery()
    )


_SHOWN = (Asset.width, Asset.height, Asset.media_type, Asset.made_at)


def list_named(session: Session, assets: Collection[UUID]) -> list[Row[Any]]:
    """Return what is needed to tell frames, of pictures that lie somewhere: their name, size, and run if there is one."""
    known = or_(Generation.exact.is_not(None), Generation.tool.is_not(None), Generation.prompt_document.is_not(None))
    return list(
        session.execute(
            select(
                *(Asset.id.label("asset_id"), Location.watch_root_id, Location.path, Location.shown_path),
                *(GenerationOutput.generation_id, GenerationOutput.node, Generation.id.is_not(None).label("has_run")),
                *_SHOWN,
            )
            .select_from(Asset)
            .join(Location, Location.id == _place())
            .outerjoin(GenerationOutput, GenerationOutput.asset_id == Asset.id)
            .outerjoin(Generation, (Generation.id == GenerationOutput.generation_id) & known)
            .where(Asset.id.in_(list(assets)), Asset.kind == AssetKind.IMAGE.value, Asset.erased_at.is_(None))
            .order_by(Asset.id)
        )
    )


def list_outputs_named(session: Session, generation_id: UUID, node: str) -> list[Row[Any]]:
    """Return the pictures that one output of a run saved, with their names and sizes."""
    return list(
        session.execute(
            select(
                Asset.id.label("asset_id"),
                Location.watch_root_id,
                Location.path,
                Location.shown_path,
                *_SHOWN,
            )
            .select_from(Asset)
            .join(GenerationOutput, GenerationOutput.asset_id == Asset.id)
            .join(Location, Location.id == _place())
            .where(
                GenerationOutput.generation_id == generation_id,
                GenerationOutput.node == node,
                Asset.kind == AssetKind.IMAGE.value,
                Asset.erased_at.is_(None),
            )
            .order_by(Asset.id)
            .limit(OUTPUTS_LIMIT)
        )
    )


def ensure_sequence(
    session: Session, id_: UUID, key: bytes, name: str, first_id: UUID, first: int, made_at: datetime.datetime
) -> UUID:
    """Return the sequence of this key, made if it is new, locked until the end of the transaction."""
    session.execute(
        insert(Sequence)
        .values(id=id_, key=key, name=name, first_id=first_id, frames=0, first=first, last=first, made_at=made_at)
        .on_conflict_do_nothing(index_elements=[Sequence.key])
    )
    return session.scalars(select(Sequence.id).where(Sequence.key == key).with_for_update()).one()


def upsert_members(session: Session, sequence: UUID, numbers: Mapping[UUID, int]) -> None:
    """Record which assets are frames of a sequence, with their numbers."""
    made = insert(SequenceMember).values(
        [{"asset_id": asset, "sequence_id": sequence, "number": number} for asset, number in sorted(numbers.items())]
    )
    session.execute(
        made.on_conflict_do_update(
            index_elements=[SequenceMember.asset_id],
            set_={"sequence_id": made.excluded.sequence_id, "number": made.excluded.number},
        )
    )


def recount(session: Session, sequence: UUID) -> None:
    """Count a sequence's frames again, and find its first."""
    session.execute(
        text("""
        update sequence s set frames = counted.frames, first = counted.first, last = counted.last,
               first_id = counted.first_id
          from (select count(distinct number) as frames, min(number) as first, max(number) as last,
                       (array_agg(asset_id order by number, asset_id))[1] as first_id
                  from sequence_member where sequence_id = :id) counted
         where s.id = :id and counted.frames > 0"""),
        {"id": sequence},
    )


def list_sequences_of(session: Session, assets: Collection[UUID], sees: Sees) -> list[Row[Any]]:
    """Return (asset_id, id, name, seen, lowest, highest, seen_first) of the sequences that assets are frames of.

    Counted are the frames that the caller may see.
    """
    asked = (
        select(SequenceMember.asset_id, SequenceMember.sequence_id)
        .where(SequenceMember.asset_id.in_(list(assets)))
        .subquery("asked")
    )
    first = func.array_agg(
        aggregate_order_by(SequenceMember.asset_id, SequenceMember.number, SequenceMember.asset_id),
        type_=ARRAY(Uuid()),
    )
    counted = (
        select(
            SequenceMember.sequence_id,
            func.count(func.distinct(SequenceMember.number)).label("seen"),
            func.min(SequenceMember.number).label("lowest"),
            func.max(SequenceMember.number).label("highest"),
            first[1].label("seen_first"),
        )
        .where(SequenceMember.sequence_id.in_(select(asked.c.sequence_id)), seen_asset(SequenceMember.asset_id, sees))
        .group_by(SequenceMember.sequence_id)
        .subquery("counted")
    )
    return list(
        session.execute(
            select(
                asked.c.asset_id,
                *(Sequence.id, Sequence.name),
                *(counted.c.seen, counted.c.lowest, counted.c.highest, counted.c.seen_first),
            )
            .select_from(asked)
            .join(Sequence, Sequence.id == asked.c.sequence_id)
            .join(counted, counted.c.sequence_id == Sequence.id)
        )
    )


def list_frames(session: Session, sequence: UUID, sees: Sees) -> list[Row[Any]]:
    """Return (number, asset_id) of a sequence's frames, in order."""
    return list(
        session.execute(
            select(SequenceMember.number, SequenceMember.asset_id)
            .where(SequenceMember.sequence_id == sequence, seen_asset(SequenceMember.asset_id, sees))
            .order_by(SequenceMember.number, SequenceMember.asset_id)
        )
    )
