"""An embedded Postgres of our own for one MEMORYD_HOME: made, started, kept running, stopped, destroyed.

It listens on a Unix socket only, asks everybody for a password, and is ready when a connection answers (a pid proves
nothing: a zombie counts as running, and after a reboot the number may be somebody else's). As root the data lies in
/var/lib/memoryd/postgres under a name derived from the home, and belongs to the system user `memoryd`; the folder
around it and the configuration stay root's, so that the system user can have root write nowhere else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from memoryd.foundation.errors import Conflict
from memoryd.foundation.logging import log_for
from memoryd.foundation.postgres_binaries import SYSTEM_POSTGRES, PostgresFailed, Programs, find_programs, locked
from memoryd.foundation.postgres_roles import (
    OWNER_ROLE,
    SERVER_PASSWORD,
    ServerUrls,
    connected,
    prepare_roles,
    read_or_make_password,
)
from memoryd.foundation.settings import write_secret

DATABASE = "memoryd"
SUPERUSER = "postgres"
SUPERUSER_PASSWORD = "postgres_superuser"  # noqa: S105 -- the name of a file
OWNER_PASSWORD = "postgres_owner"  # noqa: S105 -- the name of a file

START_LIMIT_S = 30.0
"""A start that fails is tried again for this long: children of a killed postmaster take a moment to go."""
RECOVERY_LIMIT_S = 600.0
"""A living postmaster that replays its log after a crash is waited for this long."""
RETRY_S = 0.1
ANSWER_LIMIT_S = 3
STOP_LIMIT_S = 60
LOG_LIMIT_BYTES = 10 * 1024 * 1024
SOCKET_PATH_LIMIT = 107
"""Bytes of a Unix socket's path. Source: unix(7), sun_path."""

_MARKER = "memoryd-cluster"
_LOG = log_for(__name__)

_SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "synchronous_commit": "on",
    "transaction_timeout": "0",
    "max_wal_size": "2GB",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    # Prompts and names never reach a log: neither as a statement nor as the detail of an error.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# A commit still reaches the operating system, so that tests may kill the server and expect what was committed.
_SETTINGS_OF_TESTS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "128MB",
    "checkpoint_timeout": "1h",
}


class ClusterLost(Conflict):
    """The embedded Postgres of this home is not where it was."""


class ClusterNotOurs(Conflict):
    """This folder was not made by memoryd."""


class Cluster:
    """The embedded Postgres of one MEMORYD_HOME. Processes share it; whoever comes first makes and starts it."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        """Name a cluster; nothing is made or started yet. `durable=False` is for tests: a power cut may lose it all."""
        self.home = home.resolve()
        self.durable = durable
        self._keys = self.home / "keys"
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        as_root = os.geteuid() == 0
        self.folder = SYSTEM_POSTGRES / f"cluster-{digest}" if as_root else self.home / "postgres"
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.socket_folder = self.folder / "socket"
        if len(os.fsencode(self.socket_folder / ".s.PGSQL.5432.lock")) > SOCKET_PATH_LIMIT:
            self.socket_folder = Path("/tmp") / f"memoryd-{os.geteuid()}-{digest}"  # noqa: S108 -- checked when made
        self._programs: Programs | None = None

    @property
    def programs(self) -> Programs:
        """The Postgres programs. Raises: PostgresNotInstalled."""
        if self._programs is None:
            self._programs = find_programs()
        return self._programs

    def binary(self, name: str) -> Path:
        """Return the path of one of the programs (`pg_dump`, `pg_restore`, `psql`). Raises: PostgresNotInstalled."""
        return self.programs.path(name)

    def owner_url(self, dbname: str = DATABASE) -> str:
        """Return the address for migrations: the role owns the database and may make roles and databases."""
        return self._url(OWNER_ROLE, OWNER_PASSWORD, dbname)

    def server_url(self, dbname: str = DATABASE) -> str:
        """Return the address for the running server: its role may do nothing until it takes another."""
        return self._url("memoryd_server", SERVER_PASSWORD, dbname)

    def superuser_url(self, dbname: str = "postgres") -> str:
        """Return the superuser's address: for backup, restore and measuring."""
        return self._url(SUPERUSER, SUPERUSER_PASSWORD, dbname)

    def urls(self) -> ServerUrls:
        """Return the addresses as `prepare_external` returns them for another Postgres."""
        return ServerUrls(owner=self.owner_url(), server=self.server_url())

    def is_made(self) -> bool:
        """Tell whether the cluster's data exist."""
        return (self.folder / _MARKER).exists() and self.data.exists()

    def is_running(self) -> bool:
        """Tell whether a connection answers."""
        if not (self._keys / SUPERUSER_PASSWORD).exists():
            return False
        try:
            with psycopg.connect(self.superuser_url(), connect_timeout=ANSWER_LIMIT_S) as connection:
                return connection.execute("select 1").fetchone() is not None
        except psycopg.Error:
            return False

    def ensure_running(self) -> None:
        """Make the cluster if there is none, start it if it does not answer, and return when it answers.

        Raises: ClusterLost, ClusterNotOurs, PostgresNotInstalled, PostgresFailed, OSError.
        """
        if self.is_made() and self.is_running() and self._is_prepared():
            return
        self._make_folder()
        with locked(self.folder / "lock"):
            if not self.data.exists():
                self._initialise()
            if not self.is_running():
                self._start()
            if not self._is_prepared():
                self._prepare()

    def supervise_once(self) -> bool:
        """Start the cluster again if it does not answer, and tell whether that was needed.

        Raises: as `ensure_running`.
        """
        if self.is_running():
            return False
        _LOG.warning("the embedded Postgres does not answer: starting it again")
        self.ensure_running()
        return True

    def restart(self) -> None:
        """Stop and start. Raises: as `ensure_running`."""
        self.stop()
        self.ensure_running()

    def stop(self) -> None:
        """Stop the cluster after its present transactions were rolled back; nothing happens where none runs.

        Raises: PostgresFailed.
        """
        if not self.is_made():
            return
        with locked(self.folder / "lock"):
            self._stop("fast")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the cluster running for a block; the last of its holders on this machine stops it.

        Raises: as `ensure_running`.
        """
        self._make_folder()
        descriptor = os.open(self.folder / "holders", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The kernel drops a dead holder's share by itself; a list of pids would keep it.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            self.ensure_running()
            yield
        finally:
            try:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self.stop()
            finally:
                os.close(descriptor)

    def destroy(self) -> None:
        """Stop the cluster and remove its data, log and passwords for good; nothing that it did not make.

        Raises: ClusterNotOurs, PostgresFailed.
        """
        if self.folder.exists():
            if not (self.folder / _MARKER).exists():
                raise ClusterNotOurs(f"{self.folder} has no file {_MARKER}", hint="look at it, and remove it by hand")
            with locked(self.folder / "lock"):
                if self.data.exists():
                    self._stop("immediate")
                shutil.rmtree(self.socket_folder, ignore_errors=True)
                shutil.rmtree(self.folder)
        for name in (SUPERUSER_PASSWORD, OWNER_PASSWORD, SERVER_PASSWORD, _MARKER):
            (self._keys / name).unlink(missing_ok=True)

    def _url(self, role: str, password_file: str, dbname: str) -> str:
        password = read_or_make_password(self._keys / password_file)
        query = urlencode({"host": str(self.socket_folder)}, safe="/")
        return f"postgresql://{role}:{quote(password, safe='')}@/{quote(dbname, safe='')}?{query}"

    def _make_folder(self) -> None:
        marker = self.folder / _MARKER
        if (self._keys / _MARKER).exists() and not self.data.exists():
            raise ClusterLost(
                f"the keys in {self._keys} belong to a database that is not at {self.data}",
                hint="was the home moved? Restore a backup, or run `memoryd db destroy` to begin anew",
            )
        if self.data.exists() and not (self._keys / SUPERUSER_PASSWORD).exists():
            # As root the data lie elsewhere, and outlive a home that somebody removed by hand.
            raise ClusterLost(
                f"the database at {self.data} belongs to keys that are no longer in {self._keys}",
                hint="put the keys back from a backup, or run `memoryd db destroy` to begin anew",
            )
        if not marker.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ClusterNotOurs(f"{self.folder} exists and has no file {_MARKER}", hint="move it away")
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.programs.show(self.folder, 0o710)
            marker.write_bytes(os.fsencode(self.home) + b"\n")
        try:
            self.socket_folder.mkdir(mode=0o700)
            self.programs.give(self.socket_folder)
        except FileExistsError:
            owner = self.programs.user.uid if self.programs.user else os.geteuid()
            found = self.socket_folder.lstat()
            if found.st_uid != owner or found.st_mode & 0o170077 != 0o040000:
                raise ClusterNotOurs(
                    f"{self.socket_folder} belongs to somebody else or is open to others", hint="remove it"
                ) from None

    def _initialise(self) -> None:
        # Under another name until complete: a data folder that exists is always a whole one.
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self.programs.give(unfinished)
        password_file = self.folder / "initial-password"
        write_secret(password_file, read_or_make_password(self._keys / SUPERUSER_PASSWORD).encode("ascii"))
        self.programs.show(password_file, 0o640)
        try:
            # The builtin locale is the same on every machine; a C library's collation changes under an index.
            self.programs.run(
                "initdb",
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--no-instructions",
                *(() if self.durable else ("--no-sync",)),
            )
        finally:
            password_file.unlink()
        unfinished.rename(self.data)

    def _prepare(self) -> None:
        owner_password = read_or_make_password(self._keys / OWNER_PASSWORD)
        with connected(self.superuser_url("template1")) as connection:
            connection.execute("create extension if not exists vector schema public")
        with connected(self.superuser_url()) as connection:
            if connection.execute("select from pg_roles where rolname = %s", [OWNER_ROLE]).fetchone() is None:
                connection.execute(sql.SQL("create role {}").format(sql.Identifier(OWNER_ROLE)))
            connection.execute(
                sql.SQL("alter role {} login nosuperuser createrole createdb password {}").format(
                    sql.Identifier(OWNER_ROLE), sql.Literal(owner_password)
                )
            )
            if connection.execute("select from pg_database where datname = %s", [DATABASE]).fetchone() is None:
                create = sql.SQL("create database {} owner {} template template1")
                connection.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)))
        with connected(self.owner_url()) as connection:
            prepare_roles(connection, server_password=read_or_make_password(self._keys / SERVER_PASSWORD))
        (self._keys / _MARKER).write_bytes(os.fsencode(self.data) + b"\n")

    def _is_prepared(self) -> bool:
        return (self._keys / _MARKER).exists()

    def _start(self) -> None:
        options = f"-c config_file={shlex.quote(str(self._write_settings()))}"
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self.log.touch(mode=0o600)
        self.programs.give(self.log)
        begin = time.monotonic()
        while True:
            self._remove_stale_pid_file()
            outcome = self.programs.run(
                "pg_ctl", "start", "-w", "-t", "5", "-D", self.data, "-l", self.log, "-o", options, fail=False
            )
            while not self.is_running():
                waited = time.monotonic() - begin
                alive = bool(_processes_in(self.data))
                if waited > (RECOVERY_LIMIT_S if alive else START_LIMIT_S):
                    raise PostgresFailed(
                        f"the embedded Postgres did not start within {waited:.0f} s: {self._reason(outcome.stderr)}",
                        hint=f"see the end of {self.log}",
                    )
                time.sleep(RETRY_S)
                if not alive:
                    break
            else:
                return

    def _write_settings(self) -> Path:
        settings = _SETTINGS if self.durable else _SETTINGS | _SETTINGS_OF_TESTS
        paths = {"unix_socket_directories": self.socket_folder, "hba_file": self.folder / "pg_hba.conf"}
        # Quotes are doubled in Postgres's configuration; a comma in a socket folder needs double quotes as well.
        quoted = {name: "'\"{}\"'" if name.startswith("unix") else "'{}'" for name in paths}
        lines = [f"{name} = {value}" for name, value in settings.items()]
        lines += [
            f"{name} = {quoted[name].format(str(path).replace(chr(39), chr(39) * 2))}" for name, path in paths.items()
        ]
        configuration = self.folder / "memoryd.conf"
        for file, text in ((configuration, "\n".join(lines)), (paths["hba_file"], "local all all scram-sha-256")):
            file.write_text(text + "\n", encoding="utf-8")
            self.programs.show(file, 0o640)
        return configuration

    def _remove_stale_pid_file(self) -> None:
        # Postgres itself removes the file of a dead process, but not of a zombie, nor when after a reboot the number
        # is another process of this user. Every process of a server works in its data folder: if none does, none runs.
        if Path("/proc/self/cwd").exists() and not _processes_in(self.data):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _stop(self, mode: str) -> None:
        limit = str(STOP_LIMIT_S)
        outcome = self.programs.run("pg_ctl", "stop", "-w", "-t", limit, "-m", mode, "-D", self.data, fail=False)
        if outcome.returncode != 0 and _processes_in(self.data) and self.is_running():
            raise PostgresFailed(f"it did not stop: {self._reason(outcome.stderr)}", hint=f"see the end of {self.log}")

    def _reason(self, said: str) -> str:
        lines = said.strip().splitlines()
        with contextlib.suppress(OSError):
            lines += self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        return " / ".join(lines[-3:]) or "it gave no reason"


def _processes_in(folder: Path) -> list[int]:
    """Living processes that work in a folder; Linux only (elsewhere none is found). A zombie works nowhere."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found
