"""Files that runs read are kept from the first time that somebody sees them: LoadImage's folder is overwritten.

Of a run that was found, not done by us, its file names the content (ComfyUI hashes what LoadImage reads) and the name; a
watched output folder has ComfyUI's input folder beside it. What lies there is copied if it is that content still.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from memoryd.comfyui.input_names import input_place
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Conflict, TooLarge
from memoryd.foundation.ids import AssetId
from memoryd.foundation.logging import log_for
from memoryd.ingest.enriching import queries
from memoryd.ingest.opening import NotOpened, open_inside
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.storage.facts import StoredBlob

LEVELS_LIMIT = 4
"""Folders above a watched one among which ComfyUI's own is looked for: `output/project/day` is watched too."""
OUTPUT_FOLDER = "output"
"""What ComfyUI calls the folder beside those that it reads from. Source: ComfyUI, folder_paths.py."""

_log = log_for(__name__)


def keep_inputs(database: Database, store: BlobStore, tenant: TenantScope, subjects: Sequence[AssetId]) -> int:
    """Keep the files that runs of these assets read and that still lie where they read them; return how many.

    Opens its own units of work; hashes outside of them. Safe to repeat.
    """
    with database.tenant_work(tenant) as session:
        rows = queries.list_inputs_to_keep(session, subjects, socket.gethostname())
    kept: dict[bytes, StoredBlob] = {}
    for row in rows:
        sha256 = bytes(row.sha256)
        if sha256 not in kept and (stored := _kept(store, tenant, os.fsdecode(row.root), row.name, sha256)) is not None:
            kept[sha256] = stored
    if kept:
        with database.tenant_work(tenant) as session:
            register(session, list(kept.values()))
    return len(kept)


def _kept(store: BlobStore, tenant: TenantScope, root: str, written: str, sha256: bytes) -> StoredBlob | None:
    subfolder, name, kind = input_place(written)
    for home in _homes(Path(root)):
        folder = home / kind
        opened = open_inside(folder, folder / subfolder / name)
        if isinstance(opened, NotOpened):
            continue
        with os.fdopen(opened.descriptor, "rb") as stream:
            try:
                # By its hash: another file of that name by now is not what the run read, and is not kept as if it were.
                return store.put_open_file(tenant.slug, stream, sha256=sha256)
            except Conflict:
                continue
            except (TooLarge, OSError) as error:
                _log.warning("an input was not kept: %s: %s", folder / subfolder / name, error)
    return None


def _homes(root: Path) -> Iterator[Path]:
    """Yield the folders that may be ComfyUI's own, seen from a watched folder: above one that is called `output`."""
    for place in (root, *list(root.parents)[:LEVELS_LIMIT]):
        if place.name == OUTPUT_FOLDER:
            yield place.parent
