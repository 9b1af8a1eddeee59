"""Statements about what people declare of how an asset was made."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, Text, cast, delete, func, literal, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR, insert
from sqlalchemy.orm import aliased

from memoryd.access.facts import Sees
from memoryd.access.tables import Person, Project
from memoryd.catalog.tables.content import Asset, AssetText
from memoryd.catalog.tables.decided import Attestation
from memoryd.catalog.tables.runs import GenerationOutput
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def insert_attestation(session: Session, words: str, **values: object) -> None:
    """Record what was declared; `words` is the text of a tsvector, which `settle_words` lets the asset be found by."""
    new = cast(literal(words), TSVECTOR)
    had = select(func.tsvector_to_array(AssetText.words)).where(AssetText.asset_id == values["asset_id"])
    added = func.ts_delete(new, func.coalesce(had.scalar_subquery(), cast(literal("{}"), ARRAY(Text))))
    session.execute(insert(Attestation).values(words=new, added=added, **values))


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


def settle_words(session: Session, assets: Collection[UUID], *, rewritten: Collection[UUID] = ()) -> None:
    """Let assets be found by what is declared of them where the declaring project alone owns them, and only there.

    Words are the asset's, whoever looks: another project with equal bytes must not find it by ours (INV-6). To be called
    after whatever changes what is declared of an asset, or who owns it. `rewritten`: those of the assets whose words were
    written anew, from their file alone.
    """
    concerned = select(Attestation.asset_id).where(Attestation.asset_id.in_(assets))
    # Whoever declares and whoever takes the bytes in at the same time each see what the other did.
    locked = (
        select(Asset.id).where(Asset.id.in_(concerned)).order_by(Asset.sha256).with_for_update(of=Asset, key_share=True)
    )
    settled = session.scalars(locked).all()
    if not settled:
        return
    session.execute(
        text(
            """
            update attestation said set added = ts_delete(said.words, tsvector_to_array(asset_text.words))
            from asset_text where asset_text.asset_id = said.asset_id and said.asset_id = any(:assets)
            """
        ),
        {"assets": [asset for asset in settled if asset in set(rewritten)]},
    )
    session.execute(
        text(
            """
            with shown as (
                select said.asset_id, cast(string_agg(cast(said.words as text), ' ') as tsvector) as words
                from attestation said
                where said.asset_id = any(:assets) and said.withdrawn_at is null
                  and not exists (select from asset_project owner where owner.asset_id = said.asset_id
                                  and owner.project_id is distinct from said.project_id)
                group by said.asset_id
            ), own as (
                select asset_text.asset_id, ts_delete(asset_text.words, array(
                    select one.lexeme from attestation said, unnest(said.added) as one
                    where said.asset_id = asset_text.asset_id)) as words
                from asset_text where asset_text.asset_id = any(:assets)
            )
            update asset_text set words = own.words || coalesce(
                ts_delete(shown.words, tsvector_to_array(own.words)), cast('' as tsvector))
            from own left join shown on shown.asset_id = own.asset_id
            where asset_text.asset_id = own.asset_id
            """
        ),
        {"assets": list(settled)},
    )
