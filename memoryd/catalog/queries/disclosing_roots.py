"""Statements about folders whose files are disclosed as they come."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from memoryd.catalog.facts import LocationState, RootDisclosure, RootState, RootWatcher
from memoryd.catalog.tables.content import Asset
from memoryd.catalog.tables.places import Location, WatchRoot
from memoryd.foundation.database import Session


def list_to_disclose(session: Session, assets: Collection[UUID]) -> list[Row[Any]]:
    """Return (asset_id, disclosure, host, root, path, size, mtime_ns) of files of assets in disclosing folders, as found.

    Successors (rewrites, disclosed copies) are none of them, nor are folders that are paused, retired or an outpost's.
    """
    return list(
        session.execute(
            select(
                Location.asset_id,
                WatchRoot.disclosure,
                WatchRoot.host,
                WatchRoot.path.label("root"),
                Location.path,
                Location.size,
                Location.mtime_ns,
            )
            .join(WatchRoot, WatchRoot.id == Location.watch_root_id)
            .join(Asset, Asset.id == Location.asset_id)
            .where(
                Location.asset_id.in_(list(assets)),
                Location.state == LocationState.RECORDED,
                WatchRoot.disclosure != RootDisclosure.OFF,
                WatchRoot.state != RootState.PAUSED,
                WatchRoot.watched_by == RootWatcher.SERVER,
                WatchRoot.retired_at.is_(None),
                Asset.succession.is_distinct_from("disclosed"),
            )
            .order_by(Location.asset_id, Location.id)
        )
    )
