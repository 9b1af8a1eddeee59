"""Fixtures of this room: its endpoints as a small app, and people of three kinds who knock at it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from memoryd.access import keys, people, projects
from memoryd.access.facts import Role, Scope
from memoryd.access.guards import Offices
from memoryd.catalog import endpoints
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.settings import Settings
from memoryd.ingest import endpoints as ingest_endpoints
from memoryd.reproduction import endpoints as reproduction_endpoints
from memoryd.search import endpoints as search_endpoints
from memoryd.storage.blob_store import BlobStore

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


@pytest.fixture
def offices(database: Database, tmp_path: Path) -> Offices:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True, mode=0o700)
    return Offices(settings=Settings(home=home), database=database, store=BlobStore(home), keys=home / "keys")


@pytest.fixture
def stranger(offices: Offices) -> Iterator[TestClient]:
    """Somebody from another machine without any proof; with a key's header they are who the key says."""
    app = FastAPI()
    app.state.offices = offices
    app.include_router(search_endpoints.router, prefix="/v1")
    app.include_router(endpoints.router, prefix="/v1")
    app.include_router(ingest_endpoints.router, prefix="/v1")
    app.include_router(reproduction_endpoints.router, prefix="/v1")

    @app.exception_handler(MemorydError)
    def problem(_: Request, error: MemorydError) -> JSONResponse:
        facts = {"title": error.title, "detail": error.detail, "hint": error.hint, "kind": error.slug}
        return JSONResponse(facts, error.status)

    with TestClient(app, base_url="https://studio.example", client=("203.0.113.7", 4711)) as client:
        yield client


Knock = Callable[[TenantScope, Role, str | None], dict[str, str]]


@pytest.fixture
def key_of(database: Database) -> Knock:
    """Return the headers of somebody's key: `key_of(tenant, Role.ARTIST, "fox")`."""

    def known(tenant: TenantScope, role: Role, project: str | None) -> dict[str, str]:
        login = f"{role}-{project}"
        with database.tenant_work(tenant) as session:
            person = people.ensure_person(session, login, login)
            owner = projects.ensure_project(session, project) if project else None
            people.grant_role(session, person, role, owner)
            scopes = frozenset(Scope) - {Scope.WORK}
            key = keys.make_key(session, tenant, name=login, scopes=scopes, person=person)
        return {"Authorization": f"Bearer {key.token}"}

    return known
