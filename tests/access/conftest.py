"""Fixtures of this room: a small app with this room's endpoints, and people to knock at it."""

from __future__ import annotations

import dataclasses
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from psycopg import sql
from starlette.requests import Request

from memoryd.access import endpoints, keys, people, projects
from memoryd.access import tables as access_tables
from memoryd.access.facts import Caller, Role, Scope
from memoryd.access.guards import Offices
from memoryd.events import endpoints as event_endpoints
from memoryd.events import tables as event_tables
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.declarative import TenantTable
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import PersonId
from memoryd.foundation.settings import Settings

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


KEPT = ("person", "membership", "project")
"""Tables that are not empty in a new tenant."""


@pytest.fixture(scope="module")
def cleaned_database(cluster: Cluster) -> Iterator[str]:
    """A clone for one file of tests: most need several connections, and a clone for each would take most of the time."""
    name = f"access_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template memoryd_template owner memoryd_owner strategy file_copy").format(
                sql.Identifier(name)
            )
        )
    with psycopg.connect(cluster.superuser_url(name), autocommit=True) as connection:
        connection.execute("create schema kept")
        for tenant in ("t_default", "t_other"):
            for table in KEPT:
                copied = sql.SQL("create table {} as table {}")
                connection.execute(
                    copied.format(sql.Identifier("kept", f"{tenant}_{table}"), sql.Identifier(tenant, table))
                )
    yield name
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database_name(cluster: Cluster, cleaned_database: str) -> Iterator[str]:
    """The file's clone, as good as new after each test."""
    yield cleaned_database
    with psycopg.connect(cluster.superuser_url(cleaned_database)) as connection:
        connection.execute("set session_replication_role = replica")
        made = connection.execute("select schema, role from farm.tenant where slug not in ('default', 'other')")
        for schema, role in made.fetchall():
            connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
        connection.execute("delete from farm.tenant where slug not in ('default', 'other')")
        connection.execute("delete from farm.key_index")
        for tenant in ("t_default", "t_other"):
            for table in (*access_tables.__dict__.values(), *event_tables.__dict__.values()):
                if isinstance(table, type) and issubclass(table, TenantTable) and hasattr(table, "__tablename__"):
                    connection.execute(sql.SQL("delete from {}").format(sql.Identifier(tenant, table.__tablename__)))
            for kept in KEPT:
                back = sql.SQL("insert into {} table {}")
                connection.execute(
                    back.format(sql.Identifier(tenant, kept), sql.Identifier("kept", f"{tenant}_{kept}"))
                )


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
