"""Second runs between two machines: which difference it is that makes another picture."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.stand_in.playing import Machine
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from tests.reproduction.painting import GRAPH
from tests.reproduction.studio import PATIENCE_S, Studio, _serving, _working, studio

__all__ = ["studio"]


@pytest.fixture
def until(studio: Studio) -> Callable[[Callable[[], Any]], Any]:
    """Do the follow-up work until something is there."""

    def wait(look: Callable[[], Any]) -> Any:
        patience = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < patience
            studio.do_chores()
            time.sleep(0.05)
        return found

    return wait


@contextlib.contextmanager
def machine(http: httpx.Client, url: str, place: Path, plays: Machine) -> Iterator[str]:
    """A machine, and its worker; yields the worker's id."""
    place.mkdir()
    known = {worker["id"] for worker in http.get("/workers").json()["items"]}
    engine = EngineOptions(output=place / "output", input=place / "input", plays=plays)
    with running(engine) as engine_url, _working(http, url, engine_url, place):
        patience = time.monotonic() + PATIENCE_S
        while True:
            new = [w for w in http.get("/workers").json()["items"] if w["id"] not in known and w["models"]]
            if new:
                break
            assert time.monotonic() < patience
            time.sleep(0.05)
        yield str(new[0]["id"])


def test_the_other_worker_shows_that_it_is_the_other_torch(
    studio: Studio, tmp_path: Path, until: Callable[[Callable[[], Any]], Any]
) -> None:
    with (
        _serving(studio.offices) as url,
        httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as http,
        machine(http, url, tmp_path / "old", Machine(torch="2.8.0")),
    ):
        job = http.post("/jobs", json={"graph": GRAPH}).json()["id"]
        made = until(lambda: http.get(f"/jobs/{job}").json()["result"])
        sha256 = made["outputs"][0]["sha256"]
        with machine(http, url, tmp_path / "new", Machine(torch="2.9.0")) as new:
            asked = http.post(f"/assets/{sha256}/reproductions", json={"worker": new}).json()

            def over() -> Any:
                now = http.get(f"/reproductions/{asked['id']}").json()
                return now if now["state"] == "decided" and now["testing"] in ("over", "off") else None

            now = until(over)
    assert now["worker_id"] == new
    assert now["verdict"] not in ("identical file", "identical pixels", "not attempted"), now
    runs = {run["purpose"]: run for run in now["second_runs"]}
    assert set(runs) == {"repeat", "other-worker"}
    assert runs["repeat"]["measures"]["as_first"] is True
    assert runs["other-worker"]["verdict"] == "identical file"
    first = now["causes"][0]
    assert (first["code"], first["name"], first["then"], first["now"]) == (
        "environment-differs",
        "torch",
        "2.8.0",
        "2.9.0",
    )
    assert (first["tested"]["by"], first["tested"]["holds"]) == ("other-worker", True)
