"""Telling other processes that there may be work, and hearing it from them. The notification carries no content."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from memoryd.foundation.database import Database, down

CHANNEL = "memoryd_work"
LISTEN_STEP_S = 0.5
"""How long one wait lasts before it is asked whether to stop."""


def notify(database: Database) -> None:
    """Tell every process. Raises: DatabaseDown."""
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Losing a wake-up in a crash costs a poll: no reason to wait for the disk.
            connection.execute(text("set synchronous_commit = off"))
            connection.execute(text(f"notify {CHANNEL}"))
            connection.execute(text("reset synchronous_commit"))
    except DBAPIError as error:
        raise down(error) from error


def listen(database: Database, *, heard: Callable[[], None], stopping: Callable[[], bool]) -> None:
    """Call `heard` at every notification until `stopping`. Holds one connection. Raises: DatabaseDown."""
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            driver.execute(f"listen {CHANNEL}")
            try:
                while not stopping():
                    for _ in driver.notifies(timeout=LISTEN_STEP_S, stop_after=1):
                        heard()
            finally:
                # Never back into the pool: it would go on collecting notifications there.
                connection.invalidate()
    except (DBAPIError, psycopg.Error) as error:
        raise down(error) from error
