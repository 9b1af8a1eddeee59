"""Fixtures of this room: model files written by hand, a small app with this room's endpoints, people who ask."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from memoryd.access import keys, people
from memoryd.access.facts import Caller, Role, Scope
from memoryd.access.guards import Offices
from memoryd.catalog.models import endpoints as showing
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.settings import Settings
from memoryd.model_registry import endpoints
from memoryd.model_registry.facts import Observation
from memoryd.storage.blob_store import BlobStore
from memoryd.weights.describing import ModelFacts
from memoryd.weights.kinds import ModelKind
from memoryd_cli.client import Client

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

See = Callable[..., Observation]
ClientOf = Callable[..., Client]


def write_model(path: Path, *, shape: tuple[int, ...] = (1,), **metadata: str) -> Path:
    """A safetensors file with one tensor of this shape; dots in metadata's names are written as two underscores."""
    size = 2 * math.prod(shape)
    header: dict[str, Any] = {"a": {"dtype": "F16", "shape": list(shape), "data_offsets": [0, size]}}
    header["__metadata__"] = {name.replace("__", "."): value for name, value in metadata.items()}
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(size))
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A ComfyUI models folder."""
    root = tmp_path / "ComfyUI" / "models"
    write_model(root / "checkpoints" / "base.safetensors", modelspec__title="Base")
    write_model(root / "loras" / "style" / "ink.safetensors", shape=(9,), modelspec__license="CC-BY-4.0")
    (root / "loras" / "put_loras_here").touch()
    (root / "upscale_models").mkdir()
    (root / "upscale_models" / "4x.pth").write_bytes(b"a pickle")
    return root


@pytest.fixture
def see() -> See:
    """An observation of a file with this content; None could not be read."""

    def make(
        folder: str,
        path: str,
        content: bytes | None,
        *,
        mtime_ns: int = 1,
        licence: str | None = None,
        aliases: Mapping[str, str] | None = None,
        kind: ModelKind = ModelKind.UNKNOWN,
    ) -> Observation:
        facts = ModelFacts(kind=kind, base=None, stated={}, licence=licence, aliases=dict(aliases or {}), findings=())
        return Observation(
            folder=folder,
            path=path,
            size=len(content or b""),
            mtime_ns=mtime_ns,
            sha256=None if content is None else hashlib.sha256(content).digest(),
            facts=facts,
        )

    return make


@pytest.fixture
def caller(tenant: TenantScope) -> Caller:
    return Caller(tenant=tenant, name="local", scopes=frozenset(Scope), sees=None, via="local")


@pytest.fixture
def app(database: Database, tmp_path: Path) -> FastAPI:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True, mode=0o700)
    app = FastAPI()
    app.state.offices = Offices(
        settings=Settings(home=home), database=database, store=BlobStore(home / "blobs"), keys=home / "keys"
    )
    app.include_router(endpoints.router, prefix="/v1")
    app.include_router(showing.router, prefix="/v1")

    @app.exception_handler(MemorydError)
    def problem(_: Request, error: MemorydError) -> JSONResponse:
        return JSONResponse({"title": error.title, "detail": error.detail, "hint": error.hint}, error.status)

    return app


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    """Somebody from another machine without any proof."""
    with TestClient(app, base_url="https://studio.example", client=("203.0.113.7", 4711)) as client:
        yield client


@pytest.fixture
def client_of(http: TestClient, database: Database) -> ClientOf:
    """A commands' client of somebody with this role in the whole of a tenant."""

    def make(tenant: TenantScope, role: Role) -> Client:
        with database.tenant_work(tenant) as session:
            person = people.ensure_person(session, f"{role}@studio", role.value)
            people.grant_role(session, person, role)
            key = keys.make_key(session, tenant, name=role.value, scopes=frozenset(Scope) - {Scope.WORK}, person=person)
        return Client("https://studio.example", key.token, transport=http._transport)

    return make
