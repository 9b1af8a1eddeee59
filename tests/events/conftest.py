"""Fixtures of this room: a small app with its endpoints, and a receiver that is a real server."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from memoryd.access import keys, people
from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.access.roles import PEOPLES_SCOPES
from memoryd.events import endpoints
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.settings import Settings

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    app = FastAPI()
    app.state.offices = Offices(
        settings=Settings(home=tmp_path),
        database=database,
        store=None,  # type: ignore[arg-type]
        keys=tmp_path,
    )
    app.include_router(endpoints.router)
    app.add_exception_handler(
        MemorydError, lambda _, error: JSONResponse({"detail": str(error)}, getattr(error, "status", 500))
    )
    with TestClient(app, client=("203.0.113.7", 4711)) as client:
        yield client


def key_of(database: Database, tenant: TenantScope, login: str, role: Role = Role.VIEWER) -> dict[str, str]:
    """The headers of a person with this role."""
    with database.tenant_work(tenant) as session:
        person = people.ensure_person(session, login, login)
        people.grant_role(session, person, role)
        made = keys.make_key(session, tenant, name="k", scopes=PEOPLES_SCOPES, person=person)
    return {"Authorization": f"Bearer {made.token}"}


@dataclasses.dataclass
class Receiver:
    """A server that takes what it is sent, and answers as it is told: one status after the other, then 200."""

    url: str
    answers: list[int] = dataclasses.field(default_factory=list)
    heard: list[tuple[str, dict[str, str], bytes]] = dataclasses.field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    heard = Receiver(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            heard.heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = heard.answers.pop(0) if heard.answers else 200
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    heard.url = f"http://127.0.0.1:{server.server_address[1]}/hook?to=studio"
    yield heard
    server.shutdown()
    thread.join()
    server.server_close()
