"""What every test may ask for: a real Postgres, two tenants, and real files.

One embedded server serves a whole test run (all processes of it); a template database is made once from the migrations,
and a test gets either a transaction that is rolled back (`session`, `farm_session`) or a database that holds nothing else
(`database`): a clone that is emptied after each test, or, with `database_name` or `owner_url`, a new clone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.orm import Session as SqlSession

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema
from tests.emptied_database import EmptiedDatabase

TEMPLATE = "memoryd_template"
RUN_VARIABLE = "MEMORYD_TEST_RUN_HOME"
CHECKOUT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        # The run's own place, named before worker processes start so that they inherit it.
        os.environ[RUN_VARIABLE] = tempfile.mkdtemp(prefix="memoryd-tests-")
        for name in [
            name for name in os.environ if name.startswith("MEMORYD_") and not name.startswith("MEMORYD_TEST_")
        ]:
            if name != "MEMORYD_FIXTURES":
                del os.environ[name]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        home = Path(os.environ[RUN_VARIABLE])
        if (home / "template-made").exists():
            Cluster(home, durable=False).destroy()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The run's Postgres, with the template database made."""
    home = Path(os.environ[RUN_VARIABLE])
    server = Cluster(home, durable=False)
    with (home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "template-made").exists():
            (home / "template-made").touch()
            server.ensure_running()
            _make_template(server)
    return server


def _make_template(server: Cluster) -> None:
    with _admin(server, "postgres") as connection:
        connection.execute(f"create database {TEMPLATE} owner memoryd_owner")
    with _admin(server, TEMPLATE) as connection:
        connection.execute("create extension if not exists vector schema public")
    owner = server.owner_url(TEMPLATE)
    ensure_farm_role(owner)
    upgrade_schema(owner, line="farm", schema="farm", role="memoryd_farm")
    for slug, name in (("default", "Default studio"), ("other", "Other studio")):
        add_tenant(owner, slug, name)


@contextlib.contextmanager
def _admin(server: Cluster, database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(server.superuser_url(database), autocommit=True) as connection:
        yield connection


def _make_clone(server: Cluster) -> str:
    name = f"t_{uuid.uuid4().hex[:16]}"
    with _admin(server, "postgres") as connection:
        connection.execute(f"create database {name} template {TEMPLATE} owner memoryd_owner strategy file_copy")
    return name


def _drop(server: Cluster, name: str) -> None:
    with _admin(server, "postgres") as connection:
        connection.execute(f"drop database {name} with (force)")


@contextlib.contextmanager
def _clone(server: Cluster) -> Iterator[str]:
    name = _make_clone(server)
    try:
        yield name
    finally:
        _drop(server, name)


@pytest.fixture(scope="session")
def shared_database(cluster: Cluster) -> Iterator[Database]:
    """One clone for the tests that roll back."""
    with _clone(cluster) as name:
        database = Database(cluster.server_url(name))
        yield database
        database.close()


@pytest.fixture
def database_name(cluster: Cluster) -> Iterator[str]:
    """The name of a clone of this test's own."""
    with _clone(cluster) as name:
        yield name


@pytest.fixture(scope="session")
def emptied_database(cluster: Cluster) -> Iterator[EmptiedDatabase]:
    """One clone for the tests that commit, used by one after another."""
    emptied = EmptiedDatabase(cluster, _make_clone(cluster))
    yield emptied
    _drop(cluster, emptied.name)


@pytest.fixture
def database(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Database]:
    """A database of this test's own, with tenants `default` and `other`: for leases, listeners, several connections."""
    if "database_name" in request.fixturenames:
        own = Database(cluster.server_url(request.getfixturevalue("database_name")))
        yield own
        own.close()
        return
    emptied: EmptiedDatabase = request.getfixturevalue("emptied_database")
    own = Database(cluster.server_url(emptied.name))
    yield own
    own.close()
    emptied.empty()


@pytest.fixture
def owner_url(cluster: Cluster, database_name: str) -> str:
    """The owner's address of the database of this test's own."""
    return cluster.owner_url(database_name)


def _tenant(database: Database, slug: str) -> TenantScope:
    with database.farm_work() as session:
        return find_tenant(session, slug)


@pytest.fixture(scope="session")
def tenant(shared_database: Database) -> TenantScope:
    """Tenant `default`: the same in every clone."""
    return _tenant(shared_database, "default")


@pytest.fixture(scope="session")
def other_tenant(shared_database: Database) -> TenantScope:
    """Tenant `other`."""
    return _tenant(shared_database, "other")


@contextlib.contextmanager
def _rolled_back(database: Database) -> Iterator[Session]:
    with database.engine.connect() as connection:
        outer = connection.begin()
        with SqlSession(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        outer.rollback()


@pytest.fixture
def session(shared_database: Database, tenant: TenantScope) -> Iterator[Session]:
    """A transaction of tenant `default`, rolled back at the end."""
    with _rolled_back(shared_database) as session:
        take_tenant(session, tenant)
        yield session


@pytest.fixture
def farm_session(shared_database: Database) -> Iterator[Session]:
    """A transaction on what all tenants share, rolled back at the end."""
    with _rolled_back(shared_database) as session:
        take_farm(session)
        yield session


@pytest.fixture(scope="session")
def files() -> Path:
    """The small real files that are kept with the tests."""
    return CHECKOUT / "tests" / "files"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The full capture of a real ComfyUI, where it lies beside the checkout (MEMORYD_FIXTURES names another place)."""
    place = Path(os.environ.get("MEMORYD_FIXTURES") or CHECKOUT.parent / "shared" / "fixtures") / "comfyui"
    if not place.is_dir():
        pytest.skip(f"the full capture is not at {place}; set MEMORYD_FIXTURES to where it lies")
    return place


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Other people's files, read where they lie."""
    place = Path(os.environ.get("MEMORYD_FIXTURES") or CHECKOUT.parent / "shared" / "fixtures") / "corpus"
    if not place.is_dir():
        pytest.skip(f"the corpus is not at {place}; set MEMORYD_FIXTURES to where it lies")
    return place
