"""Models that workers lack, between real processes: a server, workers and an engine, some of them killed in the middle."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running

PATIENCE_S = 120.0
SIZE = 6_000_000
BASE = "base.safetensors"
NAME = "styles/ink.safetensors"


def content(seed: int, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)


def digest(of: bytes) -> str:
    return hashlib.sha256(of).hexdigest()


def until(seen: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < limit, f"{what} did not happen"
        time.sleep(0.05)


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(process, signal.SIGKILL)
            time.sleep(0.01)


class Forking:
    """Starts processes that need not load the program."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("forking.py"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, part: str, *arguments: str, **variables: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(
            json.dumps({"part": part, "arguments": arguments, "variables": variables}),
            file=self.process.stdin,
            flush=True,
        )
        return int(self.process.stdout.readline())


@dataclasses.dataclass
class House:
    """A server in a process of its own, and whoever works for it."""

    database_url: str
    home: Path
    port: int
    forking: Forking
    process: int | None = None
    started: list[int] = dataclasses.field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = self.forking.start("server", self.database_url, str(self.home), str(self.port))
        self.started.append(self.process)
        until(self.answers, "the server's start")

    def answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", trust_env=False).status_code == 200
        return False

    def kill(self) -> None:
        assert self.process is not None
        kill(self.process)

    def person(self, tenant: str = "default") -> httpx.Client:
        headers = {"Memoryd-Tenant": tenant}
        return httpx.Client(base_url=f"{self.url}/v1", headers=headers, trust_env=False, timeout=60)

    def push(self, of: bytes, name: str = NAME, folder: str = "loras", tenant: str = "default") -> str:
        asked = {"size": len(of), "folder": folder, "name": name}
        with self.person(tenant) as http:
            path = f"/models/stored/{digest(of)}"
            assert http.post(path, json=asked).json()["state"] == "wanted"
            assert http.patch(path, params={"offset": 0}, content=of).is_success
            assert http.post(f"{path}/finish", json=asked).json()["state"] == "stored"
        return digest(of)

    def submit(self, name: str = NAME, tenant: str = "default", **asked: Any) -> str:
        with self.person(tenant) as http:
            answer = http.post("/jobs", json={"graph": graph(name), **asked})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

    def job(self, job_id: str, tenant: str = "default") -> dict[str, Any]:
        with self.person(tenant) as http:
            shown: dict[str, Any] = http.get(f"/jobs/{job_id}").json()
            return shown

    def ended(self, job_id: str, tenant: str = "default") -> dict[str, Any]:
        until(lambda: self.job(job_id, tenant)["state"] in ("succeeded", "dead", "cancelled"), f"the end of {job_id}")
        return self.job(job_id, tenant)

    def token(self, tenant: str = "default") -> str:
        with self.person(tenant) as http:
            return str(http.post("/workers", json={"pool": "default"}).json()["token"])

    def worker(self, comfyui: str, state: Path, token: str | None, *flags: str) -> int:
        command = ["--server", self.url, "--comfyui", comfyui, "--state", str(state), "--label", state.name, *flags]
        variables = {"MEMORYD_HOME": str(state), "MEMORYD_LOG_LEVEL": "WARNING"}
        if token is not None:
            variables["MEMORYD_JOIN_TOKEN"] = token
        self.started.append(self.forking.start("worker", *command, **variables))
        return self.started[-1]

    def fetches(self, count: int = 1, tenant: str = "default") -> None:
        """Wait until so many workers are there."""
        with self.person(tenant) as http:
            until(
                lambda: sum(1 for one in http.get("/workers").json()["items"] if one["state"] == "active") >= count,
                "the workers' start",
            )


def graph(name: str) -> dict[str, Any]:
    sampler = {"seed": 1, "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    lora = {"lora_name": name, "strength_model": 1.0, "strength_clip": 1.0, "model": ["4", 0], "clip": ["4", 1]}
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": BASE}},
        "7": {"class_type": "LoraLoader", "inputs": lora},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "fox", "clip": ["7", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                **sampler,
                "model": ["7", 0],
                "positive": ["6", 0],
                "negative": ["6", 0],
                "latent_image": ["5", 0],
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "w/p", "images": ["8", 0]}},
    }


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    """The program, loaded once for all processes of these tests: that takes longer than most of them."""
    forking = Forking()
    yield forking
    forking.process.kill()
    forking.process.communicate()


@pytest.fixture
def house(
    cluster: Cluster, database_name: str, database: Database, forking: Forking, tmp_path: Path
) -> Iterator[House]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "home" / "keys").mkdir(parents=True, mode=0o700)
    house = House(cluster.server_url(database_name), tmp_path / "home", port, forking)
    house.start()
    try:
        yield house
    finally:
        for process in reversed(house.started):
            kill(process)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The models folder of the engine, with a checkpoint and a LoRA that nobody asks for."""
    folder = tmp_path / "models"
    for path in ("checkpoints/" + BASE, "loras/other.safetensors"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content(99, 1000))
        os.utime(folder / path, (1_600_000_000, 1_600_000_000))
    return folder


@pytest.fixture
def engine(models: Path, tmp_path: Path) -> Iterator[str]:
    with running(EngineOptions(models=models, output=tmp_path / "out", input=tmp_path / "in")) as url:
        yield url


def reasons(database: Database, tenant: TenantScope, job: str) -> str:
    """Why a job was given back, each time."""
    with database.tenant_work(tenant) as session:
        told = session.execute(text("select reason from job_event where job_id = :job"), {"job": job}).scalars()
        return "; ".join(reason for reason in told if reason)


def loras(models: Path) -> set[str]:
    return {path.relative_to(models / "loras").as_posix() for path in (models / "loras").rglob("*") if path.is_file()}


def pulled(models: Path, sha256: str, tenant: TenantScope) -> Path:
    return models / "loras" / ".memoryd-models" / str(tenant.id) / sha256


def test_what_a_worker_lacks_is_fetched_linked_for_the_run_and_kept_apart(
    house: House, engine: str, models: Path, tenant: TenantScope, tmp_path: Path
) -> None:
    house.worker(engine, tmp_path / "rack", house.token(), "--model-bandwidth", "1M")
    house.fetches()
    weights = content(1)
    sha256 = house.push(weights)
    job = house.submit()
    phases: set[str] = set()

    def told() -> bool:
        phase = house.job(job)["phase"]
        if phase:
            phases.add(phase)
        return house.job(job)["state"] in ("succeeded", "dead")

    until(told, "the job's end")
    assert house.job(job)["state"] == "succeeded", house.job(job)
    assert any(phase.startswith("fetching model ") and phase.endswith(" of 6 MB") for phase in phases), phases
    assert pulled(models, sha256, tenant).read_bytes() == weights
    assert loras(models) == {
        "other.safetensors",
        f".memoryd-models/{tenant.id}/{sha256}",
        f".memoryd-models/{tenant.id}/{sha256}.use",
    }, "nothing is left that an engine lists"
    before = pulled(models, sha256, tenant).stat().st_mtime_ns
    assert house.ended(house.submit())["state"] == "succeeded"
    assert pulled(models, sha256, tenant).stat().st_mtime_ns == before, "it is not fetched again"


def test_a_worker_that_is_killed_goes_on_where_it_was(
    house: House, engine: str, models: Path, tenant: TenantScope, tmp_path: Path
) -> None:
    first = house.worker(engine, tmp_path / "rack", house.token(), "--model-bandwidth", "2M")
    house.fetches()
    sha256 = house.push(content(2))
    job = house.submit()
    part = pulled(models, sha256, tenant).with_name(f"{sha256}.part")
    until(lambda: part.exists() and part.stat().st_size > 1_500_000, "the middle of the pull")
    kill(first)
    left = part.stat().st_size
    assert left < SIZE
    began = time.monotonic()
    house.worker(engine, tmp_path / "rack", None, "--model-bandwidth", "2M")
    until(lambda: part.stat().st_size > left if part.exists() else True, "going on")
    assert house.ended(job)["state"] == "succeeded"
    assert pulled(models, sha256, tenant).read_bytes() == content(2)
    assert time.monotonic() - began < PATIENCE_S


def test_a_server_that_is_killed_is_waited_for_and_gone_on_with(
    house: House, engine: str, models: Path, tenant: TenantScope, tmp_path: Path
) -> None:
    house.worker(engine, tmp_path / "rack", house.token(), "--model-bandwidth", "2M")
    house.fetches()
    sha256 = house.push(content(3))
    job = house.submit()
    part = pulled(models, sha256, tenant).with_name(f"{sha256}.part")
    until(lambda: part.exists() and part.stat().st_size > 1_000_000, "the middle of the pull")
    house.kill()
    left = part.stat().st_size
    house.start()
    assert house.ended(job)["state"] == "succeeded", house.job(job)
    assert pulled(models, sha256, tenant).read_bytes() == content(3)
    assert left >= 1_000_000


def test_wrong_bytes_from_the_server_are_refused_and_never_get_a_name(
    house: House, database: Database, engine: str, models: Path, tenant: TenantScope, tmp_path: Path
) -> None:
    sha256 = house.push(content(4))
    stored = house.home / "blobs" / ".models" / "default" / sha256[:2] / sha256
    stored.chmod(0o640)
    stored.write_bytes(content(5))
    house.worker(engine, tmp_path / "rack", house.token())
    house.fetches()
    job = house.submit()

    until(lambda: "was removed" in reasons(database, tenant, job), "the refusal")
    assert not pulled(models, sha256, tenant).exists()
    assert not pulled(models, sha256, tenant).with_name(f"{sha256}.part").exists()
    assert "styles/ink.safetensors" not in loras(models)


def test_two_workers_that_see_one_folder_fetch_once(
    house: House, models: Path, tenant: TenantScope, tmp_path: Path
) -> None:
    sha256 = house.push(content(6))
    with contextlib.ExitStack() as stack:
        for name in ("one", "two"):
            options = EngineOptions(models=models, output=tmp_path / f"{name}-out", input=tmp_path / f"{name}-in")
            url = stack.enter_context(running(options))
            house.worker(url, tmp_path / name, house.token(), "--model-bandwidth", "3M")
        house.fetches(2)
        jobs = [house.submit() for _ in range(2)]
        phases: set[str] = set()

        def done() -> bool:
            shown = [house.job(job) for job in jobs]
            phases.update(one["phase"] or "" for one in shown)
            return all(one["state"] == "succeeded" for one in shown)

        until(done, "both jobs' end")
        workers = {house.job(job)["worker"] for job in jobs}
    with house.person() as http:
        (stored,) = http.get("/models/stored").json()["items"]
    assert len(list(pulled(models, sha256, tenant).parent.iterdir())) == 2
    if len(workers) == 2:
        assert any(phase.startswith("waiting for a model that another worker fetches") for phase in phases), phases
    assert stored["uses"] <= 2


def test_two_tenants_on_one_machine_do_not_see_each_others_models(
    house: House, engine: str, models: Path, tenant: TenantScope, other_tenant: TenantScope, tmp_path: Path
) -> None:
    mine, theirs = content(7, 300_000), content(8, 300_000)
    house.worker(engine, tmp_path / "mine", house.token())
    house.worker(engine, tmp_path / "theirs", house.token("other"))
    house.fetches()
    house.fetches(tenant="other")
    sha256, other = house.push(mine), house.push(theirs, tenant="other")
    assert house.ended(house.submit())["state"] == "succeeded"
    assert house.ended(house.submit(tenant="other"), "other")["state"] == "succeeded"
    assert pulled(models, sha256, tenant).read_bytes() == mine
    assert pulled(models, other, other_tenant).read_bytes() == theirs
    with house.person("other") as http:
        pinned = [{"folder": "loras", "name": "x.safetensors", "sha256": sha256}]
        refused = http.post("/jobs", json={"graph": graph("x.safetensors"), "pins": pinned})
        assert refused.status_code == 422, "it lies on that machine's disk, and is not theirs"
        workers = http.get("/workers").json()["items"]
        for worker in workers:
            told = http.get(f"/workers/{worker['id']}/models").json()["items"]
            assert {model["path"] for model in told} == {BASE, "other.safetensors"}


def test_within_a_limit_what_was_used_longest_ago_leaves_and_nothing_else(
    house: House, database: Database, engine: str, models: Path, tenant: TenantScope, tmp_path: Path
) -> None:
    house.worker(engine, tmp_path / "rack", house.token(), "--model-limit", "700K")
    house.fetches()
    names = [house.push(content(seed, 300_000), f"{seed}.safetensors") for seed in (10, 11, 12)]
    for seed in (10, 11):
        assert house.ended(house.submit(f"{seed}.safetensors"))["state"] == "succeeded"
        time.sleep(0.02)
    assert house.ended(house.submit("12.safetensors"))["state"] == "succeeded"
    there = [pulled(models, sha256, tenant).exists() for sha256 in names]
    assert there == [False, True, True]
    assert (models / "loras" / "other.safetensors").exists()
    large = house.push(content(13, 800_000), "large.safetensors")
    job = house.submit("large.safetensors")
    until(lambda: "--model-limit" in reasons(database, tenant, job), "the refusal")
    assert [pulled(models, sha256, tenant).exists() for sha256 in [*names, large]] == [False, True, True, False]


def test_a_cancelled_fetch_ends_at_once_and_what_arrived_stays(
    house: House, engine: str, models: Path, tenant: TenantScope, tmp_path: Path
) -> None:
    house.worker(engine, tmp_path / "rack", house.token(), "--model-bandwidth", "1M")
    house.fetches()
    sha256 = house.push(content(14))
    job = house.submit()
    part = pulled(models, sha256, tenant).with_name(f"{sha256}.part")
    until(lambda: part.exists() and part.stat().st_size > 300_000, "the beginning of the pull")
    with house.person() as http:
        http.post(f"/jobs/{job}/cancel")
    assert house.ended(job)["state"] == "cancelled"
    assert part.stat().st_size < SIZE
