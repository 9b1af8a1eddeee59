"""Every statement of this room."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.catalog.tables.content import Asset
from memoryd.catalog.tables.runs import Generation, GenerationOutput
from memoryd.foundation.database import Session
from memoryd.recognition.tables import Fingerprint


def upsert_fingerprints(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Record fingerprints, in the place of those of the same recipe and frame."""
    if not rows:
        return
    made = insert(Fingerprint).values([dict(row) for row in rows])
    session.execute(
        made.on_conflict_do_update(
            index_elements=[Fingerprint.asset_id, Fingerprint.recipe, Fingerprint.mirrored, Fingerprint.frame],
            set_={"code": made.excluded.code, "bands": made.excluded.bands, "at": func.clock_timestamp()},
        )
    )


def delete_old_fingerprints(session: Session, assets: Collection[UUID], recipe: str) -> None:
    """Forget what older recipes made of assets."""
    session.execute(delete(Fingerprint).where(Fingerprint.asset_id.in_(list(assets)), Fingerprint.recipe != recipe))


def list_sharing_bands(session: Session, recipe: str, bands: Collection[int], limit: int) -> list[Row[Any]]:
    """Return (asset_id, mirrored, code) of fingerprints that share one of these bands, at most `limit`."""
    return list(
        session.execute(
            select(Fingerprint.asset_id, Fingerprint.mirrored, Fingerprint.code)
            .where(Fingerprint.bands.overlap(list(bands)), Fingerprint.recipe == recipe)
            .limit(limit)
        )
    )


def list_fingerprints(session: Session, assets: Collection[UUID], recipe: str) -> list[Row[Any]]:
    """Return (asset_id, frame, code, bands) of assets as they are, not mirrored."""
    return list(
        session.execute(
            select(Fingerprint.asset_id, Fingerprint.frame, Fingerprint.code, Fingerprint.bands).where(
                Fingerprint.asset_id.in_(list(assets)), Fingerprint.recipe == recipe, Fingerprint.mirrored.is_(False)
            )
        )
    )


def list_same_pixels(session: Session, asset: UUID, limit: int) -> list[UUID]:
    """Return the other assets whose decoded pixels are the same by the same recipe, oldest first."""
    own = select(Asset.pixel_recipe, Asset.pixel_digest).where(Asset.id == asset).subquery("own")
    return list(
        session.scalars(
            select(Asset.id)
            .join(own, (own.c.pixel_digest == Asset.pixel_digest) & (own.c.pixel_recipe == Asset.pixel_recipe))
            .where(Asset.id != asset)
            .order_by(Asset.made_at, Asset.id)
            .limit(limit)
        )
    )


def list_compared(session: Session, assets: Collection[UUID]) -> list[Row[Any]]:
    """Return (id, root_id, width, height, pixel_recipe, pixel_digest, made_at, has_run) of assets that are still there.

    `has_run`: a run with a graph or the texts of a tool is known to have made it.
    """
    run = (
        select(GenerationOutput.id)
        .join(Generation, Generation.id == GenerationOutput.generation_id)
        .where(
            GenerationOutput.asset_id == Asset.id,
            or_(Generation.exact.is_not(None), Generation.tool.is_not(None), Generation.prompt_document.is_not(None)),
        )
        .exists()
    )
    return list(
        session.execute(
            select(
                *(Asset.id, Asset.root_id, Asset.width, Asset.height, Asset.pixel_recipe, Asset.pixel_digest),
                *(Asset.made_at, run.label("has_run")),
            ).where(Asset.id.in_(list(assets)), Asset.erased_at.is_(None))
        )
    )


def list_near_codes(
    session: Session, recipe: str, codes: Collection[bytes], within: int, sees: Sees, limit: int
) -> list[Row[Any]]:
    """Return (asset_id, frame, code, apart) of the `limit` fingerprints nearest to any of these codes, nearest first.

    Every fingerprint is looked at, none is missed. Source: measured on two busy cores (benchmarks/identify.py), 0.3 s among
    100,000 assets and 0.7 s among 1,000,000. Fetching all codes to compare them with numpy takes twice as long, and an
    index of bands with all their neighbours of one bit ends at 31 bits.
    """
    asked = {f"code_{place}": code.hex() for place, code in enumerate(sorted(codes))}
    # A code is compared as bits; bytea itself has no exclusive or. Source: Postgres 17, 9.6, bit string functions.
    each = (f"bit_count(('x' || encode(f.code, 'hex'))::bit(256) # ('x' || :{name})::bit(256))" for name in asked)
    seen = (
        ""
        if sees is None
        else "and exists (select from asset_project p where p.asset_id = near.asset_id and p.project_id = any(:sees))"
    )
    # Apart, so that the few that are near are looked up one by one: else every asset is read besides.
    statement = text(
        f"""
        with near as materialized (
            select * from (
                select f.asset_id, f.frame, f.code, least({", ".join(each)}) as apart
                from fingerprint f
                where f.recipe = :recipe and not f.mirrored and cardinality(f.bands) > 0
            ) every
            where apart <= :within
        )
        select near.asset_id, near.frame, near.code, near.apart
        from near
        where exists (select from asset a where a.id = near.asset_id and a.erased_at is null) {seen}
        order by near.apart, near.asset_id, near.frame
        limit :limit
        """
    )
    more = {} if sees is None else {"sees": list(sees)}
    return list(session.execute(statement, {"recipe": recipe, "within": within, "limit": limit, **asked, **more}))
