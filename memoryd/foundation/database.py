"""The database: one engine per process, and the unit of work, the only place that commits.

INV-5: a transaction reaches a tenant's data by having taken that tenant's role, and no other way. The server's login
role owns nothing and inherits nothing; role and search path are local to the transaction, so that a connection that
goes back to the pool carries neither.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator

import psycopg
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.ids import TenantId

FARM_SCHEMA = "farm"
FARM_ROLE = "memoryd_farm"
SERVER_ROLE = "memoryd_server"
EXTENSION_SCHEMA = "public"
"""Where pgvector's types lie; no table of ours does."""

POOL_SIZE = 10
POOL_OVERFLOW = 10
POOL_WAIT_S = 10
STATEMENT_TIMEOUT_S = 60
IDLE_IN_TRANSACTION_TIMEOUT_S = 60
"""A transaction that nobody drives holds back vacuum for the queue. Source: reference measurements of a held xmin."""

_NAME = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


class DatabaseDown(Unavailable):
    """The database does not answer."""


class BadSchemaName(MemorydError):
    """A schema or role has a name that memoryd never gives."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TenantScope:
    """A tenant, as the database knows it."""

    id: TenantId
    slug: str
    schema: str
    role: str


class Database:
    """Connections of one process to one database. Thread-safe; make a new one after a fork."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        """`url` is `postgresql://…` of a login role; nothing is connected yet."""
        self.engine: Engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=True,
            connect_args={
                "application_name": "memoryd",
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c timezone=UTC "
                f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_S}s "
                # Statements here take milliseconds, and compiling one takes 50 of them.
                "-c jit=off",
            },
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def tenant_work(self, tenant: TenantScope) -> Iterator[Session]:
        """One unit of work on a tenant's data: commits when the block ends, rolls back when it raises.

        Raises: DatabaseDown.
        """
        with self._work() as session:
            take_tenant(session, tenant)
            yield session

    @contextlib.contextmanager
    def farm_work(self) -> Iterator[Session]:
        """One unit of work on what all tenants share. Raises: DatabaseDown."""
        with self._work() as session:
            take_farm(session)
            yield session

    @contextlib.contextmanager
    def _work(self) -> Iterator[Session]:
        try:
            with self._sessions() as session, session.begin():
                yield session
        except (OperationalError, PoolTimeoutError) as error:
            raise down(error) from error


def down(error: Exception) -> DatabaseDown:
    """Return the error that says that the database does not answer, without its address or password."""
    first_line = str(getattr(error, "orig", error)).strip().splitlines() or ["no reason given"]
    return DatabaseDown(
        first_line[0], hint="see `memoryd db status`; `memoryd up` restarts an embedded Postgres by itself"
    )


def take_tenant(session: Session, tenant: TenantScope) -> None:
    """Let this transaction, from here on, act as the tenant's role in the tenant's schema."""
    _take(session, tenant.role, tenant.schema, by_key=False)


def take_farm(session: Session) -> None:
    """Let this transaction, from here on, act on what all tenants share (queue, directory).

    Its statements are lookups by key in tables that are nearly empty at one moment and have a million rows at the next:
    they are planned once per connection, and never to read a table from end to end where an index leads to the rows.
    """
    _take(session, FARM_ROLE, FARM_SCHEMA, by_key=True)


def _take(session: Session, role: str, schema: str, *, by_key: bool) -> None:
    # INV-5. `reset role` first is not needed: the login role, not the present role, must be a member.
    session.flush()
    session.execute(
        text("""select set_config('role', :role, true), set_config('search_path', :path, true),
                       set_config('plan_cache_mode', :plans, true), set_config('enable_seqscan', :scans, true),
                       set_config('enable_bitmapscan', :scans, true)"""),
        {
            "role": checked_name(role),
            "path": f"{checked_name(schema)}, {EXTENSION_SCHEMA}",
            "plans": "force_generic_plan" if by_key else "auto",
            "scans": "off" if by_key else "on",
        },
    )


def checked_name(name: str) -> str:
    """Return a schema's or role's name. Raises: BadSchemaName where it is none that memoryd gives."""
    if not _NAME.match(name):
        raise BadSchemaName(f"{name!r} cannot name a schema or role")
    return name


def raw_connection(session: Session) -> psycopg.Connection[tuple[object, ...]]:
    """Return the session's own psycopg connection, inside its transaction: for COPY, which SQLAlchemy does not speak."""
    session.flush()
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


__all__ = [
    "FARM_ROLE",
    "FARM_SCHEMA",
    "SERVER_ROLE",
    "DBAPIError",
    "Database",
    "DatabaseDown",
    "Engine",
    "Session",
    "TenantScope",
    "checked_name",
    "down",
    "event",
    "raw_connection",
    "take_farm",
    "take_tenant",
]
