"""Where it is measured: one embedded Postgres (durable, as shipped), databases of their own on it, and a real server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.dispatch import pools, workers
from memoryd.dispatch.facts import PoolView, WorkerIdentity
from memoryd.dispatch.wire import PROTOCOL, PROTOCOL_HEADER, RegisterRequest
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import DATABASE, Cluster
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema

START_LIMIT_S = 60.0


class Place:
    """A home with an embedded Postgres that holds one tenant, `default`; removed at the end."""

    def __init__(self) -> None:
        """Make and start it."""
        self.folder = Path(tempfile.mkdtemp(prefix="memoryd-bench-"))
        self.home = self.folder / "home"
        self.cluster = Cluster(self.home)
        self.cluster.ensure_running()
        ensure_farm_role(self.cluster.owner_url())
        upgrade_schema(self.cluster.owner_url(), line="farm", schema="farm", role="memoryd_farm")
        add_tenant(self.cluster.owner_url(), "default", "Default studio")
        database = Database(self.cluster.server_url())
        with database.farm_work() as session:
            pools.ensure_defaults(session)
            self.scope: TenantScope = find_tenant(session, "default")
            self.pool: PoolView = pools.find_pool(session, "default", tenant_id=self.scope.id)
        database.close()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log = (self.folder / "log").open("wb")

    def close(self) -> None:
        """Stop everything and remove it."""
        self.stop_processes()
        self._log.close()
        self.cluster.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def database_name(self) -> Iterator[str]:
        """The name of a copy of the freshly made database."""
        name = f"bench_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.cluster.superuser_url(), autocommit=True) as connection:
            connection.execute(f"create database {name} template {DATABASE} owner memoryd_owner")
        try:
            yield name
        finally:
            with psycopg.connect(self.cluster.superuser_url(), autocommit=True) as connection:
                connection.execute(f"drop database {name} with (force)")

    @contextlib.contextmanager
    def database(self, *, pool_size: int = 2) -> Iterator[tuple[Database, str]]:
        """A copy of the freshly made database, as the server sees it, and its name."""
        with self.database_name() as name:
            database = Database(self.cluster.server_url(name), pool_size=pool_size)
            try:
                yield database, name
            finally:
                database.close()

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `memoryd` with these arguments on this home."""
        process = subprocess.Popen(
            [sys.executable, "-m", "memoryd_cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "MEMORYD_HOME": str(self.home), "MEMORYD_LOG_LEVEL": "ERROR", **environment},
        )
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End one of them."""
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process in self._processes:
            self._processes.remove(process)

    def pids(self, command: str) -> list[int]:
        """Return the processes of `memoryd COMMAND` that were started here."""
        return [process.pid for process in self._processes if command in process.args]  # type: ignore[operator]

    def stop_processes(self) -> None:
        """End all of them, the last first."""
        for process in list(reversed(self._processes)):
            self.stop(process)

    @contextlib.contextmanager
    def server(self) -> Iterator[Address]:
        """A server process and one for its follow-up work, over the home's own database, while the block runs."""
        serve, work = self.start("serve", "--port", "0"), self.start("work")
        try:
            yield self._address(serve)
        finally:
            self.stop(work)
            self.stop(serve)

    def _address(self, serve: subprocess.Popen[bytes]) -> Address:
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until and serve.poll() is None:
            with contextlib.suppress(OSError, ValueError, KeyError, http.client.HTTPException):
                told = json.loads((self.home / "local.json").read_bytes())
                address = Address(url=told["url"], key=told["key"])
                if address.caller().ask("GET", "/ready")[0] == 200:
                    return address
            time.sleep(0.1)
        raise SystemExit(f"the server did not start: {(self.folder / 'log').read_text()[-2000:]}")


class Address:
    """Where the server is, and the key of this machine's commands."""

    def __init__(self, url: str, key: str) -> None:
        """`url` without a path."""
        self.url, self.key = url, key

    def caller(self, key: str | None = None) -> Caller:
        """Return one connection to it, by default with the commands' key."""
        return Caller(self.url, key or self.key)


class Caller:
    """One connection that is kept open, as light as Python has it: what is measured is the server, not its client."""

    def __init__(self, url: str, key: str) -> None:
        """Nothing is connected yet."""
        self._host = url.partition("://")[2]
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            PROTOCOL_HEADER: str(PROTOCOL),
        }
        self._connection = http.client.HTTPConnection(self._host, timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        self._connection.request(method, path, body=body, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def post(self, path: str, document: object) -> Any:
        """Return the answer to a posted document; None where it has no content. Raises: RuntimeError for an error."""
        status, content = self.ask("POST", path, json.dumps(document).encode())
        if status >= 400:
            raise RuntimeError(f"{path}: {status} {content[:300]!r}")
        return json.loads(content) if content else None


def join_worker(
    database: Database, scope: TenantScope, label: str, *, pool: str = "default", **stated: object
) -> tuple[WorkerIdentity, str]:
    """Make and register a worker; return it with its key."""
    with database.farm_work() as session:
        token = workers.make_join_token(session, tenants=[scope.id], pools=[pool], label=label)
        joined = workers.join(session, token, label=label, host="bench", gpu_uuid=None, protocol=PROTOCOL)
        request = RegisterRequest.model_validate(
            {
                "incarnation": uuid.uuid4(),
                "label": label,
                "host": "bench",
                "environment": {"comfyui": "bench"},
                "models": [],
                "nodes_sha256": "0" * 64,
                "classes": [],
                **stated,
            }
        )
        workers.register(session, workers.recognise(session, joined.key), request)
        return workers.recognise(session, joined.key), joined.key
