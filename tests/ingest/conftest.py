"""What this room's tests share: a folder, a store, and a way to look at what was recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import text
from starlette.requests import Request

from memoryd.access.guards import Offices
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.settings import Settings
from memoryd.ingest import backlog, endpoints
from memoryd.storage.blob_store import BlobStore

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog that waits for no file to stand still."""
    monkeypatch.setattr(backlog, "STABLE_FOR_S", 0.0)


@pytest.fixture
def app(database: Database, store: BlobStore, tmp_path: Path) -> FastAPI:
    """An application of this room's endpoints alone."""
    app = FastAPI()
    app.state.offices = Offices(
        settings=Settings(home=tmp_path / "home"), database=database, store=store, keys=tmp_path / "keys"
    )
    app.include_router(endpoints.router, prefix="/v1")

    @app.exception_handler(MemorydError)
    def problem(_: Request, error: MemorydError) -> JSONResponse:
        return JSONResponse(
            {"title": error.title, "detail": error.detail, "hint": error.hint, "kind": error.slug}, error.status
        )

    return app


@pytest.fixture
def local(app: FastAPI) -> Iterator[TestClient]:
    """The local person."""
    with TestClient(app, base_url="http://127.0.0.1:7860/v1", client=("127.0.0.1", 4711)) as client:
        yield client


@pytest.fixture
def remote(app: FastAPI) -> Iterator[TestClient]:
    """Somebody from another machine."""
    with TestClient(app, base_url="https://studio.example/v1", client=("203.0.113.7", 4711)) as client:
        yield client
