"""A small app with the endpoints of submission and dispatch, a person at it, and workers that speak its protocol."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from memoryd.access import endpoints as access_endpoints
from memoryd.access.guards import Offices
from memoryd.dispatch import endpoints as dispatch_endpoints
from memoryd.foundation.database import Database
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.settings import Settings
from memoryd.storage.blob_store import BlobStore
from memoryd.submission import endpoints
from memoryd.submission.grouping import endpoints as group_endpoints

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

PROTOCOL = {"Memoryd-Protocol": "1"}
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
}


@pytest.fixture
def offices(database: Database, tmp_path: Path) -> Offices:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True, mode=0o700)
    return Offices(settings=Settings(home=home), database=database, store=BlobStore(home / "blobs"), keys=home / "keys")


@pytest.fixture
def app(offices: Offices) -> FastAPI:
    app = FastAPI()
    app.state.offices = offices
    app.include_router(dispatch_endpoints.router, prefix="/v1")
    app.include_router(endpoints.router, prefix="/v1")
    app.include_router(group_endpoints.router, prefix="/v1")
    app.include_router(access_endpoints.router, prefix="/v1")

    @app.exception_handler(MemorydError)
    def problem(_: Request, error: MemorydError) -> JSONResponse:
        named = {"title": error.title, "detail": error.detail, "hint": error.hint, "kind": error.slug}
        body = {**{name: value for name, value in error.facts.items() if name not in named}, **named}
        return JSONResponse(body, error.status)

    return app


@pytest.fixture
def person(app: FastAPI) -> Iterator[TestClient]:
    """The local person of tenant `default`."""
    with TestClient(app, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 4711)) as client:
        yield client


@pytest.fixture
def other_person(app: FastAPI) -> Iterator[TestClient]:
    """The local person of tenant `other`."""
    headers = {"Memoryd-Tenant": "other"}
    with TestClient(app, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 4711), headers=headers) as client:
        yield client


@pytest.fixture
def stranger(app: FastAPI) -> Iterator[TestClient]:
    """Somebody from another machine without any proof."""
    with TestClient(app, base_url="https://studio.example", client=("203.0.113.7", 4711)) as client:
        yield client


@dataclasses.dataclass
class FarmHand:
    """A worker that speaks the protocol, without a ComfyUI."""

    http: TestClient
    key: str
    incarnation: str = dataclasses.field(default_factory=lambda: str(uuid4()))
    environment: dict[str, Any] = dataclasses.field(default_factory=lambda: {"comfyui": "0.29.0", "gpu": "none"})

    @property
    def headers(self) -> dict[str, str]:
        return {**PROTOCOL, "Authorization": f"Bearer {self.key}"}

    def say(self, path: str, **body: Any) -> Any:
        return self.http.post(f"/v1/work/{path}", json=body, headers=self.headers)

    def start(self, classes: tuple[str, ...] = ("EmptyImage", "SaveImage"), **stated: Any) -> Any:
        self.incarnation = str(uuid4())
        answer = self.say(
            "register",
            incarnation=self.incarnation,
            label="gpu",
            host="host",
            protocol=1,
            environment=self.environment,
            models=stated.get("models", []),
            nodes_sha256=stated.get("nodes_sha256", hashlib.sha256(repr(classes).encode()).hexdigest()),
            classes=list(classes),
            fetches_models=stated.get("fetches_models", False),
        )
        assert answer.status_code == 200, answer.text
        assert 0 < answer.json()["heartbeat_s"] < 10 / 3
        return answer.json()

    def claim(self) -> dict[str, Any] | None:
        answer = self.say("claim", incarnation=self.incarnation, loaded=[], wait_s=0)
        if answer.status_code == 204:
            return None
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()["job"]
        return job

    def upload(self, job: dict[str, Any], index: int, content: bytes, sha256: str | None = None) -> Any:
        named = {
            "fence": job["fence"],
            "token": job["token"],
            "sha256": sha256 or hashlib.sha256(content).hexdigest(),
        }
        path = f"/v1/work/outputs/{job['job_id']}/{index}"
        return self.http.put(path, params=named, content=content, headers=self.headers)

    def report(self, job: dict[str, Any], *contents: bytes, **changes: Any) -> Any:
        outputs = [
            {
                "index": index,
                "node": "2",
                "output": "images",
                "batch_index": index,
                "filename": f"made_{index:05}_.png",
                "subfolder": "",
                "type": "output",
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "media_type": "image/png",
            }
            for index, content in enumerate(contents)
        ]
        spelled = json.dumps(self.environment, sort_keys=True, separators=(",", ":"))
        body = {
            "job_id": job["job_id"],
            "fence": job["fence"],
            "token": job["token"],
            "outcome": "ok",
            "prompt_id": str(uuid4()),
            "started_at": "2026-11-21T12:00:00Z",
            "ended_at": "2026-11-21T12:00:09Z",
            "cached_nodes": [],
            "outputs": outputs,
            "environment_sha256": hashlib.sha256(spelled.encode()).hexdigest(),
        }
        return self.say("complete", **{**body, **changes})


@pytest.fixture
def join(stranger: TestClient, person: TestClient) -> Callable[..., FarmHand]:
    """Let a worker join as its command does, from another machine."""

    def joining(inviting: TestClient = person, pool: str = "default", **stated: Any) -> FarmHand:
        invited = inviting.post("/v1/workers", json={"pool": pool})
        assert invited.status_code == 201, invited.text
        asked = {"token": invited.json()["token"], "label": "gpu", "host": "host", "protocol": 1}
        joined = stranger.post("/v1/work/join", json=asked, headers=PROTOCOL)
        assert joined.status_code == 200, joined.text
        hand = FarmHand(stranger, joined.json()["key"])
        hand.start(**stated)
        return hand

    return joining
