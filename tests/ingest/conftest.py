"""What this room's tests share: a folder, a store, and a way to look at what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from memoryd.foundation.database import Database, TenantScope
from memoryd.storage.blob_store import BlobStore


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    """An empty blob store."""
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for pictures."""
    made = tmp_path / "output"
    made.mkdir()
    return made.resolve()


Rows = Callable[..., list[Any]]


@pytest.fixture
def rows(database: Database, tenant: TenantScope) -> Rows:
    """Ask the tenant's tables: `rows("select …", name=value)`."""

    def ask(statement: str, **values: Any) -> list[Any]:
        with database.tenant_work(tenant) as session:
            return list(session.execute(text(statement), values))

    return ask
