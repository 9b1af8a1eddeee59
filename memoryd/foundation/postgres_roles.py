"""The roles memoryd needs in a Postgres, embedded or not, and the check that a given one will do.

`memoryd_owner` (or whoever an external URL names) migrates and makes tenants; `memoryd_server` is what the running
server logs in as: it owns nothing and inherits nothing (INV-5); `memoryd_farm` is taken for what all tenants share.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from memoryd.foundation.database import FARM_ROLE, SERVER_ROLE
from memoryd.foundation.errors import NotAcceptable, Unavailable
from memoryd.foundation.settings import write_secret

MINIMUM_POSTGRES = 160_000
"""`grant … with inherit false, set true` is of version 16. Source: Postgres 16 release notes, E.16.3.4."""
MINIMUM_PGVECTOR = (0, 8)
"""Iterative index scans, without which a filtered search by meaning loses rows. Source: pgvector 0.8.0 changelog."""
CONNECT_LIMIT_S = 5
OWNER_ROLE = "memoryd_owner"
SERVER_PASSWORD = "postgres_server"  # noqa: S105 -- the name of a file
EXTERNAL_SERVER_PASSWORD = "postgres_external_server"  # noqa: S105 -- the name of a file


class BadDatabaseUrl(NotAcceptable):
    """This is not the address of a Postgres."""


class DatabaseNotSuitable(NotAcceptable):
    """This Postgres cannot hold memoryd's tables."""


class DatabaseUnreachable(Unavailable):
    """The Postgres at this address does not answer."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerUrls:
    """Where to reach a prepared database: as the owner (migrations, tenants), and as the server."""

    owner: str
    server: str


def prepare_external(database_url: str, keys: Path) -> ServerUrls:
    """Make an external Postgres ready for memoryd and return its addresses; repeatable.

    `database_url` is `postgresql://…` of a role that may create roles and schemas; the server role's password is kept
    in `keys`.

    Raises: BadDatabaseUrl, DatabaseUnreachable, DatabaseNotSuitable.
    """
    try:
        url = make_url(database_url)
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise ArgumentError
        url = url.set(drivername="postgresql")
    except (ArgumentError, ValueError):
        raise BadDatabaseUrl(
            "the address cannot be read", hint="write it as postgresql://role:password@host:5432/database"
        ) from None
    owner_url = url.render_as_string(hide_password=False)
    password_file = keys / EXTERNAL_SERVER_PASSWORD
    password = read_or_make_password(password_file)
    server_url = url.set(username=SERVER_ROLE, password=password).render_as_string(hide_password=False)
    with connected(owner_url) as connection:
        _check_suitable(connection)
        prepare_roles(connection, server_password=password)
    with connected(server_url):
        pass
    return ServerUrls(owner=owner_url, server=server_url)


def prepare_roles(owner: psycopg.Connection[tuple[object, ...]], *, server_password: str) -> None:
    """Make, as the owner, the roles that the server logs in as and takes; repeatable.

    Raises: DatabaseNotSuitable where a role exists that the owner may not administer.
    """
    _make_role(owner, FARM_ROLE, "nologin")
    _make_role(owner, SERVER_ROLE, "login noinherit")
    try:
        owner.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(SERVER_ROLE), sql.Literal(server_password))
        )
        let_server_take(owner, FARM_ROLE)
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseNotSuitable(
            f"the role {SERVER_ROLE} or {FARM_ROLE} exists and this login may not administer it: {error}",
            hint=f"as a superuser: grant {SERVER_ROLE}, {FARM_ROLE} to the login with admin option",
        ) from None


def let_server_take(owner: psycopg.Connection[tuple[object, ...]], role: str) -> None:
    """Let the server take a role that the owner made, without inheriting from it; repeatable."""
    grant = sql.SQL("grant {} to {} with inherit false, set true")
    owner.execute(grant.format(sql.Identifier(role), sql.Identifier(SERVER_ROLE)))


def read_or_make_password(path: Path) -> str:
    """Return the password kept in a secret file, made at the first call."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32).encode("ascii"))
    return path.read_text(encoding="ascii")


@contextlib.contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection in autocommit, closed at the end. Raises: DatabaseUnreachable."""
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_LIMIT_S)
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(
            _reason(error), hint="is it running, and are address, role and password in MEMORYD_DATABASE_URL right?"
        ) from None
    with contextlib.closing(connection):
        yield connection


def _reason(error: psycopg.Error) -> str:
    """Return the one line of libpq's message that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The server's own word before the client's; libpq's last line is often a question, psycopg's first often a heading.
    said = next((line for line in lines if "FATAL:" in line), None)
    told = next((line for line in lines if "failed:" in line or "error:" in line), None)
    return said or told or next(iter(lines), "no reason given")


def _make_role(owner: psycopg.Connection[tuple[object, ...]], role: str, attributes: LiteralString) -> None:
    if owner.execute("select from pg_roles where rolname = %s", [role]).fetchone() is None:
        with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            owner.execute(sql.SQL("create role {} " + attributes).format(sql.Identifier(role)))


def _check_suitable(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    if connection.info.server_version < MINIMUM_POSTGRES:
        raise DatabaseNotSuitable(
            f"it is Postgres {connection.info.parameter_status('server_version')}",
            hint=f"memoryd needs Postgres {MINIMUM_POSTGRES // 10_000} or newer",
        )
    row = connection.execute(
        "select rolsuper or rolcreaterole, has_database_privilege(current_database(), 'create'), current_user::text,"
        " current_database()::text from pg_roles where rolname = current_user"
    ).fetchone()
    assert row is not None
    may_roles, may_schemas, role, database = row
    if not may_roles:
        raise DatabaseNotSuitable(
            f"the role {role} may not create roles", hint=f"as a superuser: alter role {role} createrole"
        )
    if not may_schemas:
        raise DatabaseNotSuitable(
            f"the role {role} may not create schemas in {database}",
            hint=f"as a superuser: grant create on database {database} to {role}",
        )
    _check_pgvector(connection, str(database))


def _check_pgvector(connection: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    needed = ".".join(map(str, MINIMUM_PGVECTOR))
    install = f"as a superuser in {database}: create extension vector schema public"
    query = "select extversion, extnamespace::regnamespace::text from pg_extension where extname = 'vector'"
    row = connection.execute(query).fetchone()
    if row is None:
        with contextlib.suppress(psycopg.Error):
            # Works for superusers and where a provider marked the extension as trusted.
            connection.execute("create extension if not exists vector schema public")
        row = connection.execute(query).fetchone()
    if row is None:
        raise DatabaseNotSuitable("the extension vector is not installed", hint=f"{install} (pgvector {needed}+)")
    version, schema = str(row[0]), str(row[1])
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < MINIMUM_PGVECTOR:
        raise DatabaseNotSuitable(
            f"pgvector is {version}", hint=f"install pgvector {needed}+; alter extension vector update"
        )
    if schema != "public":
        raise DatabaseNotSuitable(
            f"the extension vector lies in schema {schema}",
            hint="as a superuser: alter extension vector set schema public",
        )
