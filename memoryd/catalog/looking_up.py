"""Finds the asset that a person means: by id, by the beginning of its SHA-256, or by a path, as far as they may see."""

from __future__ import annotations

import re

from memoryd.access.facts import Sees
from memoryd.catalog import roots
from memoryd.catalog.queries import showing as queries
from memoryd.catalog.root_paths import path_bytes, paths_inside
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import AssetId, WatchRootId, parse_id

PREFIX_DIGITS = 8
"""Hex digits of a SHA-256 that are needed at least: fewer are taken for a word."""

_DIGEST_DIGITS = 64
_HEX = re.compile(rf"[0-9a-fA-F]{{{PREFIX_DIGITS},{_DIGEST_DIGITS}}}")


class AssetNotFound(NotFound):
    """There is no such asset."""


class AssetAmbiguous(Conflict):
    """More than one asset could be meant."""


def find_asset(session: Session, ref: str, sees: Sees) -> AssetId:
    """Return the asset that `ref` means: an id, at least PREFIX_DIGITS hex digits of its SHA-256, or a path of a place
    where it lies or was last known to lie, as any of the root's machines spells it.

    Raises: AssetNotFound, also for what the caller may not see; AssetAmbiguous.
    """
    id_ = parse_id(ref)
    if id_ is not None and (row := queries.find_asset(session, AssetId(id_), sees)) is not None:
        return AssetId(row.Asset.id)
    found = _by_digest(session, ref, sees) if _HEX.fullmatch(ref) else []
    if not found and id_ is None:
        found = _by_path(session, ref, sees)
    if len(found) > 1:
        shown = ", ".join(str(asset) for asset in found)
        raise AssetAmbiguous(f"{ref[:200]!r} could be {shown}", hint="give more digits of the SHA-256, or the id")
    if not found:
        raise AssetNotFound(f"{ref[:200]!r}", hint="`memoryd search` finds assets; `memoryd ingest PATH` records files")
    return found[0]


def check_seen(session: Session, asset_id: AssetId, sees: Sees) -> None:
    """Return where the caller may see the asset. Raises: AssetNotFound."""
    if queries.find_asset(session, asset_id, sees) is None:
        raise AssetNotFound(f"asset {asset_id}", hint="`memoryd search` finds assets")


def _by_digest(session: Session, prefix: str, sees: Sees) -> list[AssetId]:
    first = bytes.fromhex(prefix.ljust(_DIGEST_DIGITS, "0"))
    last = bytes.fromhex(prefix.ljust(_DIGEST_DIGITS, "f"))
    return [AssetId(id_) for id_ in queries.find_ids_by_digest(session, first, last, sees, limit=2)]


def _by_path(session: Session, path: str, sees: Sees) -> list[AssetId]:
    places: list[tuple[WatchRootId | None, bytes]] = [(None, path_bytes(path))]
    for root in roots.list_roots(session):
        bases = (root.shown_path, *root.aliases.values())
        places += [(root.id, inside) for inside in paths_inside(bases, path)]
    return [AssetId(id_) for id_ in queries.find_ids_by_path(session, places, sees, limit=2)]
