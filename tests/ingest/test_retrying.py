from __future__ import annotations

import datetime
from pathlib import Path

from sqlalchemy import text

from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest import roots
from memoryd.ingest.facts import FileState
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.quarantine import FIRST_RETRY_AFTER, RETRY_AT_MOST_AFTER, TRIES_LIMIT, next_try
from memoryd.ingest.recording import record
from memoryd.ingest.retrying import retry_due
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def test_tries_become_rarer_and_end() -> None:
    waits = [at - NOW for tries in range(1, TRIES_LIMIT) if (at := next_try(tries, NOW)) is not None]
    assert waits[0] == FIRST_RETRY_AFTER
    assert waits == sorted(waits)
    assert waits[-1] <= RETRY_AT_MOST_AFTER
    assert next_try(TRIES_LIMIT, NOW) is None


def test_a_due_file_is_tried_again_unless_its_root_is_offline(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, rows: Rows
) -> None:
    with database.tenant_work(tenant) as session:
        root = roots.ensure_root(session, host="here", path=folder, project_id=None)
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 60)
    prepared = prepare_here(roots.folder_of(root), [folder / "a.png"])
    assert prepared.files[0].state is FileState.REFUSED
    with database.tenant_work(tenant) as session:
        record(session, prepared, scope=tenant)
    assert retry_due(database, tenant, store, "here") == 0
    with database.tenant_work(tenant) as session:
        session.execute(text("update quarantine set next_try_at = now() - interval '1 second'"))
    assert retry_due(database, tenant, store, "elsewhere") == 0
    (folder / "a.png").write_bytes(picture())
    (folder / ".memoryd-root").rename(folder / "marker")
    assert retry_due(database, tenant, store, "here") == 0
    (folder / "marker").rename(folder / ".memoryd-root")
    assert retry_due(database, tenant, store, "here") == 1
    assert rows("select resolution from quarantine") == [("recorded",)]
    assert rows("select watch_root_id, path from location") == [(root.id, b"a.png")]
