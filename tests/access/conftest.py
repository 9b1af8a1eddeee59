"""Fixtures of this room: a small app with this room's endpoints, and people to knock at it."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from memoryd.access import endpoints, keys, people, projects
from memoryd.access.facts import Caller, Role, Scope
from memoryd.access.guards import Offices
from memoryd.events import endpoints as event_endpoints
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import PersonId
from memoryd.foundation.settings import Settings

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


class NoStore:
    """This room stores no bytes."""


@pytest.fixture
def offices(database: Database, tmp_path: Path) -> Offices:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True, mode=0o700)
    return Offices(settings=Settings(home=home), database=database, store=NoStore(), keys=home / "keys")  # type: ignore[arg-type]


@pytest.fixture
def app(offices: Offices) -> FastAPI:
    app = FastAPI()
    app.state.offices = offices
    app.include_router(endpoints.router, prefix="/v1")
    app.include_router(event_endpoints.router, prefix="/v1")

    @app.exception_handler(MemorydError)
    def problem(_: Request, error: MemorydError) -> JSONResponse:
        return JSONResponse(
            {"title": error.title, "detail": error.detail, "hint": error.hint, "kind": error.slug}, error.status
        )

    return app


@pytest.fixture
def stranger(app: FastAPI) -> Iterator[TestClient]:
    """Somebody from another machine without any proof."""
    with TestClient(app, base_url="https://studio.example", client=("203.0.113.7", 4711)) as client:
        yield client


@pytest.fixture
def local(app: FastAPI) -> Iterator[TestClient]:
    """The local person: from loopback, to loopback."""
    with TestClient(app, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 4711)) as client:
        yield client


@dataclasses.dataclass(frozen=True)
class Known:
    """Somebody with a key."""

    person: PersonId
    token: str
    headers: dict[str, str]


Knows = Callable[..., Known]


@pytest.fixture
def know(database: Database) -> Knows:
    """Record a person with a role, and give them a key: `know(tenant, "ada", Role.ARTIST, project="film")`."""

    def known(
        tenant: TenantScope,
        login: str,
        role: Role,
        project: str | None = None,
        scopes: frozenset[Scope] = frozenset(Scope) - {Scope.WORK},
    ) -> Known:
        with database.tenant_work(tenant) as session:
            person = people.ensure_person(session, login, login.title())
            people.grant_role(session, person, role, projects.ensure_project(session, project) if project else None)
            key = keys.make_key(session, tenant, name=f"{login}'s", scopes=scopes, person=person)
        return Known(person, key.token, {"Authorization": f"Bearer {key.token}"})

    return known


@pytest.fixture
def caller(database: Database, tenant: TenantScope, know: Knows) -> Caller:
    """An administrator of tenant `default`, recognised by a key."""
    found = keys.recognise_key(database, know(tenant, "ada", Role.ADMIN).token)
    assert isinstance(found, Caller)
    return found
