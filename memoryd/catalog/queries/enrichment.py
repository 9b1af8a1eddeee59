"""Statements for what is found out about an asset after it was recorded: thumbnails, digests, traits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from memoryd.access.facts import Sees
from memoryd.catalog.queries.listed import BYTES, ID, INT, TEXT, listed
from memoryd.catalog.queries.showing import seen_asset
from memoryd.catalog.tables.content import Asset, Extraction, Thumbnail
from memoryd.catalog.tables.enriched import Enriched, MediaTrait
from memoryd.foundation.database import Session


def upsert_thumbnail(session: Session, **values: object) -> None:
    """Record a thumbnail; one of the same recipe and size is replaced."""
    upsert_thumbnails(session, [values])


def upsert_thumbnails(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Record thumbnails; those of the same recipe and size are replaced."""
    if not rows:
        return
    made = insert(Thumbnail).values([dict(row) for row in rows])
    changed = ("sha256", "media_type", "width", "height")
    session.execute(
        made.on_conflict_do_update(
            index_elements=[Thumbnail.asset_id, Thumbnail.recipe, Thumbnail.size],
            set_={**{name: made.excluded[name] for name in changed}, "made_at": func.clock_timestamp()},
        )
    )


def delete_old_thumbnails(session: Session, assets: Collection[UUID], shows: str, recipes: Collection[str]) -> None:
    """Forget what older recipes made: what shows the same (`` for stills) and is of none of these recipes."""
    session.execute(
        delete(Thumbnail).where(
            Thumbnail.asset_id.in_(list(assets)), _shows(shows), Thumbnail.recipe.not_in(list(recipes))
        )
    )


def _shows(what: str) -> Any:
    return Thumbnail.recipe.startswith(f"{what}:") if what else Thumbnail.recipe.not_like("%:%")


def find_thumbnail(session: Session, asset: UUID, size: int, shows: str = "") -> Row[Any] | None:
    """Return the smallest thumbnail of at least this size, else the largest there is."""
    return session.execute(
        select(Thumbnail)
        .where(Thumbnail.asset_id == asset, _shows(shows))
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


def update_pixel_digests(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Record digests of decoded pixels (`asset_id`, `recipe`, `digest`)."""
    if rows:
        new = listed(rows, {"asset_id": ID, "recipe": TEXT, "digest": BYTES})
        session.execute(
            update(Asset)
            .where(Asset.id == new.c.asset_id)
            .values(pixel_recipe=new.c.recipe, pixel_digest=new.c.digest)
            .execution_options(synchronize_session=False)
        )


def update_missing_sizes(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Record what readers could not tell of assets (`asset_id`, `width`, `height`, `frames`)."""
    if rows:
        new = listed(rows, {"asset_id": ID, "width": INT, "height": INT, "frames": INT})
        session.execute(
            update(Asset)
            .where(
                Asset.id == new.c.asset_id,
                or_(
                    and_(Asset.width.is_(None), new.c.width.is_not(None)),
                    and_(Asset.height.is_(None), new.c.height.is_not(None)),
                    and_(Asset.frames.is_(None), new.c.frames.is_not(None)),
                ),
            )
            .values(
                width=func.coalesce(Asset.width, new.c.width),
                height=func.coalesce(Asset.height, new.c.height),
                frames=func.coalesce(Asset.frames, new.c.frames),
            )
            .execution_options(synchronize_session=False)
        )


def upsert_traits(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Record what contents are like, in the place of what was known."""
    if not rows:
        return
    made = insert(MediaTrait).values([dict(row) for row in rows])
    changed = [name for name in rows[0] if name != "asset_id"]
    session.execute(
        made.on_conflict_do_update(
            index_elements=[MediaTrait.asset_id],
            set_={**{name: made.excluded[name] for name in changed}, "at": func.clock_timestamp()},
        )
    )


def find_traits(session: Session, asset: UUID) -> MediaTrait | None:
    """Return what an asset's content is like, or None."""
    return session.scalar(
        select(MediaTrait).where(MediaTrait.asset_id == asset).execution_options(populate_existing=True)
    )


def upsert_enriched(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Record that recipes were done (`asset_id`, `part`, `version`, `state`)."""
    if not rows:
        return
    made = insert(Enriched).values([dict(row) for row in rows])
    session.execute(
        made.on_conflict_do_update(
            index_elements=[Enriched.asset_id, Enriched.part],
            set_={
                "version": made.excluded.version,
                "state": made.excluded.state,
                "at": func.clock_timestamp(),
            },
        )
    )


def list_enriched(session: Session, assets: Collection[UUID]) -> list[Row[Any]]:
    """Return (asset_id, part, version, state, at) of what was done for assets."""
    return list(
        session.execute(
            select(Enriched.asset_id, Enriched.part, Enriched.version, Enriched.state, Enriched.at).where(
                Enriched.asset_id.in_(list(assets))
            )
        )
    )


def list_to_enrich(
    session: Session,
    versions: Mapping[str, int] | None,
    kinds: Collection[str],
    before: UUID | None,
    limit: int,
) -> list[UUID]:
    """Return assets of these kinds that lack one of these recipes (all assets where None), latest recorded first."""
    wanted = select(Asset.id).where(Asset.kind.in_(list(kinds)), Asset.erased_at.is_(None))
    if versions is not None:
        done = (
            select(func.count())
            .where(
                Enriched.asset_id == Asset.id,
                or_(*(and_(Enriched.part == part, Enriched.version == version) for part, version in versions.items())),
            )
            .scalar_subquery()
        )
        wanted = wanted.where(done < len(versions))
    if before is not None:
        wanted = wanted.where(Asset.id < before)
    return list(session.scalars(wanted.order_by(Asset.id.desc()).limit(limit)))


def list_kinds(session: Session, assets: Collection[UUID]) -> list[Row[Any]]:
    """Return (id, root_id, kind) of assets that are still there."""
    return list(
        session.execute(
            select(Asset.id, Asset.root_id, Asset.kind).where(Asset.id.in_(list(assets)), Asset.erased_at.is_(None))
        )
    )


def replace_enrichment_findings(
    session: Session, plugin: str, version: str, rows: Sequence[Mapping[str, object]]
) -> None:
    """Record the findings of deriving (`asset_id`, `state`, `findings`), in the place of those of an earlier time."""
    if not rows:
        return
    assets = [row["asset_id"] for row in rows]
    session.execute(delete(Extraction).where(Extraction.asset_id.in_(assets), Extraction.plugin == plugin))
    told = [{**row, "plugin": plugin, "version": version} for row in rows if row["findings"]]
    if told:
        session.execute(insert(Extraction).values(told))


def list_roots_of(session: Session, assets: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the line of each asset."""
    rows = session.execute(select(Asset.id, Asset.root_id).where(Asset.id.in_(list(assets))))
    return {row.id: row.root_id for row in rows}
