"""What is recorded of files that may be new."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select

from memoryd.catalog.queries.listed import BYTES, TEXT, listed
from memoryd.catalog.tables.content import Asset
from memoryd.catalog.tables.places import Location
from memoryd.catalog.tables.runs import Generation
from memoryd.foundation.database import Session


def find_assets(session: Session, digests: Collection[bytes]) -> set[bytes]:
    """Return those of these contents that are recorded."""
    asked = listed([{"v": digest} for digest in digests], {"v": BYTES})
    return set(session.scalars(select(Asset.sha256).where(Asset.sha256.in_(select(asked.c.v)))))


def find_run_keys(session: Session, run_keys: Collection[str]) -> set[str]:
    """Return those of these run keys that are taken."""
    asked = listed([{"v": key} for key in run_keys], {"v": TEXT})
    return set(session.scalars(select(Generation.run_key).where(Generation.run_key.in_(select(asked.c.v)))))


def find_places(session: Session, path_digests: Collection[bytes]) -> set[tuple[bytes | None, bytes]]:
    """Return (root's id, SHA-256 of the path) of the recorded places whose path has one of these digests."""
    digest = func.sha256(Location.path)
    asked = listed([{"v": path} for path in path_digests], {"v": BYTES})
    rows = session.execute(select(Location.watch_root_id, digest).where(digest.in_(select(asked.c.v))))
    return {(None if root is None else root.bytes, bytes(path)) for root, path in rows}
