"""Folders whose files are disclosed as they come: in a copy beside each file, or in its place. Off until somebody asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog.facts import RootDisclosure, RootWatcher
from memoryd.catalog.queries import disclosing_roots as queries
from memoryd.catalog.roots import BadRoot, change_root, find_root
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, WatchRootId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ToDisclose:
    """A file in such a folder, as it was recorded. `root` and `path` (relative to it) are bytes of machine `host`."""

    asset_id: AssetId
    how: RootDisclosure
    host: str
    root: bytes
    path: bytes
    size: int
    mtime_ns: int


def switch(session: Session, caller: Caller, root: str, how: RootDisclosure) -> WatchRootId:
    """Say how a folder's new files are disclosed; return the folder. Raises: RootNotFound, BadRoot."""
    found = find_root(session, root)
    if found.watched_by is RootWatcher.OUTPOST and how is not RootDisclosure.OFF:
        raise BadRoot(
            f"{found.shown_path} lies on another machine", hint="only a server writes into the folders that it watches"
        )
    change_root(session, found.id, disclosure=how)
    audit.note(session, caller, "root.disclosure", f"root:{found.id}", {"how": how.value})
    return found.id


def list_to_disclose(session: Session, assets: Collection[AssetId]) -> list[ToDisclose]:
    """Return the files of assets that lie in such folders; those of disclosed copies are none."""
    return [
        ToDisclose(
            asset_id=AssetId(row.asset_id),
            how=RootDisclosure(row.disclosure),
            host=row.host,
            root=row.root,
            path=row.path,
            size=row.size,
            mtime_ns=row.mtime_ns,
        )
        for row in queries.list_to_disclose(session, assets)
    ]
