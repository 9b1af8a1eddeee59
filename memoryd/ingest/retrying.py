"""Tries files in quarantine again: when their time has come, or when a person asks."""

from __future__ import annotations

import dataclasses
import datetime
import os
from pathlib import Path

from memoryd.access.facts import Caller
from memoryd.catalog import roots as catalog_roots
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import WatchRootId
from memoryd.ingest import quarantine, roots
from memoryd.ingest.attributing import folder_for
from memoryd.ingest.backlog import give_up_waiting
from memoryd.ingest.facts import Folder, QuarantinedFile, Recorded, RootHealth
from memoryd.ingest.keeping import keep
from memoryd.ingest.knowledge import knowing
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.storage.blob_store import BlobStore

RETRIES_AT_ONCE = 50


def retry_due(database: Database, scope: TenantScope, store: BlobStore, host: str) -> int:
    """Try what is due and lies on this machine; return how many files that was."""
    with database.tenant_work(scope) as session:
        due = quarantine.list_due(session, datetime.datetime.now(datetime.UTC), RETRIES_AT_ONCE)
        folders = {root.id: root for root in catalog_roots.list_roots(session) if root.host == host}
    here = [file for file in due if file.root_id is None or file.root_id in folders]
    # An offline root says nothing about its files: they stay where they are, and are due again when it is back.
    well = {
        root_id
        for root_id in {f.root_id for f in here}
        if root_id and roots.health(folders[root_id]) is RootHealth.WELL
    }
    tried = [file for file in here if file.root_id is None or file.root_id in well]
    for file in tried:
        try_again(database, scope, store, file)
    return len(tried)


def try_again(
    database: Database, scope: TenantScope, store: BlobStore, file: QuarantinedFile, caller: Caller | None = None
) -> Recorded:
    """Read one quarantined file again and record what became of it: recorded, gone, or once more in quarantine."""
    folder = knowing(_folder_of(database, scope, file.root_id, file), database, scope)
    path = folder.path / os.fsdecode(file.place)
    prepared = give_up_waiting(keep(prepare_here(folder, [path], named=True), store, scope.slug))
    with database.tenant_work(scope) as session:
        return record(session, prepared, scope=scope, caller=caller)


def _folder_of(database: Database, scope: TenantScope, root_id: WatchRootId | None, file: QuarantinedFile) -> Folder:
    folder = Folder(path=Path(os.fsdecode(file.place)).parent)
    if root_id is not None:
        with database.tenant_work(scope) as session:
            folder = folder_for(session, catalog_roots.show_root(session, root_id), [file.place])
    return dataclasses.replace(folder, project_id=file.project_id, person_id=file.person_id, custody=file.custody)
