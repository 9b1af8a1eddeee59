"""What cannot be made again, and workers that die in the middle: the reason is said, or it is tried again."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sqlalchemy import text

from memoryd.dispatch import tending
from memoryd.foundation.database import Database
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from tests.reproduction.studio import PATIENCE_S, Studio, _serving, studio

__all__ = ["studio"]

CHECKPOINT = "memoryd-stand-in-no-real-model.safetensors"
LONG_AGO = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
STUCK_S = 4.0
"""Seconds of the first node of a run that is killed in the middle."""


def graph(**changes: Any) -> dict[str, Any]:
    """A graph that the stand-in runs; `changes` by node replace or (None) remove."""
    sampling = {"seed": 7, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["2", 0], "positive": ["3", 0], "negative": ["3", 0], "latent_image": ["1", 0]}
    nodes = {
        "1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 1], "text": "a fox"}},
        "4": {"class_type": "KSampler", "inputs": sampling | links},
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["2", 2]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "fox"}},
    }
    return {key: node for key, node in {**nodes, **changes}.items() if node is not None}


def loads(name: str, **known: Any) -> dict[str, Any]:
    """A graph that reads a file; `known` is what ComfyUI wrote into its node."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}, **known},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "p"}},
    }


GONE = {"ckpt_name": "gone.safetensors"}
BAD: dict[str, tuple[str | None, str]] = {
    "no graph": (None, "no-graph"),
    "no JSON": ('{"1": {"class', "graph-unreadable"),
    "an empty graph": ("{}", "graph-unreadable"),
    "a class nobody has": (json.dumps(graph(**{"5": {"class_type": "Nobody's", "inputs": {}}})), "class-missing"),
    "weights nobody has": (
        json.dumps(graph(**{"2": {"class_type": "CheckpointLoaderSimple", "inputs": GONE}})),
        "model-missing",
    ),
    "an input nobody kept": (json.dumps(loads("a.png", is_changed=["ab" * 32])), "input-missing"),
    "an input that nobody knows": (json.dumps(loads("a.png")), "input-unknown"),
    "a cycle": (
        json.dumps(graph(**{"1": {"class_type": "VAEEncode", "inputs": {"pixels": ["5", 0], "vae": ["2", 2]}}})),
        "",
    ),
    "a link to nothing": (json.dumps(graph(**{"2": None})), ""),
    "a value of another kind": (
        json.dumps(graph(**{"1": {"class_type": "EmptyLatentImage", "inputs": {"width": "x"}}})),
        "",
    ),
    "nothing is saved": (json.dumps(graph(**{"6": None})), ""),
}
"""By what is wrong: the prompt chunk (None: there is none), and the code of the reason where it is one of this product's."""


def png(prompt: str | None, number: int) -> bytes:
    told = PngInfo()
    if prompt is not None:
        told.add_text("prompt", prompt)
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (number, 3, 7)).save(out, "PNG", pnginfo=told)
    return out.getvalue()


@dataclasses.dataclass
class House:
    """A server, and workers as processes that can be killed, each with an engine."""

    studio: Studio
    database: Database
    http: httpx.Client
    url: str
    place: Path
    engines: contextlib.ExitStack
    engine: str = ""
    workers: list[subprocess.Popen[bytes]] = dataclasses.field(default_factory=list)

    def until(self, look: Callable[[], Any]) -> Any:
        """Tend and do the follow-up work until something is there."""
        patience = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < patience, [list(job.items()) for job in self.http.get("/jobs").json()["items"]]
            tending.tend_once(self.database)
            self.studio.do_chores()
            time.sleep(0.05)
        return found

    def hire(self, *, slow: bool = False) -> subprocess.Popen[bytes]:
        """Start a worker's process, and wait until it is online; `slow`: its first run will last."""
        known = sum(worker["online"] for worker in self.http.get("/workers").json()["items"])
        name = f"worker-{len(self.workers)}"
        engine = EngineOptions(output=self.place / name / "output", input=self.place / name / "input")
        self.engine = self.engines.enter_context(running(engine))
        if slow:
            self.slow_down()
        token = self.http.post("/workers", json={"label": name}).json()["token"]
        command = [
            "worker",
            "--server",
            self.url,
            "--comfyui",
            self.engine,
            "--state",
            str(self.place / name / "state"),
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "memoryd_cli", *command],
            env={**os.environ, "MEMORYD_JOIN_TOKEN": token, "MEMORYD_LOG_LEVEL": "ERROR"},
            stdout=subprocess.DEVNULL,
        )
        self.workers.append(process)
        self.until(lambda: sum(w["online"] for w in self.http.get("/workers").json()["items"] if w["models"]) > known)
        return process

    def make(self) -> str:
        """Make a picture, and return its SHA-256."""
        job = self.http.post("/jobs", json={"graph": graph()}).json()["id"]
        made = self.until(lambda: self.http.get(f"/jobs/{job}").json()["result"])
        return str(made["outputs"][0]["sha256"])

    def ask(self, ref: str) -> dict[str, Any]:
        """Ask for an asset again, without second runs."""
        answer = self.http.post(f"/assets/{ref}/reproductions", json={"tests": False})
        assert answer.status_code == 202, answer.text
        asked: dict[str, Any] = answer.json()
        return asked

    def decided(self, attempt: dict[str, Any]) -> dict[str, Any]:
        """Return an attempt once it is decided."""

        def now() -> dict[str, Any] | None:
            found: dict[str, Any] = self.http.get(f"/reproductions/{attempt['id']}").json()
            return found if found["state"] == "decided" else None

        found: dict[str, Any] = self.until(now)
        return found

    def slow_down(self) -> None:
        """Let the next run of the last worker last."""
        httpx.post(f"{self.engine}/memoryd_stand_in/faults", json={"stuck_s": STUCK_S}, trust_env=False)

    def kill_in_the_middle(self, attempt: dict[str, Any], worker: subprocess.Popen[bytes], number: int) -> None:
        """kill -9 while the job is computed."""

        def computing() -> bool:
            job = self.http.get(f"/jobs/{attempt['job_id']}").json()
            return bool(job["state"] == "leased" and job["attempt"] == number and job["phase"])

        self.until(computing)
        worker.kill()
        worker.wait()
        with self.database.farm_work() as session:
            # As if the minute were over after which a silent worker's lease ends and nobody waits for it.
            session.execute(text("update worker set seen_at = seen_at - interval '2 min'"))
            session.execute(text("update lease set expires_at = clock_timestamp()"))
            tending.reap(session, calm_since=LONG_AGO)


@pytest.fixture
def house(studio: Studio, database: Database, tmp_path: Path) -> Iterator[House]:
    """All but workers."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(_serving(studio.offices))
        http = stack.enter_context(httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30))
        house = House(studio, database, http, url, tmp_path, stack)
        try:
            yield house
        finally:
            for process in house.workers:
                process.kill()
                process.wait()


def test_what_cannot_be_made_again_says_why_and_leaves_nothing_behind(house: House) -> None:
    house.hire()
    for number, (name, (prompt, _)) in enumerate(BAD.items()):
        (house.studio.folder / f"{name}.png").write_bytes(png(prompt, number))
    house.studio.record(*(f"{name}.png" for name in BAD))
    attempts = {}
    for number, (name, (prompt, _)) in enumerate(BAD.items()):
        attempts[name] = house.ask(hashlib.sha256(png(prompt, number)).hexdigest())
    for name, (_, code) in BAD.items():
        attempt = house.decided(attempts[name])
        assert attempt["verdict"] == "not attempted", (name, attempt)
        cause = attempt["causes"][0]
        assert cause["detail"], (name, cause)
        assert cause["next_step"], (name, cause)
        assert not code or cause["code"] == code, (name, cause)
    waiting = [job for job in house.http.get("/jobs").json()["items"] if job["ended_at"] is None]
    assert waiting == []


def test_weights_of_which_no_hash_is_known_are_run_and_named(house: House) -> None:
    house.hire()
    (house.studio.folder / "found.png").write_bytes(png(json.dumps(graph()), 1))
    house.studio.record("found.png")
    attempt = house.decided(house.ask(hashlib.sha256(png(json.dumps(graph()), 1)).hexdigest()))
    assert attempt["verdict"] == "different"
    assert [cause["code"] for cause in attempt["causes"]][:2] == ["weights-unknown", "environment-unknown"]
    assert [notice["code"] for notice in attempt["plan"]["notices"]] == ["model-hash-unknown"]


def test_a_worker_killed_in_the_middle_is_replaced_and_the_second_death_is_the_answer(house: House) -> None:
    first = house.hire()
    sha256 = house.make()
    house.slow_down()
    attempt = house.ask(sha256)
    house.kill_in_the_middle(attempt, first, 1)
    second = house.hire()
    found = house.decided(attempt)
    assert found["verdict"] == "identical file", found
    assert house.http.get(f"/jobs/{attempt['job_id']}").json()["attempt"] == 2
    house.slow_down()
    attempt = house.ask(sha256)
    house.kill_in_the_middle(attempt, second, 1)
    third = house.hire(slow=True)
    house.kill_in_the_middle(attempt, third, 2)
    found = house.decided(attempt)
    assert (found["verdict"], found["causes"][0]["code"]) == ("not attempted", "worker-died"), found
    assert found["causes"][0]["next_step"]
    assert house.http.get(f"/jobs/{attempt['job_id']}").json()["state"] == "dead"
