"""INV-5, table by table: who may reach what, asked of the database itself."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session as SqlSession

from memoryd.app.every_table import metadata_of
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.embedded_postgres import Cluster

FARM_TABLES = sorted(metadata_of("farm").tables)  # type: ignore[attr-defined]
TENANT_TABLES = sorted(metadata_of("tenant").tables)  # type: ignore[attr-defined]


def denied(session: Session, statement: str) -> bool:
    with session.begin_nested() as inner:
        try:
            session.execute(text(statement))
        except ProgrammingError as error:
            inner.rollback()
            return "permission denied" in str(error.orig)
    return False


@pytest.fixture
def stranger(shared_database: Database) -> Any:
    """A transaction of the server's login that took no role."""
    with shared_database.engine.connect() as connection, SqlSession(connection) as session:
        yield session
        session.rollback()


def test_every_table_is_in_exactly_one_line() -> None:
    assert set(FARM_TABLES) & set(TENANT_TABLES) == set()


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_without_a_role_nothing_of_a_tenant_is_read(stranger: Session, tenant: TenantScope, table: str) -> None:
    assert denied(stranger, f"select 1 from {tenant.schema}.{table}")


@pytest.mark.parametrize("table", FARM_TABLES)
def test_without_a_role_nothing_of_the_farm_is_read(stranger: Session, table: str) -> None:
    assert denied(stranger, f"select 1 from farm.{table}")


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_another_tenants_table_is_out_of_reach(session: Session, other_tenant: TenantScope, table: str) -> None:
    assert denied(session, f"select 1 from {other_tenant.schema}.{table}")
    assert denied(session, f"delete from {other_tenant.schema}.{table}")


@pytest.mark.parametrize("table", FARM_TABLES)
def test_a_tenants_role_does_not_reach_the_farm(session: Session, table: str) -> None:
    assert denied(session, f"select 1 from farm.{table}")


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_the_farms_role_does_not_reach_a_tenant(farm_session: Session, tenant: TenantScope, table: str) -> None:
    assert denied(farm_session, f"select 1 from {tenant.schema}.{table}")


def test_a_transaction_switches_roles_and_the_connection_carries_none(
    shared_database: Database, tenant: TenantScope
) -> None:
    who = text("select current_user::text, current_schema()::text")
    with shared_database.tenant_work(tenant) as session:
        assert session.execute(who).one() == (tenant.role, tenant.schema)
        take_farm(session)
        assert session.execute(who).one() == ("memoryd_farm", "farm")
        take_tenant(session, tenant)
        assert session.execute(who).one() == (tenant.role, tenant.schema)
    with shared_database.engine.connect() as connection:
        assert connection.execute(who).one()[0] == "memoryd_server"


def test_the_servers_role_owns_nothing_and_bypasses_nothing(stranger: Session) -> None:
    owned = stranger.execute(
        text("select count(*) from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = 'memoryd_server'")
    ).scalar_one()
    powers = stranger.execute(
        text(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolinherit from pg_roles"
            " where rolname = 'memoryd_server'"
        )
    ).one()
    assert owned == 0
    assert tuple(powers) == (False, False, False, False, False)


def test_the_trail_is_append_only_for_the_tenant_itself(session: Session) -> None:
    assert denied(session, "update audit_entry set seq = 0")
    assert denied(session, "delete from audit_entry")
    assert denied(session, "truncate audit_entry")


@pytest.mark.parametrize(("line", "schema"), [("farm", "farm"), ("tenant", "t_default")])
def test_the_migrations_make_exactly_the_tables_of_the_rooms(
    cluster: Cluster, database_name: str, line: str, schema: str
) -> None:
    engine = create_engine(cluster.owner_url(database_name).replace("postgresql:", "postgresql+psycopg:", 1))
    metadata = metadata_of(line)  # type: ignore[arg-type]
    assert isinstance(metadata, MetaData)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"set search_path to {schema}, public"))
            connection.dialect.default_schema_name = schema
            context = MigrationContext.configure(
                connection,
                opts={
                    "compare_type": True,
                    "include_name": lambda name, kind, parents: not (kind == "table" and name == "alembic_version"),
                },
            )
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()
