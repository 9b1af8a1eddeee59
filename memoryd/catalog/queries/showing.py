"""Statements that read assets for people: what a caller may not see is not in any answer (INV-5 inside a tenant)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, case, exists, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased

from memoryd.access.facts import Sees
from memoryd.access.tables import Person, Project
from memoryd.catalog.asset_view import Face
from memoryd.catalog.facts import AssetKind, GenerationOrigin, LocationState
from memoryd.catalog.queries.listed import BYTES, ID, TEXT, listed
from memoryd.catalog.tables.attached import Approval, AssetTag, CollectionItem, Note, Rating, Tag
from memoryd.catalog.tables.attached import Collection as CollectionRow
from memoryd.catalog.tables.content import Asset, AssetMark, AssetProject, AssetText, Extraction, Thumbnail
from memoryd.catalog.tables.places import Location, LocationPast, WatchRoot
from memoryd.catalog.tables.runs import (
    Environment,
    Generation,
    GenerationInput,
    GenerationModel,
    GenerationOutput,
    GenerationPrompt,
    GenerationSampler,
)
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def seen_asset(asset_id: Any, sees: Sees) -> ColumnElement[bool]:
    """The condition that an asset is in a project the caller sees."""
    if sees is None:
        return true()
    return exists().where(AssetProject.asset_id == asset_id, AssetProject.project_id.in_(sees))


def seen_place(sees: Sees) -> ColumnElement[bool]:
    """The condition that a location is in a project the caller sees: names are not shared by equal bytes (INV-6)."""
    return true() if sees is None else Location.project_id.in_(sees)


def find_root_of(session: Session, asset: AssetId) -> UUID | None:
    """Return an asset's line, or None."""
    return session.scalar(select(Asset.root_id).where(Asset.id == asset))


def find_asset(session: Session, asset: AssetId, sees: Sees) -> AnyRow | None:
    """Return an asset's own row with its head and flags, or None where the caller sees none."""
    return session.execute(
        select(
            Asset,
            func.coalesce(AssetText.head, True).label("head"),
            func.coalesce(AssetMark.flags, literal([], type_=AssetMark.flags.type)).label("flags"),
        )
        .outerjoin(AssetText, AssetText.asset_id == Asset.id)
        .outerjoin(AssetMark, AssetMark.root_id == Asset.root_id)
        .where(Asset.id == asset, Asset.erased_at.is_(None), seen_asset(Asset.id, sees))
        .execution_options(populate_existing=True)
    ).first()


def find_ids_by_digest(session: Session, first: bytes, last: bytes, sees: Sees, limit: int) -> list[UUID]:
    """Return assets whose SHA-256 lies between two (both included), in order."""
    return list(
        session.scalars(
            select(Asset.id)
            .where(Asset.sha256.between(first, last), Asset.erased_at.is_(None), seen_asset(Asset.id, sees))
            .order_by(Asset.sha256)
            .limit(limit)
        )
    )


def find_ids_by_path(
    session: Session, places: Sequence[tuple[UUID | None, bytes]], sees: Sees, limit: int
) -> list[UUID]:
    """Return the assets that lie, or were last known to lie, at one of these (root, path)."""
    asked = listed([{"root": root, "path": path} for root, path in places], {"root": ID, "path": BYTES})
    return list(
        session.scalars(
            select(Location.asset_id)
            .join(
                asked,
                and_(
                    func.sha256(Location.path) == func.sha256(asked.c.path),
                    Location.watch_root_id.is_not_distinct_from(asked.c.root),
                ),
            )
            .where(Location.asset_id.is_not(None), seen_place(sees), seen_asset(Location.asset_id, sees))
            .distinct()
            .limit(limit)
        )
    )


def _name_of(asset_id: Any, sees: Sees) -> ColumnElement[str | None]:
    return (
        select(func.regexp_replace(Location.shown_path, r"^.*[/\\]", ""))
        .where(Location.asset_id == asset_id, seen_place(sees))
        # Where it lies in several places, the first it was found at names it; a copy of it does not.
        .order_by(
            Location.state != LocationState.RECORDED.value,
            case((Location.state == LocationState.RECORDED.value, None), else_=Location.last_seen).desc().nulls_first(),
            Location.id,
        )
        .limit(1)
        .scalar_subquery()
    )


def _face_columns(sees: Sees) -> tuple[ColumnElement[Any], ...]:
    columns = (Asset.id, Asset.root_id, Asset.sha256, Asset.kind, Asset.media_type, Asset.width, Asset.height)
    thumbnail = exists().where(Thumbnail.asset_id == Asset.id)
    return (*columns, Asset.made_at, _name_of(Asset.id, sees).label("name"), thumbnail.label("has_thumbnail"))  # type: ignore[return-value]


def _face(row: AnyRow) -> Face:
    return Face(
        id=AssetId(row.id),
        root_id=AssetId(row.root_id),
        sha256=row.sha256,
        kind=AssetKind(row.kind),
        media_type=row.media_type,
        width=row.width,
        height=row.height,
        made_at=row.made_at,
        name=row.name,
        has_thumbnail=row.has_thumbnail,
    )


def list_faces(session: Session, roots: Collection[UUID], sees: Sees) -> dict[UUID, Face]:
    """Return what lists show of lines: of each its newest head that the caller sees, else its newest asset."""
    if not roots:
        return {}
    asked = listed([{"v": root} for root in roots], {"v": ID})
    rows = session.execute(
        select(*_face_columns(sees))
        .outerjoin(AssetText, AssetText.asset_id == Asset.id)
        .where(Asset.root_id.in_(select(asked.c.v)), Asset.erased_at.is_(None), seen_asset(Asset.id, sees))
        .ext(distinct_on(Asset.root_id))
        .order_by(Asset.root_id, AssetText.head.desc().nulls_last(), Asset.made_at.desc(), Asset.id.desc())
    )
    return {row.root_id: _face(row) for row in rows}


def list_faces_of_assets(session: Session, assets: Collection[UUID], sees: Sees) -> dict[UUID, Face]:
    """Return what lists show of assets that the caller sees."""
    asked = listed([{"v": asset} for asset in assets], {"v": ID})
    rows = session.execute(
        select(*_face_columns(sees)).where(
            Asset.id.in_(select(asked.c.v)), Asset.erased_at.is_(None), seen_asset(Asset.id, sees)
        )
    )
    return {row.id: _face(row) for row in rows}


def list_line(session: Session, root: UUID, sees: Sees) -> list[tuple[Face, AnyRow]]:
    """Return the assets of a line, in the order they were recorded."""
    rows = session.execute(
        select(
            *_face_columns(sees),
            Asset.succeeds_id,
            Asset.succession,
            func.coalesce(AssetText.head, True).label("head"),
        )
        .outerjoin(AssetText, AssetText.asset_id == Asset.id)
        .where(Asset.root_id == root, Asset.erased_at.is_(None), seen_asset(Asset.id, sees))
        .order_by(Asset.id)
    )
    return [(_face(row), row) for row in rows]


def list_faces_by_digest(session: Session, digests: Collection[bytes], sees: Sees) -> dict[bytes, Face]:
    """Return the assets with these contents that the caller sees."""
    if not digests:
        return {}
    rows = session.execute(
        select(*_face_columns(sees)).where(
            Asset.sha256.in_(digests), Asset.erased_at.is_(None), seen_asset(Asset.id, sees)
        )
    )
    return {row.sha256: _face(row) for row in rows}


def list_generations(session: Session, asset: AssetId, sees: Sees) -> list[AnyRow]:
    """Return (output, run, person, environment) of the runs that made an asset, earliest first.

    A run of a project that the caller does not see is shown only if a file says the same of itself; `named` is False.
    """
    named: ColumnElement[bool] = true()
    shown: ColumnElement[bool] = true()
    if sees is not None:
        name_in_file = aliased(Generation)
        named = or_(Generation.project_id.is_(None), Generation.project_id.in_(sees))
        told_by_file = exists().where(name_in_file.adopted_by == Generation.id)
        shown = or_(named, Generation.origin == GenerationOrigin.FILE.value, told_by_file)
    return list(
        session.execute(
            select(
                *(GenerationOutput, Generation, named.label("named"), Person.display_name.label("person")),
                *(Environment.comfyui_version, Environment.gpu),
            )
            .join(Generation, Generation.id == GenerationOutput.generation_id)
            .outerjoin(Person, Person.id == Generation.person_id)
            .outerjoin(Environment, Environment.hash == Generation.environment)
            .where(GenerationOutput.asset_id == asset, shown)
            .order_by(Generation.recorded_at, GenerationOutput.id)
            .execution_options(populate_existing=True)
        )
    )


def list_facts(session: Session, outputs: Collection[tuple[UUID, str]]) -> dict[str, list[Any]]:
    """Return the facts of (run, output node), by kind: samplers, prompts, models, inputs, each in order."""
    asked = listed([{"run": run, "node": node} for run, node in outputs], {"run": ID, "node": TEXT})
    kinds: dict[str, Any] = {
        "samplers": GenerationSampler,
        "prompts": GenerationPrompt,
        "models": GenerationModel,
        "inputs": GenerationInput,
    }
    return {
        kind: list(
            session.scalars(
                select(table)
                .join(asked, and_(asked.c.run == table.generation_id, asked.c.node == table.output_node))
                .order_by(table.generation_id, table.output_node, table.ordinal)
                .execution_options(populate_existing=True)
            )
        )
        for kind, table in kinds.items()
    }


def list_extractions(session: Session, asset: AssetId) -> list[Extraction]:
    """Return the readings of an asset, latest first."""
    return list(session.scalars(select(Extraction).where(Extraction.asset_id == asset).order_by(Extraction.at.desc())))


def list_places(session: Session, asset: AssetId, sees: Sees) -> list[AnyRow]:
    """Return (location, watch root or None) of an asset, present ones first."""
    return list(
        session.execute(
            select(Location, WatchRoot)
            .outerjoin(WatchRoot, WatchRoot.id == Location.watch_root_id)
            .where(Location.asset_id == asset, seen_place(sees))
            .order_by(Location.state != LocationState.RECORDED.value, Location.last_seen.desc(), Location.id)
            .execution_options(populate_existing=True)
        )
    )


def list_past_places(session: Session, asset: AssetId, sees: Sees) -> list[AnyRow]:
    """Return (shown path, reason, until) of places an asset lay at before, latest first."""
    return list(
        session.execute(
            select(LocationPast.shown_path, LocationPast.reason, LocationPast.until)
            .join(Location, Location.id == LocationPast.location_id)
            .where(LocationPast.asset_id == asset, seen_place(sees))
            .order_by(LocationPast.until.desc(), LocationPast.id.desc())
        )
    )


def list_owners(session: Session, root: UUID, sees: Sees) -> list[tuple[UUID, str]]:
    """Return (project, slug) of the projects that own an asset of the line, by slug."""
    seen = true() if sees is None else Project.id.in_(sees)
    rows = session.execute(
        select(Project.id, Project.slug)
        .join(AssetProject, AssetProject.project_id == Project.id)
        .where(AssetProject.root_id == root, seen)
        .distinct()
        .order_by(Project.slug)
    )
    return [(project, slug) for project, slug in rows]


def list_attached(session: Session, root: UUID, projects: Collection[UUID]) -> dict[str, list[AnyRow]]:
    """Return what projects attached to a line, by kind; every row names its `project_id`."""

    def rows(statement: Any) -> list[AnyRow]:
        return list(session.execute(statement))

    who = Person.display_name.label("by")
    return {
        "tags": rows(
            select(Tag.project_id, Tag.name)
            .join(AssetTag, AssetTag.tag_id == Tag.id)
            .where(AssetTag.root_id == root, Tag.project_id.in_(projects))
            .order_by(Tag.name)
        ),
        "ratings": rows(
            select(Rating.project_id, Rating.stars).where(Rating.root_id == root, Rating.project_id.in_(projects))
        ),
        "notes": rows(
            select(Note.project_id, Note.text, Note.at, who)
            .outerjoin(Person, Person.id == Note.by_person)
            .where(Note.root_id == root, Note.project_id.in_(projects))
            .order_by(Note.at, Note.id)
        ),
        "collections": rows(
            select(CollectionRow.project_id, CollectionRow.name)
            .join(CollectionItem, CollectionItem.collection_id == CollectionRow.id)
            .where(CollectionItem.root_id == root, CollectionRow.project_id.in_(projects))
            .order_by(CollectionRow.name)
        ),
        "approvals": rows(
            select(Approval.project_id, Approval.state, Approval.comment, Approval.at, Approval.asset_id, who)
            .outerjoin(Person, Person.id == Approval.by_person)
            .where(Approval.root_id == root, Approval.project_id.in_(projects))
        ),
    }


def list_copies_of_content(session: Session, asset: AssetId) -> list[tuple[str | None, bytes | None, bytes]]:
    """Return (host, root path, path) of places where an asset was last seen, whatever the caller may see."""
    rows = session.execute(
        select(WatchRoot.host, WatchRoot.path, Location.path)
        .select_from(Location)
        .outerjoin(WatchRoot, WatchRoot.id == Location.watch_root_id)
        .where(Location.asset_id == asset, Location.state == LocationState.RECORDED.value)
        .order_by(Location.last_seen.desc(), Location.id)
    )
    return [(host, root, path) for host, root, path in rows]


def find_content(session: Session, asset: AssetId) -> tuple[bytes, int, str] | None:
    """Return (SHA-256, size, media type) of an asset, or None."""
    row = session.execute(
        select(Asset.sha256, Asset.size, Asset.media_type).where(Asset.id == asset, Asset.erased_at.is_(None))
    ).first()
    return None if row is None else (row.sha256, row.size, row.media_type)


def find_last_place(session: Session, asset: AssetId) -> tuple[str, datetime.datetime] | None:
    """Return (shown path, last seen) of where an asset was seen last, or None."""
    row = session.execute(
        select(Location.shown_path, Location.last_seen)
        .where(Location.asset_id == asset)
        .order_by(Location.last_seen.desc())
        .limit(1)
    ).first()
    return None if row is None else (row.shown_path, row.last_seen)
