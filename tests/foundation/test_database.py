"""The unit of work: one transaction with one role, whole or not at all; connections that died are replaced."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from sqlalchemy import text

from memoryd.foundation import database as ground
from memoryd.foundation.database import Database, DatabaseDown, TenantScope, raw_connection, take_farm, take_tenant
from memoryd.foundation.embedded_postgres import Cluster


def _projects(database: Database, tenant: TenantScope) -> int:
    with database.tenant_work(tenant) as session:
        return int(session.execute(text("select count(*) from project")).scalar_one())


def _add(database: Database, tenant: TenantScope, slug: str, *, fail: bool = False) -> None:
    with database.tenant_work(tenant) as session:
        session.execute(
            text("insert into project (id, slug, name) values (gen_random_uuid(), :slug, :slug)"), {"slug": slug}
        )
        if fail:
            raise KeyError(slug)


def test_a_work_commits_as_a_whole_or_not_at_all(database: Database, tenant: TenantScope) -> None:
    before = _projects(database, tenant)
    _add(database, tenant, "kept")
    with pytest.raises(KeyError):
        _add(database, tenant, "dropped", fail=True)
    with pytest.raises(ground.DBAPIError):
        _add(database, tenant, "kept")
    assert _projects(database, tenant) == before + 1


def test_a_savepoint_undoes_its_own_part_only(database: Database, tenant: TenantScope) -> None:
    before = _projects(database, tenant)
    insert = text("insert into project (id, slug, name) values (gen_random_uuid(), :slug, :slug)")
    with database.tenant_work(tenant) as session:
        session.execute(insert, {"slug": "outer"})
        with contextlib.suppress(KeyError), session.begin_nested():
            session.execute(insert, {"slug": "inner"})
            raise KeyError
    assert _projects(database, tenant) == before + 1


def test_a_connection_goes_back_without_its_role(database: Database, tenant: TenantScope) -> None:
    _projects(database, tenant)
    with database.engine.connect() as connection:
        user, path = connection.execute(text("select current_user, current_setting('search_path')")).one()
        assert user == ground.SERVER_ROLE
        assert tenant.schema not in path
        with pytest.raises(ground.DBAPIError, match="permission denied"):
            connection.execute(text(f"select count(*) from {tenant.schema}.project"))


def test_a_work_may_change_roles_inside_and_never_has_two(
    database: Database, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    with database.tenant_work(tenant) as session:
        take_farm(session)
        session.execute(text("select count(*) from job"))
        take_tenant(session, other_tenant)
        with pytest.raises(ground.DBAPIError, match="permission denied"):
            session.execute(text(f"select count(*) from {tenant.schema}.project"))


def _end_connections(owner_url: str) -> None:
    """End every connection of the server to this database, as a restart does."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s and datname = current_database()",
            (ground.SERVER_ROLE,),
        )


@pytest.fixture
def superuser_url(cluster: object, database_name: str) -> str:
    """Who may end other roles' connections."""
    url: str = cluster.superuser_url(database_name)  # type: ignore[attr-defined]
    return url


def test_a_connection_that_died_while_nobody_used_it_is_replaced_unseen(
    database: Database, tenant: TenantScope, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "TRUSTED_FOR_S", 0.0)
    before = _projects(database, tenant)
    _end_connections(superuser_url)
    assert _projects(database, tenant) == before


def test_one_that_died_just_now_costs_one_work_and_says_so(
    database: Database, tenant: TenantScope, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "TRUSTED_FOR_S", 60.0)
    before = _projects(database, tenant)
    _end_connections(superuser_url)
    with pytest.raises(DatabaseDown):
        _add(database, tenant, "lost")
    assert _projects(database, tenant) == before, "nothing of it was done, and the next work is served"


def test_a_connection_that_dies_in_the_middle_of_a_work_is_told_as_that(
    database: Database, tenant: TenantScope, superuser_url: str
) -> None:
    before = _projects(database, tenant)

    def work() -> None:
        with database.tenant_work(tenant) as session:
            session.execute(text("insert into project (id, slug, name) values (gen_random_uuid(), 'half', 'half')"))
            _end_connections(superuser_url)
            session.execute(text("select count(*) from project"))

    with pytest.raises(DatabaseDown):
        work()
    assert _projects(database, tenant) == before


def test_a_name_that_memoryd_never_gives_is_not_spelled_into_a_statement(database: Database) -> None:
    scope = TenantScope(id=None, slug="x", schema="x', true); drop schema farm; --", role="x")  # type: ignore[arg-type]
    with pytest.raises(ground.BadSchemaName), database.tenant_work(scope):
        pass


def test_a_connection_that_is_in_use_when_the_database_is_closed_is_closed_afterwards(
    cluster: Cluster, database_name: str
) -> None:
    own = Database(cluster.server_url(database_name))
    with own.farm_work() as session:
        driver = raw_connection(session)
        own.close()
        assert not driver.closed
    assert driver.closed
