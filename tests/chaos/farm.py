"""A whole farm of processes that are started again when they die: servers, follow-up work, engines, workers, people."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from network import Wire

from memoryd.access.directory import add_tenant, find_tenant
from memoryd.app.local_key import local_key
from memoryd.app.one_machine import free_port
from memoryd.dispatch import pools, workers
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema

HERE = Path(__file__).parent
VISIBILITY_S = {0: 3.0, 1: 5.0, 2: 8.0}
"""Leases are shorter here than in a real farm, so that many of them end while it burns."""
BACKOFF_S = 0.5
JOB_DELAY_S = 0.02


class Part:
    """One process, and how to start it again."""

    def __init__(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        """Start it."""
        self.name, self._start = name, start
        self.process, self.starts, self.rests_until, self._born = start(), 1, 0.0, time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since its last start."""
        return time.monotonic() - self._born

    def kill(self) -> None:
        """kill -9."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def freeze(self, seconds: float) -> None:
        """Stop it in the middle of whatever it does, and let it go on later as if nothing had happened."""
        pid = self.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)

    def keep_alive(self) -> bool:
        """Start it again where it has died and its rest is over; tell whether that was needed."""
        if self.process.poll() is None or time.monotonic() < self.rests_until:
            return False
        self.process, self.starts, self._born = self._start(), self.starts + 1, time.monotonic()
        return True


class Farm:
    """All of it."""

    def __init__(self, *, whole_way: int, in_queue: int, seed: int) -> None:
        """Make the database, lay the network, start everything."""
        self.seed = seed
        self.folder = Path(tempfile.mkdtemp(prefix="memoryd-chaos-"))
        self.home, self.journals = self.folder / "home", self.folder / "journals"
        self.journals.mkdir()
        self.cluster = Cluster(self.home)
        self.cluster.ensure_running()
        self._make_database()
        self.parts: dict[str, Part] = {}
        self.postgres_lock = threading.Lock()
        ports = [free_port("127.0.0.1") for _ in range(2)]
        self.wire = Wire(ports)
        self._log = (self.folder / "log").open("ab")
        for number, port in enumerate(ports):
            self._memoryd(f"server-{number}", "serve", "--port", str(port))
            self._memoryd(f"work-{number}", "work")
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self._wait_for_servers()
        self._start_farm(whole_way, in_queue)

    def _make_database(self) -> None:
        owner = self.cluster.owner_url()
        ensure_farm_role(owner)
        upgrade_schema(owner, line="farm", schema="farm", role="memoryd_farm")
        add_tenant(owner, "default", "Default studio")
        database = Database(self.cluster.server_url())
        with database.farm_work() as session:
            pools.ensure_defaults(session)
            self.scope: TenantScope = find_tenant(session, "default")
            pools.add_pool(session, "queue", tenant_id=self.scope.id)
        self.key = local_key(database, self.scope, self.home / "keys")
        database.close()
        with psycopg.connect(self.cluster.superuser_url("memoryd"), autocommit=True) as connection:
            for class_id, seconds in VISIBILITY_S.items():
                connection.execute(
                    "update farm.job_class set visibility_s = %s, backoff_s = %s where id = %s",
                    [seconds, BACKOFF_S, class_id],
                )

    def _token(self, label: str) -> str:
        """Return a join token; "" while the database is away (whoever has joined already does not need it)."""
        try:
            database = Database(self.cluster.server_url(), pool_size=1)
            with database.farm_work() as session:
                return workers.make_join_token(session, tenants=[self.scope.id], pools=["default"], label=label)
        except Unavailable:
            return ""
        finally:
            database.close()

    def _start_farm(self, whole_way: int, in_queue: int) -> None:
        for number in range(2):
            self._real_worker(number)
            self._light_worker(number, seed=self.seed + number)
        url = self.cluster.server_url()
        for number in range(4):
            self._script(f"queue-work-{number}", "queue_worker.py", "work", url, number, 0)
        for number in range(2):
            self._script(f"queue-submit-{number}", "queue_worker.py", "submit", url, number, in_queue // 2)
            self._people(f"submit-{number}", "submit", 10 + number, whole_way // 2)
        self._script("queue-meddle", "queue_worker.py", "meddle", url, 7, 0)
        self._people("meddle", "meddle", 8, 0)

    # --- the parts

    def _spawn(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={
                **os.environ,
                "MEMORYD_HOME": str(self.home),
                "MEMORYD_LOG_LEVEL": "ERROR",
                "MEMORYD_SUPERVISED": str(os.getpid()),
                **environment,
            },
        )

    def _add(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.parts[name] = Part(name, start)

    def _memoryd(self, name: str, *arguments: str) -> None:
        self._add(name, lambda: self._spawn([sys.executable, "-m", "memoryd_cli", *arguments]))

    def _script(self, name: str, script: str, kind: str, url: str, number: int, count: int) -> None:
        command = [sys.executable, str(HERE / script), kind, url, str(self.journals), name]
        self._add(name, lambda: self._spawn([*command, str(self.seed * 100 + number), str(count)]))

    def _people(self, name: str, kind: str, number: int, count: int) -> None:
        command = [sys.executable, str(HERE / "people.py"), kind, str(self.journals), name, str(number), str(count)]
        self._add(name, lambda: self._spawn([*command, self.key, *self.urls]))

    def _light_worker(self, number: int, *, seed: int) -> None:
        name = f"light-{number}"
        state = self.folder / name
        state.mkdir()
        database = Database(self.cluster.server_url(), pool_size=1)
        with database.farm_work() as session:
            joined = workers.join(session, self._token(name), label=name, host="chaos", gpu_uuid=None, protocol=1)
        database.close()
        (state / "key").write_text(joined.key)
        command = [*self.wire.prefix, sys.executable, str(HERE / "light_worker.py"), str(state)]
        rest = [str(self.journals / f"{name}.jsonl"), str(seed), self.wire.server(number), self.wire.server(number + 1)]
        self._add(name, lambda: self._spawn([*command, *rest]))

    def _real_worker(self, number: int) -> None:
        engine, name, port = f"engine-{number}", f"worker-{number}", free_port("127.0.0.1")
        output, inputs = self.folder / engine, self.folder / f"{engine}-input"
        inputs.mkdir()
        serve = ["stand-in", "--port", str(port), "--delay", str(JOB_DELAY_S), "--output-directory", str(output)]
        stand_in = [*self.wire.prefix, sys.executable, "-m", "memoryd_cli", *serve, "--input-directory", str(inputs)]
        self._add(engine, lambda: self._spawn(stand_in))
        work = ["worker", "--server", self.wire.server(number), "--comfyui", f"http://127.0.0.1:{port}"]
        command = [
            *self.wire.prefix,
            sys.executable,
            "-m",
            "memoryd_cli",
            *work,
            "--state",
            str(self.folder / f"w{number}"),
        ]
        # A fresh token at each start: one that was killed between joining and keeping its key has used the first up.
        self._add(name, lambda: self._spawn(command, MEMORYD_JOIN_TOKEN=self._token(name)))

    def _wait_for_servers(self) -> None:
        until = time.monotonic() + 90
        for url in self.urls:
            while True:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection = http.client.HTTPConnection(url.partition("://")[2], timeout=5)
                    connection.request("GET", "/ready")
                    if connection.getresponse().status == 200:
                        break
                if time.monotonic() > until:
                    raise SystemExit(f"no server at {url}: {(self.folder / 'log').read_text()[-2000:]}")
                time.sleep(0.2)

    # --- Postgres

    def kill_postgres(self, *, backend: bool) -> None:
        """kill -9 of the whole server, which is then started again, or of one of its processes, which it survives."""
        with self.postgres_lock:
            with contextlib.suppress(OSError, psycopg.Error):
                if backend:
                    with self.sql() as connection:
                        found = connection.execute(
                            "select pid from pg_stat_activity where datname = 'memoryd' and pid <> pg_backend_pid()"
                            " and backend_type = 'client backend'"
                        ).fetchall()
                    if found:
                        os.kill(secrets.choice(found)[0], signal.SIGKILL)
                else:
                    pid = int((self.cluster.data / "postmaster.pid").read_text().split()[0])
                    os.kill(pid, signal.SIGKILL)
            self.cluster.ensure_running()

    def sql(self) -> psycopg.Connection[tuple[object, ...]]:
        """A superuser's connection to the run's database."""
        return psycopg.connect(self.cluster.superuser_url("memoryd"), autocommit=True, connect_timeout=10)

    def postgres_log(self) -> str:
        """What Postgres wrote, from its first start."""
        logs = (self.cluster.log.with_suffix(".log.1"), self.cluster.log)
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def log(self) -> str:
        """What all processes wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def close(self, *, keep: bool) -> None:
        """End everything and remove it; `keep` leaves the folder, for looking at what went wrong."""
        for part in reversed(self.parts.values()):
            with contextlib.suppress(ProcessLookupError):
                part.process.send_signal(signal.SIGCONT)
            part.kill()
        self.wire.close()
        self._log.close()
        self.cluster.destroy()
        if keep:
            print(f"journals and logs are kept in {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
