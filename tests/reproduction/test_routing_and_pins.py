"""Two machines with different environments, real workers on both: where a picture is made again, and with which weights."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.access.facts import Role
from memoryd.dispatch import tending
from memoryd.foundation.database import Database
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.worker import model_hashing
from memoryd.worker.agent import Agent
from memoryd.worker.agent import Options as WorkerOptions
from memoryd.worker.stopping import Stopping
from tests.reproduction.studio import PATIENCE_S, Studio, _serving, studio

__all__ = ["studio"]

NAME = "fox.safetensors"


def put(path: Path, content: bytes) -> Path:
    """A file that has not been touched for a while."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def graph(name: str = NAME, seed: int = 7) -> dict[str, Any]:
    inputs: dict[str, Any] = {"seed": seed, "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal"}
    inputs |= {"denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "fox", "clip": ["4", 1]}},
        "3": {"class_type": "KSampler", "inputs": inputs},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "p", "images": ["8", 0]}},
    }


@dataclasses.dataclass
class House:
    """A server, and machines that work for it."""

    studio: Studio
    http: httpx.Client
    url: str
    place: Path

    def tend(self) -> None:
        """What the leader and the follow-up work do."""
        tending.tend_once(self.studio.offices.database)
        self.studio.do_chores()

    def until(self, done: Any) -> None:
        until = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < until, self.http.get("/jobs").json()
            self.tend()
            time.sleep(0.05)

    def worker(self, label: str) -> dict[str, Any]:
        for one in self.http.get("/workers").json()["items"]:
            if one["label"] == label:
                found: dict[str, Any] = one
                return found
        raise AssertionError(label)

    @contextlib.contextmanager
    def machine(self, label: str, *flags: str, models: Path | None = None) -> Iterator[Path]:
        """A machine with a folder of models and launch flags of its own."""
        folder = models or self.place / label / "models"
        if not (folder / "checkpoints").exists():
            put(folder / "checkpoints" / NAME, b"the weights of then")
        token = self.http.post("/workers", json={"label": label}).json()["token"]
        home = self.place / label
        engine = EngineOptions(
            output=home / "output", input=home / "input", models=folder, argv=("main.py", "--cpu", *flags)
        )
        stopping = Stopping()
        with running(engine) as engine_url:
            options = WorkerOptions(
                server=self.url, comfyui=engine_url, state=home / "worker", token=token, claim_wait_s=0.5
            )
            thread = threading.Thread(target=Agent(options, stopping).run, daemon=True)
            thread.start()
            try:
                self.until(lambda: self.hashed(label))
                yield folder / "checkpoints"
            finally:
                stopping.ask()
                thread.join()

    def hashed(self, label: str) -> bool:
        if not any(one["label"] == label for one in self.http.get("/workers").json()["items"]):
            return False
        worker = self.worker(label)
        models = self.http.get(f"/workers/{worker['id']}/models").json()["items"]
        return bool(models) and all(model["sha256"] for model in models)

    def make(self, **changes: Any) -> str:
        """Make a picture by an ordinary job; return the asset's hash."""
        job = self.http.post("/jobs", json={"graph": graph(), **changes}).raise_for_status().json()
        self.until(lambda: self.http.get(f"/jobs/{job['id']}").json()["state"] in ("succeeded", "dead"))
        shown = self.http.get(f"/jobs/{job['id']}").json()
        assert shown["state"] == "succeeded", shown
        sha256: str = shown["result"]["outputs"][0]["sha256"]
        return sha256

    def again(self, asset: str, **wish: Any) -> tuple[dict[str, Any], str | None]:
        """Make it again; return the attempt, and which worker ran it."""
        made = self.http.post(f"/assets/{asset}/reproductions", json=wish)
        assert made.status_code == 202, made.text
        found = [made.json()]

        def decided() -> bool:
            found[0] = self.http.get(f"/reproductions/{made.json()['id']}").json()
            return bool(found[0]["state"] == "decided")

        self.until(decided)
        attempt = found[0]
        if attempt["job_id"] is None:
            return attempt, None
        job = self.http.get(f"/jobs/{attempt['job_id']}").json()
        return attempt, (job["result"] or {}).get("worker")


@pytest.fixture
def house(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A server without machines."""
    monkeypatch.setattr(model_hashing, "TELL_EVERY_S", 0.0)
    with _serving(studio.offices) as url, httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as http:
        yield House(studio=studio, http=http, url=url, place=tmp_path / "machines")


def codes(attempt: dict[str, Any]) -> list[str]:
    return [cause["code"] for cause in attempt["causes"]]


def test_the_worker_with_the_nearest_environment_makes_it_and_another_when_that_one_drains(house: House) -> None:
    with house.machine("gpu-1", "--fp16-unet"):
        asset = house.make()
        with house.machine("gpu-2", "--fp32-unet"):
            for _ in range(3):
                attempt, by = house.again(asset)
                assert (attempt["verdict"], by) == ("identical file", "gpu-1"), attempt
            attempt, by = house.again(asset, require="identical-environment")
            assert (attempt["verdict"], by) == ("identical file", "gpu-1")
            other = house.worker("gpu-2")["id"]
            attempt, by = house.again(asset, worker=other)
            assert (attempt["verdict"], by) == ("identical file", "gpu-2")
            attempt, by = house.again(asset, worker=other, require="identical-environment")
            assert (attempt["verdict"], codes(attempt), by) == ("not attempted", ["environment-not-here"], None)
            assert "fp32-unet" in attempt["causes"][0]["detail"]
            house.http.post(f"/workers/{house.worker('gpu-1')['id']}/drain").raise_for_status()
            attempt, by = house.again(asset)
            assert by == "gpu-2"
            attempt, _ = house.again(asset, require="identical-environment")
            assert (attempt["verdict"], codes(attempt)) == ("not attempted", ["worker-not-there"])


def test_weights_that_changed_under_their_name_are_refused_and_those_of_another_name_are_linked(house: House) -> None:
    with house.machine("gpu-1") as checkpoints:
        asset = house.make()
        # Renamed into another folder: it is linked for the run, and nothing is left of that.
        (checkpoints / "archive").mkdir()
        (checkpoints / NAME).rename(checkpoints / "archive" / "renamed.safetensors")
        attempt, _ = house.again(asset)
        assert attempt["verdict"] == "identical file", attempt
        assert sorted(path.name for path in checkpoints.rglob("*")) == ["archive", "renamed.safetensors"]
        # Another file under the name: refused by the worker, since the server does not know of it yet ...
        put(checkpoints / NAME, b"other weights")
        attempt, by = house.again(asset)
        assert (attempt["verdict"], codes(attempt), by) == ("not attempted", ["model-drifted"], None), attempt["causes"]
        assert attempt["job_id"] is not None
        # ... and then by the plan, before anything runs.
        house.until(lambda: house.again(asset)[0]["job_id"] is None)
        attempt, _ = house.again(asset)
        assert (attempt["verdict"], codes(attempt)) == ("not attempted", ["model-drifted"])
        # An ordinary job runs with what is there, and remembers that.
        changed = house.make()
        assert changed != asset
        attempt, _ = house.again(changed)
        assert attempt["verdict"] == "identical file", attempt


def test_a_job_is_made_again_by_the_worker_that_still_has_its_weights(house: House) -> None:
    with house.machine("gpu-1") as mine, house.machine("gpu-2") as theirs:
        asset = house.make()
        for checkpoints, label in ((mine, "gpu-2"), (theirs, None)):
            put(checkpoints / NAME, b"other weights")
            attempt, by = house.again(asset)
            if label is not None:
                assert (attempt["verdict"], by) in (("identical file", label), ("identical file", "gpu-1")), attempt
            else:
                assert (attempt["verdict"], codes(attempt)) == ("not attempted", ["model-drifted"]), attempt


def test_another_studios_worker_is_not_there_to_be_asked_for(house: House, database: Database) -> None:
    with house.machine("gpu-1"):
        asset = house.make()
        theirs = house.studio.key(Role.ADMIN, tenant=house.studio.other_tenant)
        worker = house.worker("gpu-1")["id"]
        with house.studio.speaking() as client:
            wish = {"worker": worker}
            path = f"/v1/assets/{asset}/reproductions"
            assert client.post(path, json=wish).status_code == 401
            assert client.post(path, json=wish, headers=theirs).status_code == 404
            wrong = {"require": "something else"}
            assert client.post(path, json=wrong, headers=house.studio.key(Role.ADMIN)).status_code == 422
