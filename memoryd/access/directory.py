"""The directory of tenants: which there are, where their data lies, and how one is made."""

from __future__ import annotations

from typing import Any

from memoryd.access import people, projects, queries
from memoryd.access.facts import Role, TenantState, TenantView
from memoryd.access.names import checked_shown_name, checked_tenant_slug
from memoryd.foundation.database import FARM_SCHEMA, Session, TenantScope
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import PersonId, TenantId, new_id
from memoryd.foundation.migrations import upgrade_schema
from memoryd.foundation.texts import storable

DEFAULT_TENANT = "default"
LOCAL_NAME = "Local person"


class TenantNotFound(NotFound):
    """There is no such tenant."""


class TenantExists(Conflict):
    """There is a tenant of that name already."""


def find_tenant(session: Session, slug: str) -> TenantScope:
    """Return a tenant that is ready for use. `session` has taken the farm. Raises: TenantNotFound."""
    row = queries.find_tenant(session, storable(slug)[0])
    if row is None or row.state != TenantState.ACTIVE:
        raise TenantNotFound(f"tenant {slug[:80]!r}", hint="`memoryd tenants list` shows them")
    return scope_of(row)


def list_tenants(session: Session) -> list[TenantScope]:
    """Return every tenant that is ready for use, by slug. `session` has taken the farm."""
    return [scope_of(row) for row in queries.list_tenants(session) if row.state == TenantState.ACTIVE]


def show_tenants(session: Session) -> list[TenantView]:
    """Return every tenant, unfinished ones included, by slug. `session` has taken the farm."""
    return [
        TenantView(
            scope=scope_of(row),
            name=row.name,
            state=TenantState(row.state),
            time_zone=row.time_zone,
            created_at=row.created_at,
        )
        for row in queries.list_tenants(session)
    ]


def add_tenant(owner_database_url: str, slug: str, name: str) -> TenantScope:
    """Make a tenant: role, schema, tables, a default project and the local person; return where it lies.

    Runs with the owner's rights. Registered before it is made, so that an interrupted one is taken up again by the
    same command. Raises: TenantExists, BadName.
    """
    checked_tenant_slug(slug)
    shown = checked_shown_name(name)
    with queries.owner_work(owner_database_url, FARM_SCHEMA) as session:
        scope = _register(session, slug, shown)
        queries.make_tenant_role(session, scope.role)
    upgrade_schema(owner_database_url, line="tenant", schema=scope.schema, role=scope.role)
    with queries.owner_work(owner_database_url, scope.schema) as session:
        projects.ensure_project(session, projects.DEFAULT_PROJECT, "Default project")
        local = people.ensure_person(session, people.LOCAL_LOGIN, LOCAL_NAME)
        people.grant_role(session, local, Role.ADMIN)
    with queries.owner_work(owner_database_url, FARM_SCHEMA) as session:
        queries.set_tenant_state(session, scope.id, TenantState.ACTIVE)
    return scope


def add_admin(owner_database_url: str, slug: str, login: str, display_name: str) -> PersonId:
    """Make somebody an administrator of a tenant with the owner's rights: the first one, or after a lock-out.

    Raises: TenantNotFound, BadName.
    """
    with queries.owner_work(owner_database_url, FARM_SCHEMA) as session:
        scope = find_tenant(session, slug)
    with queries.owner_work(owner_database_url, scope.schema) as session:
        person = people.ensure_person(session, login, display_name)
        people.grant_role(session, person, Role.ADMIN)
        return person


def restore_roles(owner_database_url: str, roles: list[str]) -> None:
    """Make the tenants' roles again, before a dump that names them is read back. Roles lie outside a database's dump."""
    with queries.owner_work(owner_database_url, FARM_SCHEMA) as session:
        for role in roles:
            queries.make_tenant_role(session, role)


def scope_of(row: Any) -> TenantScope:
    """Return where a tenant lies, from its row in the directory."""
    return TenantScope(id=TenantId(row.id), slug=row.slug, schema=row.schema, role=row.role)


def _register(session: Session, slug: str, name: str) -> TenantScope:
    made = new_id()
    plain = slug.replace("-", "_")
    # The id's last digits are its random ones; roles are shared by all databases of a server, slugs are not.
    role = f"memoryd_t_{plain}_{made.hex[-8:]}"
    queries.insert_tenant(
        session, id=made, slug=slug, name=name, schema=f"t_{plain}", role=role, state=TenantState.MAKING
    )
    row = queries.find_tenant(session, slug)
    if row is None or row.state != TenantState.MAKING:
        raise TenantExists(f"tenant {slug!r}", hint="choose another name, or use the one that is there")
    return scope_of(row)
