"""Telling other processes a word (`dispatch.waking`), and hearing theirs. A word names ids, and never content."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from sqlalchemy.exc import DBAPIError

from memoryd.foundation.database import Database, down

CHANNEL = "memoryd_work"
LISTEN_STEP_S = 0.5
"""How long one wait lasts before it is asked whether to stop."""


def speak(database: Database, *, words: Callable[[], Sequence[str]], stopping: Callable[[], bool]) -> None:
    """Tell every process what `words` returns, which waits for some, until `stopping`. Holds one connection.

    Raises: DatabaseDown.
    """
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            try:
                # Losing a wake-up in a crash costs a poll: no reason to wait for the disk.
                driver.execute("set synchronous_commit = off")
                while not stopping():
                    told = list(words())
                    if told:
                        driver.execute("select pg_notify(%s, word) from unnest(%s::text[]) word", (CHANNEL, told))
            finally:
                # Never back into the pool: what it loses in a crash must be wake-ups only.
                connection.invalidate()
    except (DBAPIError, psycopg.Error) as error:
        raise down(error) from error


def listen(database: Database, *, heard: Callable[[str], None], stopping: Callable[[], bool]) -> None:
    """Call `heard` with every word until `stopping`. Holds one connection. Raises: DatabaseDown."""
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            driver.execute(f"listen {CHANNEL}")
            try:
                while not stopping():
                    for notification in driver.notifies(timeout=LISTEN_STEP_S, stop_after=1):
                        heard(notification.payload)
            finally:
                # Never back into the pool: it would go on collecting notifications there.
                connection.invalidate()
    except (DBAPIError, psycopg.Error) as error:
        raise down(error) from error
