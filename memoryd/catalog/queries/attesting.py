"""Statements about what people declare of how an asset was made."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, cast, delete, exists, func, literal, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR, insert
from sqlalchemy.orm import aliased

from memoryd.access.facts import Sees
from memoryd.access.tables import Person, Project
from memoryd.catalog.tables.content import AssetProject, AssetText
from memoryd.catalog.tables.decided import Attestation
from memoryd.catalog.tables.runs import GenerationOutput
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def insert_attestation(session: Session, words: str, **values: object) -> None:
    """Record what was declared, and let the asset be found by it; `words` is the text of a tsvector."""
    new = cast(literal(words), TSVECTOR)
    had = select(func.tsvector_to_array(AssetText.words)).where(AssetText.asset_id == values["asset_id"])
    added = func.ts_delete(new, func.coalesce(had.scalar_subquery(), cast(literal("{}"), ARRAY(Text))))
    session.execute(insert(Attestation).values(words=new, added=added, **values))
    session.execute(
        update(AssetText).where(AssetText.asset_id == values["asset_id"]).values(words=AssetText.words.op("||")(new))
    )


def find_attestation(session: Session, attestation: UUID) -> Attestation | None:
    """Return a declaration, locked, or None."""
    return session.scalars(
        select(Attestation)
        .where(Attestation.id == attestation)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def withdraw(session: Session, attestation: UUID, person: UUID | None) -> None:
    """Note that a declaration was withdrawn; its run makes no asset any more, and stays for the trail."""
    taken = (
        update(Attestation)
        .where(Attestation.id == attestation)
        .values(withdrawn_at=func.clock_timestamp(), withdrawn_by=person)
        .returning(Attestation.generation_id)
    )
    run = session.scalars(taken).one()
    session.execute(delete(GenerationOutput).where(GenerationOutput.generation_id == run))


def list_attestations(session: Session, asset: UUID, sees: Sees) -> list[AnyRow]:
    """Return what people of projects that the caller sees declared of an asset, newest first."""
    seen = true() if sees is None else Attestation.project_id.in_(sees)
    declarer = aliased(Person)
    return list(
        session.execute(
            select(
                Attestation,
                Project.slug,
                Person.display_name.label("person"),
                declarer.display_name.label("by"),
            )
            .outerjoin(Project, Project.id == Attestation.project_id)
            .outerjoin(Person, Person.id == Attestation.person_id)
            .outerjoin(declarer, declarer.id == Attestation.by_person)
            .where(Attestation.asset_id == asset, seen)
            .order_by(Attestation.id.desc())
            .execution_options(populate_existing=True)
        )
    )


def is_owned_elsewhere(session: Session, asset: UUID, project: UUID | None) -> bool:
    """Tell whether another project than this one owns the asset as well."""
    other = AssetProject.project_id.is_distinct_from(project)
    return bool(session.scalar(select(exists().where(AssetProject.asset_id == asset, other))))


def take_words(session: Session, asset: UUID) -> None:
    """Let an asset no longer be found by words that only withdrawn declarations brought."""
    session.execute(
        text(
            """
            update asset_text set words = ts_delete(words, array(
                select one.lexeme from attestation gone, unnest(gone.added) as one
                where gone.asset_id = :asset and gone.withdrawn_at is not null
                except
                select held.lexeme from attestation still, unnest(still.words) as held
                where still.asset_id = :asset and still.withdrawn_at is null))
            where asset_id = :asset
            """
        ),
        {"asset": asset},
    )


def declared_words(asset_id: Any) -> ColumnElement[str]:
    """What declarations add to an asset's words: for whoever writes them anew."""
    said = (
        select(func.string_agg(cast(Attestation.words, Text), " "))
        .where(Attestation.asset_id == asset_id, Attestation.withdrawn_at.is_(None))
        .scalar_subquery()
    )
    return cast(func.coalesce(said, ""), TSVECTOR)
