"""How a process of the server finds its database: the embedded one of its home, or the one it was told of."""

from __future__ import annotations

import dataclasses

from memoryd.access import directory
from memoryd.foundation.database import FARM_ROLE, FARM_SCHEMA, Database
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.migrations import (
    SchemaState,
    ensure_farm_role,
    require_current,
    require_upgradable,
    schema_states,
    upgrade_schema,
)
from memoryd.foundation.postgres_roles import prepare_external
from memoryd.foundation.settings import Settings

DEFAULT_TENANT_NAME = "Default studio"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the database is, for its owner (migrations, tenants) and for the server (everything else)."""

    owner: str
    server: str


def embedded_cluster(settings: Settings) -> Cluster | None:
    """Return the home's own Postgres, or None where MEMORYD_DATABASE_URL names another."""
    return None if settings.database_url else Cluster(settings.home)


def addresses(settings: Settings) -> Addresses:
    """Return the database's addresses, with the embedded Postgres running or the external one checked.

    Raises: DatabaseDown, and the reasons why an external server cannot serve (version, pgvector, rights).
    """
    cluster = embedded_cluster(settings)
    if cluster is not None:
        cluster.ensure_running()
        return Addresses(owner=cluster.owner_url(), server=cluster.server_url())
    assert settings.database_url is not None
    urls = prepare_external(settings.database_url.get_secret_value(), settings.secrets_folder)
    return Addresses(owner=urls.owner, server=urls.server)


def owner_url(settings: Settings) -> str:
    """Return the owner's address. Raises as addresses."""
    return addresses(settings).owner


def server_database(settings: Settings) -> Database:
    """Return the server's database, checked to have this wheel's tables. Raises as addresses; SchemaBehind."""
    where = addresses(settings)
    require_current(schema_states(where.owner))
    return Database(where.server)


def upgrade(settings: Settings) -> list[SchemaState]:
    """Bring every schema to this wheel's version, make the default tenant at the first time; say where each stands.

    Safe to repeat and to interrupt: each revision is one transaction. Raises as addresses; SchemaBehind where a later
    memoryd made one of them, with nothing changed.
    """
    where = addresses(settings)
    require_upgradable(schema_states(where.owner))
    ensure_farm_role(where.owner)
    upgrade_schema(where.owner, line="farm", schema=FARM_SCHEMA, role=FARM_ROLE)
    database = Database(where.server, pool_size=1)
    try:
        with database.farm_work() as session:
            tenants = [view.scope for view in directory.show_tenants(session)]
        for tenant in tenants:
            upgrade_schema(where.owner, line="tenant", schema=tenant.schema, role=tenant.role)
        if settings.tenant not in {tenant.slug for tenant in tenants} and settings.tenant == "default":
            directory.add_tenant(where.owner, settings.tenant, DEFAULT_TENANT_NAME)
    finally:
        database.close()
    return schema_states(where.owner)
