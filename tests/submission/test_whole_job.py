"""One job through the real server, the real worker and the stand-in engine."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from memoryd.access.guards import Offices
from memoryd.dispatch import leases
from memoryd.dispatch.facts import Completion, Grant
from memoryd.foundation.database import TenantScope
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.worker.agent import Agent, Options
from memoryd.worker.stopping import Stopping

EMPTY = {"width": 64, "height": 64, "batch_size": 2, "color": 255}
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": EMPTY},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "whole/job"}},
}
PATIENCE_S = 30


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    """The server's address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


@contextlib.contextmanager
def working(options: Options) -> Iterator[None]:
    stopping = Stopping()
    thread = threading.Thread(target=Agent(options, stopping).run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.ask()
        thread.join()


def until_ended(http: httpx.Client, job_id: str) -> dict[str, object]:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        job: dict[str, object] = http.get(f"/jobs/{job_id}").json()
        if job["state"] in ("succeeded", "dead", "cancelled"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"job {job_id} did not end: {job}")


def test_a_submitted_graph_becomes_pictures_that_are_remembered(
    url: str, offices: Offices, tenant: TenantScope, tmp_path: Path
) -> None:
    engine = EngineOptions(output=tmp_path / "output", input=tmp_path / "input")
    with running(engine) as engine_url, httpx.Client(base_url=f"{url}/v1", trust_env=False) as http:
        token = http.post("/workers", json={"label": "rack"}).json()["token"]
        options = Options(
            server=url, comfyui=engine_url, state=tmp_path / "worker", token=token, label="rack", claim_wait_s=1
        )
        asked = {
            "graph": json.dumps(GRAPH),
            "extra_data": {"extra_pnginfo": {"workflow": {"nodes": []}}},
            "name": "whole",
        }
        first = http.post("/jobs", json=asked).json()["id"]
        with working(options):
            job = until_ended(http, first)
            assert job["state"] == "succeeded", job
            again = until_ended(http, http.post("/jobs", json={**asked, "recompute": True}).json()["id"])
            assert again["state"] == "succeeded", again
    made, remade = job["result"], again["result"]
    assert isinstance(made, dict)
    assert isinstance(remade, dict)
    assert [output["batch_index"] for output in made["outputs"]] == [0, 1]
    assert remade["cached_nodes"] == []
    assert [output["sha256"] for output in remade["outputs"]] == [output["sha256"] for output in made["outputs"]]
    written = sorted((offices.home / "outputs" / "default").rglob("*.png"))
    assert len(written) == 4
    with offices.database.tenant_work(tenant) as session:
        runs = session.execute(text("select run_key, origin from generation order by id")).all()
        assert [tuple(run) for run in runs] == [(f"job:{one['id']}", "job") for one in (job, again)]
        keys = session.execute(text("select distinct kind from document order by 1")).scalars().all()
        assert keys == ["prompt", "workflow"]


def test_a_worker_gets_its_next_jobs_with_its_reports(
    url: str, offices: Offices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[Grant | None] = []
    real = leases.complete_and_claim

    def noted(*args: Any, **named: Any) -> tuple[Completion, Grant | None]:
        answer, grant = real(*args, **named)
        brought.append(grant)
        return answer, grant

    monkeypatch.setattr(leases, "complete_and_claim", noted)
    engine = EngineOptions(output=tmp_path / "output", input=tmp_path / "input")
    with running(engine) as engine_url, httpx.Client(base_url=f"{url}/v1", trust_env=False) as http:
        token = http.post("/workers", json={"label": "rack"}).json()["token"]
        options = Options(
            server=url, comfyui=engine_url, state=tmp_path / "worker", token=token, label="rack", claim_wait_s=1
        )
        graphs = [{**GRAPH, "1": {"class_type": "EmptyImage", "inputs": {**EMPTY, "color": n}}} for n in range(3)]
        asked = [http.post("/jobs", json={"graph": json.dumps(graph)}).json()["id"] for graph in graphs]
        with working(options):
            ends = [until_ended(http, job_id)["state"] for job_id in asked]
    assert ends == ["succeeded"] * 3
    assert [grant and str(grant.job_id) for grant in brought] == [*asked[1:], None]
