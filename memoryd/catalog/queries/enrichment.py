"""Statements for what is found out about an asset after it was recorded: thumbnails, pixel digests, environments."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.catalog.queries.showing import seen_asset
from memoryd.catalog.tables.content import Asset, Thumbnail
from memoryd.catalog.tables.runs import Environment
from memoryd.foundation.database import Session


def upsert_thumbnail(session: Session, **values: object) -> None:
    """Record a thumbnail; one of the same recipe and size is replaced."""
    made = insert(Thumbnail).values(**values)
    changed = ("sha256", "media_type", "width", "height")
    session.execute(
        made.on_conflict_do_update(
            index_elements=[Thumbnail.asset_id, Thumbnail.recipe, Thumbnail.size],
            set_={**{name: made.excluded[name] for name in changed}, "made_at": func.clock_timestamp()},
        )
    )


def find_thumbnail(session: Session, asset: UUID, size: int) -> Row[Any] | None:
    """Return the smallest thumbnail of at least this size, else the largest there is."""
    return session.execute(
        select(Thumbnail)
        .where(Thumbnail.asset_id == asset)
        .order_by(Thumbnail.size < size, func.abs(Thumbnail.size - size), Thumbnail.made_at.desc())
        .limit(1)
    ).first()


def update_pixel_digest(session: Session, asset: UUID, recipe: str, digest: bytes) -> None:
    """Record the digest of an asset's decoded pixels."""
    session.execute(update(Asset).where(Asset.id == asset).values(pixel_recipe=recipe, pixel_digest=digest))


def update_missing_size(session: Session, asset: UUID, width: int, height: int, frames: int | None) -> None:
    """Record the size in pixels of an asset whose reader could not tell it."""
    session.execute(
        update(Asset)
        .where(Asset.id == asset, or_(Asset.width.is_(None), Asset.height.is_(None)))
        .values(width=width, height=height, frames=func.coalesce(Asset.frames, frames))
    )


def list_ids_with_pixels(session: Session, recipe: str, digest: bytes, sees: Sees, limit: int) -> list[UUID]:
    """Return the assets whose decoded pixels have this digest, oldest first."""
    return list(
        session.scalars(
            select(Asset.id)
            .where(Asset.pixel_digest == digest, Asset.pixel_recipe == recipe, seen_asset(Asset.id, sees))
            .order_by(Asset.made_at, Asset.id)
            .limit(limit)
        )
    )


def insert_environment(session: Session, **values: object) -> None:
    """Record an environment; a known one stays."""
    session.execute(insert(Environment).values(**values).on_conflict_do_nothing())


def find_environment(session: Session, digest: bytes) -> bytes | None:
    """Return an environment's document (zlib), or None."""
    return session.scalar(select(Environment.document).where(Environment.hash == digest))
