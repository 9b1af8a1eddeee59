"""Telling other processes a word (`dispatch.waking`), and hearing theirs. A word names ids, and never content."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from memoryd.foundation.database import Database, down

CHANNEL = "memoryd_work"
LISTEN_STEP_S = 0.5
"""How long one wait lasts before it is asked whether to stop."""


def notify(database: Database, words: Sequence[str]) -> None:
    """Tell every process these words. Raises: DatabaseDown."""
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Losing a wake-up in a crash costs a poll: no reason to wait for the disk.
            connection.execute(text("set synchronous_commit = off"))
            connection.execute(
                text("select pg_notify(:channel, word) from unnest(cast(:words as text[])) word"),
                {"channel": CHANNEL, "words": list(words)},
            )
            connection.execute(text("reset synchronous_commit"))
    except DBAPIError as error:
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
