"""The database: one engine per process, and the unit of work, the only place that commits.

INV-5: a transaction reaches a tenant's data by having taken that tenant's role, and no other way. The server's login
role owns nothing and inherits nothing; role and search path are local to the transaction, so that a connection that
goes back to the pool carries neither.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import time
from collections.abc import Iterator

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

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
TRUSTED_FOR_S = 1.0
"""A connection that was used this short a time ago is not asked whether it lives: that is a round trip before each work."""

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
            connect_args={
                "application_name": "memoryd",
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c timezone=UTC "
                f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_S}s "
                # Statements here take milliseconds, and compiling one takes 50 of them.
                "-c jit=off",
            },
        )
        event.listen(self.engine, "checkout", _ask_whether_it_lives)
        event.listen(self.engine, "checkin", self._comes_back)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self.closed = False

    def close(self) -> None:
        """Close all connections. Threads that look again and again see by `closed` that it is over."""
        self.closed = True
        self.engine.dispose()

    def _comes_back(self, driver: object, entry: ConnectionPoolEntry) -> None:
        entry.info["used_at"] = time.monotonic()
        if self.closed and isinstance(driver, psycopg.Connection):
            # It was in use when the others were closed: nobody would ever close it.
            driver.close()

    @contextlib.contextmanager
    def tenant_work(self, tenant: TenantScope) -> Iterator[Session]:
        """One unit of work on a tenant's data: commits when the block ends, rolls back when it raises.

        Raises: DatabaseDown.
        """
        with self._work(_taking(tenant.role, tenant.schema, by_key=False)) as session:
            yield session

    @contextlib.contextmanager
    def farm_work(self) -> Iterator[Session]:
        """One unit of work on what all tenants share. Raises: DatabaseDown."""
        with self._work(_taking(FARM_ROLE, FARM_SCHEMA, by_key=True)) as session:
            yield session

    @contextlib.contextmanager
    def _work(self, taking: str) -> Iterator[Session]:
        try:
            with self._sessions() as session, session.begin():
                _begin(session, taking)
                yield session
        except (OperationalError, PoolTimeoutError, psycopg.OperationalError) as error:
            raise down(error) from error


def _begin(session: Session, taking: str) -> None:
    """Begin the transaction and take a role in one round trip."""
    # The driver must not begin one by itself: that would be a round trip of its own.
    connection = session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        # Two statements at once cannot be prepared.
        driver.execute(f"begin; {taking}", prepare=False)
    except psycopg.OperationalError as error:
        connection.invalidate()
        raise down(error) from error


def _ask_whether_it_lives(driver: object, entry: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
    """Let the pool connect anew where a connection that nobody used for a while has gone."""
    assert isinstance(driver, psycopg.Connection)
    if time.monotonic() - entry.info.get("used_at", float("-inf")) < TRUSTED_FOR_S and not driver.closed:
        return
    try:
        driver.execute("", prepare=False)
        driver.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error


def down(error: Exception) -> DatabaseDown:
    """Return the error that says that the database does not answer, without its address or password."""
    first_line = str(getattr(error, "orig", error)).strip().splitlines() or ["no reason given"]
    return DatabaseDown(
        first_line[0], hint="see `memoryd db status`; `memoryd up` restarts an embedded Postgres by itself"
    )


def take_tenant(session: Session, tenant: TenantScope) -> None:
    """Let this transaction, from here on, act as the tenant's role in the tenant's schema."""
    # INV-5. `reset role` first is not needed: the login role, not the present role, must be a member.
    raw_connection(session).execute(_taking(tenant.role, tenant.schema, by_key=False))


def take_farm(session: Session) -> None:
    """Let this transaction, from here on, act on what all tenants share (queue, directory).

    Its statements are lookups by key in tables that are nearly empty at one moment and have a million rows at the next:
    they are planned once per connection, and never to read a table from end to end where an index leads to the rows.
    """
    raw_connection(session).execute(_taking(FARM_ROLE, FARM_SCHEMA, by_key=True))


@functools.lru_cache(1_000)
def _taking(role: str, schema: str, *, by_key: bool) -> str:
    """The statement with which a transaction takes a role: names are checked, so that they can be spelled into it."""
    plans, scans = ("force_generic_plan", "off") if by_key else ("auto", "on")
    return (
        f"select set_config('role', '{checked_name(role)}', true),"
        f" set_config('search_path', '{checked_name(schema)}, {EXTENSION_SCHEMA}', true),"
        f" set_config('plan_cache_mode', '{plans}', true), set_config('enable_seqscan', '{scans}', true),"
        f" set_config('enable_bitmapscan', '{scans}', true)"
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
