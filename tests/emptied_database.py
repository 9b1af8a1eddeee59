"""A database that is as good as new after each test, for the tests of one process.

A clone of the template copies 1,600 files, which takes a quarter of a second of one core; to empty what a test filled takes
a tenth of that. Only rows are put back: the server's login owns nothing, so that a test that holds nothing more cannot
change a table. What needs the owner or the superuser gets a clone of its own (fixture `database_name`).
"""

from __future__ import annotations

import time
import uuid

import psycopg

from memoryd.foundation.embedded_postgres import Cluster

GONE_LIMIT_S = 10.0
"""Connections that were ended are gone after milliseconds, on a busy machine after seconds."""

_FILLED = """
    select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and (n.nspname = 'farm' or n.nspname like 't\\_%') and pg_relation_size(c.oid) > 0
     order by 1"""
_COUNTED_ON = """
    select format('%I.%I', schemaname, sequencename) from pg_sequences where last_value is not null order by 1"""


_SHAPE = """
    select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'farm' or n.nspname like 't\\_%'"""


class EmptiedDatabase:
    """One clone of the template: used by one test after another, each under another name."""

    def __init__(self, server: Cluster, name: str) -> None:
        """Take a new clone; what lies in it is what every test begins with."""
        self.name = name
        self._server = server
        with self._connected() as connection:
            self._first = {table: _copied(connection, table) for table in _listed(connection, _FILLED)}
            self._shape = _listed(connection, _SHAPE)
            assert not _listed(connection, _COUNTED_ON)

    def empty(self) -> None:
        """Put back the rows of the template, under a new name: what a test left running finds nothing under the old one."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        with psycopg.connect(self._server.superuser_url("postgres"), autocommit=True) as admin:
            _end_others(admin, self.name)
            admin.execute(f"alter database {self.name} rename to {name}".encode())
        self.name = name
        with self._connected() as connection, connection.transaction():
            # Neither foreign keys nor triggers are asked.
            connection.execute("set local session_replication_role = replica")
            filled = [table for table in _listed(connection, _FILLED) if table not in self._first]
            if filled:
                connection.execute(f"truncate {', '.join(filled)} cascade".encode())
            for table, rows in self._first.items():
                if _copied(connection, table) != rows:
                    connection.execute(f"delete from {table}".encode())
                    with connection.cursor().copy(f"copy {table} from stdin".encode()) as copy:
                        copy.write(rows)
            assert _listed(connection, _SHAPE) == self._shape, "it changed tables: ask for `database_name` as well"
            for sequence in _listed(connection, _COUNTED_ON):
                connection.execute(f"alter sequence {sequence} restart".encode())

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._server.superuser_url(self.name), autocommit=True)


def _listed(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(statement.encode()).fetchall()]


def _copied(connection: psycopg.Connection[tuple[object, ...]], table: str) -> bytes:
    with connection.cursor().copy(f"copy {table} to stdout".encode()) as copy:
        return b"".join(bytes(block) for block in copy)


def _end_others(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """End what a test left connected, and wait until it is gone."""
    until = time.monotonic() + GONE_LIMIT_S
    while admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]).fetchall():
        assert time.monotonic() < until, f"connections to {name} do not end"
        time.sleep(0.002)
