"""Bringing schemas to this wheel's version: two lines, `farm` (once) and `tenant` (once per tenant schema)."""

from __future__ import annotations

import dataclasses
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from memoryd.foundation.database import EXTENSION_SCHEMA, FARM_ROLE, FARM_SCHEMA, SERVER_ROLE, checked_name
from memoryd.foundation.errors import Conflict
from memoryd.shipped import shipped

Line = Literal["farm", "tenant"]

VERSION_TABLE = "alembic_version"


class SchemaBehind(Conflict):
    """The database's tables are not those of this version of memoryd."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """Where one schema stands: the revision it has (None: none yet) and the one this wheel wants."""

    schema: str
    line: Line
    revision: str | None
    head: str

    @property
    def current(self) -> bool:
        """Whether the server may use it."""
        return self.revision == self.head

    @property
    def newer(self) -> bool:
        """Whether a later memoryd made it: this one knows no way to or from its revision."""
        known = {script.revision for script in ScriptDirectory.from_config(_config(self.line)).walk_revisions()}
        return self.revision is not None and self.revision not in known

    @property
    def next_step(self) -> str:
        """What to do where it is not current."""
        return "install the memoryd that made it, or a newer one" if self.newer else "run `memoryd db upgrade`"


def head(line: Line) -> str:
    """Return the newest revision of a line in this wheel."""
    found = ScriptDirectory.from_config(_config(line)).get_current_head()
    assert found is not None
    return found


def upgrade_schema(owner_url: str, *, line: Line, schema: str, role: str) -> SchemaState:
    """Create the schema if it is not there, give `role` its rights, and run the line's migrations. Safe to repeat.

    The role exists already. Runs as the owner, in one transaction per revision, so that an interrupted upgrade goes on
    where it stopped. Source for the grants: the roles of INV-5.
    """
    checked_name(schema), checked_name(role)
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            _prepare(connection, schema, role)
        with engine.connect() as connection:
            config = _config(line)
            config.attributes.update(connection=connection, schema=schema)
            command.upgrade(config, "head")
        with engine.begin() as connection:
            # Tables made before a default privilege was given (a restored dump) get their rights here.
            connection.execute(text(f"grant select, insert, update, delete on all tables in schema {schema} to {role}"))
            connection.execute(text(f"grant usage, select on all sequences in schema {schema} to {role}"))
            connection.execute(text(f"revoke insert, update, delete on {schema}.{VERSION_TABLE} from {role}"))
            if line == "tenant":
                # INV-9: the trail is append-only also for the tenant's own role.
                for table in ("audit_entry", "audit_checkpoint"):
                    connection.execute(text(f"revoke update, delete on {schema}.{table} from {role}"))
            return _state(connection, line, schema)
    finally:
        engine.dispose()


def ensure_farm_role(owner_url: str) -> None:
    """Create the role that may use the farm's schema, and let the server take it. Safe to repeat."""
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            if not connection.execute(text("select 1 from pg_roles where rolname = :r"), {"r": FARM_ROLE}).first():
                connection.execute(text(f"create role {FARM_ROLE} nologin"))
            connection.execute(text(f"grant {FARM_ROLE} to {SERVER_ROLE} with inherit false, set true"))
    finally:
        engine.dispose()


def schema_states(owner_url: str) -> list[SchemaState]:
    """Return where every schema of memoryd stands: the farm's first, then the tenants' by name."""
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            names = connection.execute(
                # In a database shared with others, a schema of theirs may be called t_… as well: ours keep their version.
                text(
                    "select nspname from pg_namespace n where nspname = :farm or (nspname like 't\\_%' and exists"
                    " (select from pg_class c where c.relnamespace = n.oid and c.relname = :versions)) order by nspname"
                ),
                {"farm": FARM_SCHEMA, "versions": VERSION_TABLE},
            ).scalars()
            lines: list[tuple[str, Line]] = [(name, "farm" if name == FARM_SCHEMA else "tenant") for name in names]
            return [_state(connection, line, name) for name, line in sorted(lines, key=lambda each: (each[1], each[0]))]
    finally:
        engine.dispose()


def require_current(states: list[SchemaState]) -> None:
    """Return when every schema is this wheel's. Raises: SchemaBehind, naming the command to run."""
    if not states:
        raise SchemaBehind("there are no tables yet", hint="run `memoryd db upgrade`")
    for state in states:
        if not state.current:
            raise _not_ours(state)


def require_upgradable(states: list[SchemaState]) -> None:
    """Return when no schema is of a later memoryd. Raises: SchemaBehind, naming the one that is."""
    for state in states:
        if state.newer:
            raise _not_ours(state)


def _not_ours(state: SchemaState) -> SchemaBehind:
    return SchemaBehind(
        f"schema {state.schema} is at {state.revision or 'nothing'}, this version wants {state.head}",
        hint=state.next_step,
    )


def _prepare(connection: Connection, schema: str, role: str) -> None:
    connection.execute(text(f"create schema if not exists {schema}"))
    connection.execute(text(f"grant usage on schema {schema} to {role}"))
    connection.execute(
        text(f"alter default privileges in schema {schema} grant select, insert, update, delete on tables to {role}")
    )
    connection.execute(text(f"alter default privileges in schema {schema} grant usage, select on sequences to {role}"))


def _state(connection: Connection, line: Line, schema: str) -> SchemaState:
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "version_table_schema": schema}
    )
    return SchemaState(schema=schema, line=line, revision=context.get_current_revision(), head=head(line))


def _config(line: Line) -> Config:
    # No ini file ships: everything is said here.
    config = Config()
    folder = shipped("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("version_locations", str(folder / line).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["line"] = line
    return config


__all__ = [
    "EXTENSION_SCHEMA",
    "Line",
    "SchemaBehind",
    "SchemaState",
    "ensure_farm_role",
    "head",
    "require_current",
    "schema_states",
    "upgrade_schema",
]
