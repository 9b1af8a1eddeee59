"""`memoryd up`: everything on one machine, from an empty home to a running whole."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from memoryd.access import directory, people, projects
from memoryd.app.connecting import addresses, embedded_cluster, upgrade
from memoryd.app.serving import PortTaken, listen, reachable, require_protected
from memoryd.app.supervising import Part, Supervisor
from memoryd.dispatch import pools, workers
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.migrations import require_current, schema_states
from memoryd.foundation.settings import Settings
from memoryd.ingest.facts import Custody
from memoryd.ingest.roots import ensure_root, keep_apart

PORT_PATIENCE_S = 5.0
"""How long the port of a server that was just killed may take to come free."""

PORT_RETRY_S = 0.2


class AlreadyUp(Conflict):
    """Another `memoryd up` runs from this home."""


class NotAFolder(NotAcceptable):
    """This is no folder that can be watched."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What `memoryd up` was asked for."""

    folders: tuple[Path, ...]
    comfyui: str | None = None
    project: str = "default"
    custody: Custody = Custody.REFERENCE


def bring_up(settings: Settings, wishes: Wishes, *, say: Callable[[str], None]) -> None:
    """Start Postgres, the tables, server, follow-up work, watcher and (with a ComfyUI) a worker; keep them alive.

    Returns after Ctrl-C or SIGTERM, with everything stopped in order. Raises: NotAFolder; OpenToStrangers; TlsUnusable;
    AlreadyUp; PortTaken; SchemaBehind; DatabaseDown; RootsOverlap where a folder and memoryd's own lie in each other.
    """
    folders = [checked_folder(folder) for folder in wishes.folders]
    for folder in folders:
        keep_apart(folder, settings.home)
    require_protected(settings)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with the_only_one(settings.home):
        _bring_up(settings, wishes, folders, say)


@contextlib.contextmanager
def the_only_one(home: Path) -> Iterator[None]:
    """Hold the home for this supervisor: two would each stop Postgres under the other. Raises: AlreadyUp."""
    lock = os.open(home / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            # The kernel lets go of it with the process, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyUp(
                str(home), hint="use that one (`memoryd watch add FOLDER` adds a folder), or set another MEMORYD_HOME"
            ) from error
        yield
    finally:
        os.close(lock)


def _bring_up(settings: Settings, wishes: Wishes, folders: Sequence[Path], say: Callable[[str], None]) -> None:
    port = settings.port or free_port(settings.host)
    _require_free(settings.host, port)
    cluster = embedded_cluster(settings)
    where = addresses(settings)
    states = schema_states(where.owner)
    if not states:
        say("first start: making the tables")
        states = upgrade(settings)
    require_current(states)
    database = Database(where.server, pool_size=2)
    try:
        tenant = _tenant(database, settings.tenant)
        _remember_roots(database, tenant, folders, wishes, settings.home)
        token = _join_token(database, tenant, wishes)
    finally:
        database.close()
    supervisor = Supervisor(_parts(settings, wishes, token, port), cluster)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.stop_soon())
    for folder in folders:
        say(f"watching {folder}")
    say("Ctrl-C stops everything in order")
    supervisor.run()
    say("stopped")


def checked_folder(folder: Path) -> Path:
    """Return the folder's real, absolute path. Raises: NotAFolder."""
    real = folder.expanduser().resolve()
    if not real.is_dir():
        raise NotAFolder(f"{folder} is not a folder that can be read", hint="name the folder that ComfyUI writes to")
    return real


def _tenant(database: Database, slug: str) -> TenantScope:
    with database.farm_work() as session:
        return directory.find_tenant(session, slug)


def _remember_roots(
    database: Database, tenant: TenantScope, folders: Sequence[Path], wishes: Wishes, home: Path
) -> None:
    with database.tenant_work(tenant) as session:
        project = projects.ensure_project(session, wishes.project)
        person = people.find_person(session, people.LOCAL_LOGIN)
        for folder in folders:
            ensure_root(
                session,
                host=socket.gethostname(),
                path=folder,
                project_id=project,
                person_id=person,
                custody=wishes.custody,
                home=home,
            )


def worker_state(settings: Settings) -> Path:
    """Return the folder where this machine's worker keeps its key."""
    return settings.home / "worker"


def _join_token(database: Database, tenant: TenantScope, wishes: Wishes) -> str | None:
    if wishes.comfyui is None:
        return None
    # A fresh one at each start: a worker that has its key for this server's address does not use it, and it expires.
    with database.farm_work() as session:
        pools.ensure_defaults(session)
        return workers.make_join_token(session, pools=[DEFAULT_POOL], label=socket.gethostname(), tenants=[tenant.id])


def _require_free(host: str, port: int) -> None:
    until = time.monotonic() + PORT_PATIENCE_S
    while True:
        try:
            listen(host, port).close()
        except PortTaken:
            if time.monotonic() >= until:
                raise
            time.sleep(PORT_RETRY_S)
        else:
            return


def free_port(host: str) -> int:
    """Return a port of this address that nobody listens on now."""
    # Chosen once: a server that is started again must be found where it was.
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _parts(settings: Settings, wishes: Wishes, token: str | None, port: int) -> list[Part]:
    shared = {"MEMORYD_HOME": str(settings.home), "MEMORYD_TENANT": settings.tenant}
    parts = [
        Part(name="server", arguments=["serve"], environment={**shared, "MEMORYD_PORT": str(port)}),
        Part(name="work", arguments=["work"], environment=shared),
        Part(name="watch", arguments=["watch"], environment=shared),
    ]
    if wishes.comfyui is not None:
        server = f"{'https' if settings.tls_cert else 'http'}://{reachable(settings.host)}:{port}"
        arguments = ["worker", "--server", server, "--comfyui", wishes.comfyui, "--state", str(worker_state(settings))]
        environment = dict(shared)
        if settings.tls_cert is not None:
            environment["MEMORYD_TLS_CA"] = str(settings.tls_cert.absolute())
        if token is not None:
            # Not on the command line, where every user of the machine could read it.
            environment["MEMORYD_JOIN_TOKEN"] = token
        parts.append(Part(name="worker", arguments=arguments, environment=environment))
    return parts
