"""The real application on a free port, a studio of real pictures in it, and a real browser in front."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from memoryd.access import keys, people, projects
from memoryd.access.facts import Role, Scope
from memoryd.access.guards import Offices
from memoryd.app.handlers import HANDLERS, HandlerContext
from memoryd.app.http import make_app
from memoryd.catalog.looking_up import find_asset
from memoryd.dispatch import chores, telling
from memoryd.events import relay
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.ids import AssetId, ProjectId
from memoryd.foundation.settings import Settings
from memoryd.ingest.backlog import Wish, ingest_paths, plan
from memoryd.ingest.facts import Custody
from memoryd.ingest.roots import ensure_root, this_host
from memoryd.storage.blob_store import BlobStore
from tests.conftest import TEMPLATE

PICTURES = (
    "txt2img_basic.png",
    "txt2img_seed_u64max.png",
    "txt2img_lora.png",
    "img2img_from_output_annotated.png",
    "modelfree_blend_invert.png",
    "no_metadata.png",
)
"""Those of project `default`; what a test adds is of other projects."""

WINDOWS_ALIAS = "Z:\\renders"
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 20_000
"""How long a page may take to show what a test waits for."""

expect.set_options(timeout=PATIENCE_MS)


@dataclasses.dataclass(frozen=True)
class Studio:
    """A running server over a tenant's memory."""

    url: str
    offices: Offices
    tenant: TenantScope
    folder: Path
    project_id: ProjectId

    @property
    def database(self) -> Database:
        """The server's own."""
        return self.offices.database

    @property
    def store(self) -> BlobStore:
        """The server's own."""
        assert isinstance(self.offices.store, BlobStore)
        return self.offices.store

    def take_in(self, *paths: Path, project: str = "default", custody: Custody = Custody.REFERENCE) -> None:
        """Record files as `memoryd ingest` does, and do the follow-up work."""
        with self.database.tenant_work(self.tenant) as session:
            owner = projects.ensure_project(session, project)
        wish = Wish(paths=paths, project_id=owner, custody=custody)
        planned = plan(self.database, self.tenant, self.store, wish)
        ingest_paths(self.database, self.tenant, self.store, planned)
        self.do_chores()

    def do_chores(self) -> None:
        """Do all follow-up work now."""
        context = HandlerContext(database=self.database, store=self.store, tenant=self.tenant, keys=self.offices.keys)
        while True:
            with self.database.farm_work() as session:
                chore = chores.claim(session, kinds=sorted(HANDLERS))
            if chore is None:
                return
            HANDLERS[chore.kind](context, chore)
            with self.database.farm_work() as session:
                chores.finish(session, chore)

    def asset(self, path: Path | str) -> AssetId:
        """The asset at a path; a bare name is one of the studio's folder."""
        with self.database.tenant_work(self.tenant) as session:
            return find_asset(session, str(self.folder / path), None)

    def page(self, path: Path | str) -> str:
        """The address of an asset's page."""
        return f"{self.url}/assets/{self.asset(path)}"


def offices_over(database: Database, home: Path, *, local_person: bool = True) -> Offices:
    (home / "keys").mkdir(parents=True, mode=0o700, exist_ok=True)
    settings = Settings(home=home, local_person=local_person)
    return Offices(settings=settings, database=database, store=BlobStore(home / "blobs"), keys=home / "keys")


@contextlib.contextmanager
def serving(offices: Offices) -> Iterator[str]:
    """Run the whole application on loopback; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(make_app(offices), log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextlib.contextmanager
def relaying(offices: Offices) -> Iterator[None]:
    """Tell what happens, as `memoryd work` does."""
    stop = threading.Event()
    kept = {"carry": telling.carry}
    args = (offices.database, offices.keys, stop)
    thread = threading.Thread(target=relay.keep_sealing, args=args, kwargs=kept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="session")
def studio_database(cluster: Cluster) -> Iterator[Database]:
    """A clone for all tests of pages: the studio is filled once, and tests change different pictures of it."""
    name = f"web_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
        connection.execute(f"create database {name} template {TEMPLATE} owner memoryd_owner strategy file_copy")
    own = Database(cluster.server_url(name))
    yield own
    own.close()
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def studio(
    studio_database: Database, tenant: TenantScope, files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Studio]:
    """A server with a watched folder of real pictures, all follow-up work done."""
    place = tmp_path_factory.mktemp("studio").resolve()
    folder = place / "output"
    folder.mkdir()
    for name in PICTURES:
        shutil.copy(files / "comfyui" / "images" / name, folder / name)
    offices = offices_over(studio_database, place / "home")
    with studio_database.tenant_work(tenant) as session:
        project = projects.ensure_project(session, "default")
        ensure_root(
            session,
            host=this_host(),
            path=folder,
            project_id=project,
            custody=Custody.KEEP,
            aliases={"edit-07": WINDOWS_ALIAS},
        )
    with serving(offices) as url, relaying(offices):
        running = Studio(url=url, offices=offices, tenant=tenant, folder=folder, project_id=project)
        running.take_in(folder)
        yield running


Known = Callable[[TenantScope, Role, str | None], dict[str, str]]


@pytest.fixture
def key_of(studio: Studio) -> Known:
    """Return the headers of somebody's key: `key_of(tenant, Role.ARTIST, "fox")`; without a project, of the tenant."""

    def known(tenant: TenantScope, role: Role, project: str | None) -> dict[str, str]:
        login = f"{role}-{project}"
        with studio.database.tenant_work(tenant) as session:
            person = people.ensure_person(session, login, login)
            owner = projects.ensure_project(session, project) if project else None
            people.grant_role(session, person, role, owner)
            scopes = frozenset(Scope) - {Scope.WORK}
            key = keys.make_key(session, tenant, name=login, scopes=scopes, person=person)
        return {"Authorization": f"Bearer {key.token}"}

    return known


@pytest.fixture
def http(studio: Studio) -> Iterator[httpx.Client]:
    """The local person without a browser."""
    with httpx.Client(base_url=studio.url, headers={"Accept": "text/html"}, trust_env=False) as client:
        yield client


@pytest.fixture
def stranger(studio: Studio) -> Iterator[httpx.Client]:
    """Somebody behind a proxy that nobody named: no local person."""
    headers = {"Accept": "text/html", "X-Forwarded-For": "203.0.113.7"}
    with httpx.Client(base_url=studio.url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's headless Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no browser here: `apt-get install chromium` makes the tests of the pages run")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(BROWSER_ARGUMENTS))
        yield browser
        browser.close()


@dataclasses.dataclass
class Watched:
    """A tab, and what it complained about."""

    page: Page
    alarms: list[str]


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile."""
    fresh = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    fresh.set_default_timeout(PATIENCE_MS)
    yield fresh
    fresh.close()


@pytest.fixture
def watched(context: BrowserContext) -> Watched:
    """A tab whose dialogs, script errors and complaints about the content security policy are kept."""
    page = context.new_page()
    alarms: list[str] = []

    def dialog(opened: object) -> None:
        alarms.append(f"dialog: {opened}")
        opened.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", dialog)
    page.on("pageerror", lambda error: alarms.append(f"script: {error}"))
    page.on("console", lambda message: alarms.append(f"console: {message.text}") if message.type == "error" else None)
    return Watched(page, alarms)


@pytest.fixture
def tab(watched: Watched) -> Iterator[Page]:
    """A tab that must not complain."""
    yield watched.page
    assert watched.alarms == []
