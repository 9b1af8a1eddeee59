from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from memoryd.access import directory, people, projects
from memoryd.access.facts import Role, TenantState
from memoryd.access.names import BadName
from memoryd.access.tables import APPEND_ONLY
from memoryd.foundation.database import FARM_SCHEMA, Database, Session, TenantScope
from memoryd.foundation.declarative import FarmTable, TenantTable
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.migrations import schema_states


def test_a_new_tenant_has_a_project_a_local_administrator_and_a_role_of_its_own(
    database: Database, owner_url: str
) -> None:
    scope = directory.add_tenant(owner_url, "acme-films", "ACME Films")
    assert scope.schema == "t_acme_films"
    assert scope.role.startswith("memoryd_t_acme_films_")
    with database.farm_work() as session:
        assert directory.find_tenant(session, "acme-films") == scope
        assert [each.slug for each in directory.list_tenants(session)] == ["acme-films", "default", "other"]
    with database.tenant_work(scope) as session:
        assert [project.slug for project in projects.list_projects(session)] == ["default"]
        (local,) = people.list_people(session)
        assert (local.login, local.memberships[0].role, local.memberships[0].project) == ("local", Role.ADMIN, None)
    assert all(state.current for state in schema_states(owner_url))


def test_a_tenant_is_made_once(owner_url: str) -> None:
    with pytest.raises(directory.TenantExists):
        directory.add_tenant(owner_url, "default", "Again")


def test_a_tenant_whose_making_was_interrupted_is_taken_up_again(
    database: Database, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(directory, "upgrade_schema", fails)
        with pytest.raises(KeyboardInterrupt):
            directory.add_tenant(owner_url, "acme", "ACME")
    with database.farm_work() as session:
        with pytest.raises(directory.TenantNotFound):
            directory.find_tenant(session, "acme")
        assert {each.scope.slug: each.state for each in directory.show_tenants(session)}["acme"] is TenantState.MAKING
    scope = directory.add_tenant(owner_url, "acme", "ACME")
    with database.tenant_work(scope) as session:
        assert len(projects.list_projects(session)) == 1


@pytest.mark.parametrize("slug", ["", "Acme", "a b", "a_b", "-a", "a-", "a--b", "9a", "a" * 41, "a;drop schema farm"])
def test_a_name_that_could_not_be_a_schema_is_refused(owner_url: str, slug: str) -> None:
    with pytest.raises(BadName):
        directory.add_tenant(owner_url, slug, "Name")


def test_the_longest_name_fits_what_postgres_can_name(database: Database, owner_url: str) -> None:
    scope = directory.add_tenant(owner_url, "a" * 40, "Long")
    assert len(scope.role) <= 63


def test_somebody_locked_out_is_made_administrator_with_the_owners_rights(
    database: Database, owner_url: str, tenant: TenantScope
) -> None:
    person = directory.add_admin(owner_url, "default", "Rescue", "Rescue")
    with database.tenant_work(tenant) as session:
        assert people.show_person_by_id(session, person).login == "rescue"
        assert people.show_person_by_id(session, person).memberships[0].role is Role.ADMIN


# --- INV-5


@pytest.mark.parametrize("table", sorted(TenantTable.metadata.tables))
def test_without_a_role_no_tenants_table_can_be_read(
    shared_database: Database, tenant: TenantScope, table: str
) -> None:
    with shared_database.engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text(f'select 1 from {tenant.schema}."{table}"'))


@pytest.mark.parametrize("table", sorted(TenantTable.metadata.tables))
def test_with_another_tenants_role_no_table_can_be_read(
    shared_database: Database, tenant: TenantScope, other_tenant: TenantScope, table: str
) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        shared_database.tenant_work(other_tenant) as session,
    ):
        session.execute(text(f'select 1 from {tenant.schema}."{table}"'))


@pytest.mark.parametrize("table", sorted(FarmTable.metadata.tables))
def test_neither_without_a_role_nor_with_a_tenants_can_the_farm_be_read(
    shared_database: Database, tenant: TenantScope, table: str
) -> None:
    with shared_database.engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text(f'select 1 from {FARM_SCHEMA}."{table}"'))
    with pytest.raises(ProgrammingError, match="permission denied"), shared_database.tenant_work(tenant) as session:
        session.execute(text(f'select 1 from {FARM_SCHEMA}."{table}"'))


def test_the_farms_role_reads_no_tenant(farm_session: Session, tenant: TenantScope) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        farm_session.execute(text(f"select 1 from {tenant.schema}.person"))


def test_the_servers_role_owns_nothing_bypasses_nothing_and_inherits_nothing(
    cluster: Cluster, database_name: str
) -> None:
    with psycopg.connect(cluster.superuser_url(database_name)) as connection:
        flags = connection.execute(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles"
            " where rolname = 'memoryd_server'"
        ).fetchone()
        assert flags == (False,) * 5
        owned = connection.execute(
            "select count(*) from pg_class where relowner = 'memoryd_server'::regrole"
            " union all select count(*) from pg_namespace where nspowner = 'memoryd_server'::regrole"
            " union all select count(*) from pg_proc where proowner = 'memoryd_server'::regrole"
        ).fetchall()
        assert owned == [(0,), (0,), (0,)]
        members = connection.execute(
            "select bool_or(inherit_option), bool_or(admin_option), bool_and(set_option) from pg_auth_members"
            " where member = 'memoryd_server'::regrole"
        ).fetchone()
        assert members == (False, False, True)


def test_a_tenants_role_can_neither_make_nor_empty_a_table(session: Session, tenant: TenantScope) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text("create table mine (x int)"))
    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text("truncate person cascade"))


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_a_sealed_entry_can_neither_be_changed_nor_deleted_by_the_tenants_role(session: Session, table: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text(f"update {table} set seq = seq"))
    with pytest.raises(ProgrammingError, match="permission denied"), session.begin_nested():
        session.execute(text(f"delete from {table}"))


def test_the_roles_of_tenants_are_made_again_for_a_restored_database(owner_url: str, cluster: Cluster) -> None:
    directory.restore_roles(owner_url, ["memoryd_t_gone_0badf00d"])
    with psycopg.connect(cluster.superuser_url()) as connection:
        assert connection.execute("select 1 from pg_roles where rolname = 'memoryd_t_gone_0badf00d'").fetchone()
        connection.execute("drop role memoryd_t_gone_0badf00d")
