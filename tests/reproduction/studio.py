"""The real application over a clone, with pictures taken in, and what a person, a worker and the follow-up work do."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import State

from memoryd.access import keys, people, projects
from memoryd.access.facts import Role, Scope
from memoryd.access.guards import Offices
from memoryd.app.handlers import HANDLERS, HandlerContext
from memoryd.app.http import make_app
from memoryd.dispatch import chores
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.settings import Settings
from memoryd.ingest.backlog import Wish, ingest_paths, plan
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.storage.blob_store import BlobStore
from memoryd.worker.agent import Agent
from memoryd.worker.agent import Options as WorkerOptions
from memoryd.worker.stopping import Stopping

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

PATIENCE_S = 60.0


@dataclasses.dataclass
class Studio:
    """An application with some pictures in it."""

    offices: Offices
    store: BlobStore
    tenant: TenantScope
    other_tenant: TenantScope
    folder: Path
    files: Path

    def take_in(self, *names: str, project: str = "default") -> None:
        """Record pictures of a real ComfyUI by their fixture names."""
        for name in names:
            shutil.copyfile(self.files / "comfyui" / "images" / name, self.folder / name)
        self.record(*names, project=project)

    def record(self, *names: str, project: str = "default") -> None:
        """Record files of the folder."""
        with self.offices.database.tenant_work(self.tenant) as session:
            owner = projects.ensure_project(session, project)
        wish = Wish(paths=tuple(self.folder / name for name in names), project_id=owner)
        ingest_paths(
            self.offices.database, self.tenant, self.store, plan(self.offices.database, self.tenant, self.store, wish)
        )

    def do_chores(self) -> None:
        """Do all follow-up work now."""
        context = HandlerContext(
            database=self.offices.database, store=self.store, tenant=self.tenant, keys=self.offices.keys
        )
        while True:
            with self.offices.database.farm_work() as session:
                chore = chores.claim(session, kinds=sorted(HANDLERS))
            if chore is None:
                return
            HANDLERS[chore.kind](context, chore)
            with self.offices.database.farm_work() as session:
                chores.finish(session, chore)

    def key(self, role: Role, *, project: str | None = None, tenant: TenantScope | None = None) -> dict[str, str]:
        """The headers of a person with this role."""
        scope = tenant or self.tenant
        with self.offices.database.tenant_work(scope) as session:
            person = people.ensure_person(session, f"{role}-{project or 'all'}", "Somebody")
            people.grant_role(session, person, role, projects.ensure_project(session, project) if project else None)
            scopes = frozenset(Scope) - {Scope.WORK}
            made = keys.make_key(session, scope, name="test", scopes=scopes, person=person)
        return {"Authorization": f"Bearer {made.token}"}

    @contextlib.contextmanager
    def speaking(self) -> Iterator[TestClient]:
        """A client without credentials from another machine."""
        with (
            application(self.offices) as app,
            TestClient(app, base_url="https://studio.example", client=("203.0.113.7", 4711)) as client,
        ):
            yield client

    @contextlib.contextmanager
    def farm(
        self, place: Path, *, noisy: bool = False, models: Path | None = None
    ) -> Iterator[Callable[[str], dict[str, Any]]]:
        """A server, a worker and the stand-in engine; yields a function that makes an asset again and tells the verdict."""
        with _serving(self.offices) as url, httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as http:
            engine = EngineOptions(output=place / "output", input=place / "input", noisy=noisy, models=models)
            with running(engine) as engine_url, _working(http, url, engine_url, place):

                def verdict(sha256: str) -> dict[str, Any]:
                    made = http.post(f"/assets/{sha256}/reproductions", json={})
                    assert made.status_code == 202, made.text
                    until = time.monotonic() + PATIENCE_S
                    attempt: dict[str, Any] = made.json()
                    while attempt["state"] != "decided":
                        assert time.monotonic() < until, attempt
                        self.do_chores()
                        time.sleep(0.05)
                        attempt = http.get(f"/reproductions/{attempt['id']}").json()
                    return attempt

                yield verdict


_free: list[FastAPI] = []


@contextlib.contextmanager
def application(offices: Offices) -> Iterator[FastAPI]:
    """The application over these offices: one that another test is done with, since a new one reads 400 routes first."""
    app = _free.pop() if _free else make_app(offices)
    app.state = State({"offices": offices})
    yield app
    _free.append(app)


@contextlib.contextmanager
def _serving(offices: Offices) -> Iterator[str]:
    with application(offices) as app:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            listener.close()


@contextlib.contextmanager
def _working(http: httpx.Client, url: str, engine: str, place: Path) -> Iterator[None]:
    token = http.post("/workers", json={}).json()["token"]
    stopping = Stopping()
    options = WorkerOptions(server=url, comfyui=engine, state=place / "worker", token=token, claim_wait_s=1)
    thread = threading.Thread(target=Agent(options, stopping).run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + PATIENCE_S
        while not any(worker["models"] for worker in http.get("/workers").json()["items"]):
            assert time.monotonic() < until, "the worker did not register"
            time.sleep(0.05)
        yield
    finally:
        stopping.ask()
        thread.join()


@pytest.fixture
def studio(database: Database, tenant: TenantScope, other_tenant: TenantScope, tmp_path: Path, files: Path) -> Studio:
    """An application over a database of its own; empty."""
    home, folder = tmp_path / "home", tmp_path / "pictures"
    (home / "keys").mkdir(parents=True, mode=0o700)
    folder.mkdir()
    store = BlobStore(home / "blobs")
    offices = Offices(settings=Settings(home=home), database=database, store=store, keys=home / "keys")
    return Studio(
        offices=offices, store=store, tenant=tenant, other_tenant=other_tenant, folder=folder.resolve(), files=files
    )
