"""A small studio for the tests of what stands on the memory: an app with some routers, and recorded pictures."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from memoryd.access.facts import Caller
from memoryd.access.guards import Offices
from memoryd.foundation.database import Database
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.settings import Settings
from memoryd.ingest.facts import Folder
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.storage.blob_store import BlobStore

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


def take_in(database: Database, caller: Caller, fixtures: Path, folder: Path, *names: str) -> dict[str, Path]:
    """Record pictures of the fixtures, copied into a folder; return where they lie."""
    folder.mkdir(exist_ok=True)
    home = folder.resolve()
    paths = {name: Path(shutil.copy2(fixtures / "images" / f"{name}.png", home)) for name in names}
    prepared = prepare_here(Folder(path=home), list(paths.values()))
    with database.tenant_work(caller.tenant) as session:
        record(session, prepared, scope=caller.tenant, caller=caller)
    return paths


def offices(database: Database, home: Path) -> Offices:
    """What a server would hold open."""
    (home / "keys").mkdir(parents=True, mode=0o700, exist_ok=True)
    return Offices(settings=Settings(home=home), database=database, store=BlobStore(home), keys=home / "keys")


def client(held: Offices, *routers: APIRouter, local: bool) -> TestClient:
    """A client of an app with these routers: the local person, or a stranger from another machine."""
    app = FastAPI()
    app.state.offices = held
    for router in routers:
        app.include_router(router, prefix="/v1")

    @app.exception_handler(MemorydError)
    def problem(_: Request, error: MemorydError) -> JSONResponse:
        return JSONResponse({"detail": error.detail, "hint": error.hint, "kind": error.slug}, error.status)

    if local:
        return TestClient(app, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 4711))
    return TestClient(app, base_url="https://studio.example", client=("203.0.113.7", 4711))


__all__ = ["TestClient", "client", "offices", "take_in"]
