"""A worker at an engine that others use too: the stand-in always, a real ComfyUI where its address is given."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.dispatch.wire import JobKind, Outcome
from memoryd.worker.agent import Agent, Options
from memoryd.worker.engine_process import Launch, plan_launch
from memoryd.worker.run_follower import prompt_id_of
from memoryd.worker.stopping import Stopping
from tests.worker import fake_server as fakes
from tests.worker.graphs import painting, picture, with_loaded

DIRECTORY_VARIABLE = "MEMORYD_TEST_COMFYUI_DIR"
PYTHON_VARIABLE = "MEMORYD_TEST_COMFYUI_PYTHON"
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory").read_text().strip() if sys.platform == "linux" else "1"

LEASE_S = 60
"""A real ComfyUI on two busy cores takes its time."""


@pytest.fixture(scope="module")
def one_server() -> Iterator[Any]:
    """The server of all tests here."""
    with fakes.running_server() as fake:
        yield fake


@pytest.fixture
def server(one_server: Any, engine: ComfyClient) -> Any:
    """A server that knows of nothing yet, and an engine that nobody uses."""
    one_server.reset()
    until = time.monotonic() + LEASE_S
    while (waiting := engine.queue()).running or waiting.pending:
        for prompt_id in (*waiting.running, *waiting.pending):
            engine.interrupt(prompt_id)
        assert time.monotonic() < until
        time.sleep(0.05)
    return one_server


@pytest.fixture
def checkpoint(engine: ComfyClient) -> str:
    """A checkpoint that the engine has."""
    return engine.models("checkpoints")[0].name


@contextlib.contextmanager
def working(server: Any, engine_url: str, state: Path, launch: Launch | None = None) -> Iterator[None]:
    stopping = Stopping(drain_limit_s=LEASE_S)
    options = Options(
        server=server.url, comfyui=engine_url, state=state, token=fakes.TOKEN, claim_wait_s=1, launch=launch
    )
    thread = threading.Thread(target=Agent(options, stopping).run)
    thread.start()
    try:
        yield
    finally:
        stopping.ask()
        thread.join()


def colour() -> int:
    return uuid.uuid4().int % 0xFFFFFF


def seed() -> int:
    return uuid.uuid4().int % 2**63


def test_jobs_run_one_after_the_other_over_one_event_stream(server: Any, engine_url: str, tmp_path: Path) -> None:
    with working(server, engine_url, tmp_path):
        jobs = [server.add(picture(colour(), prefix="conformance/w"), lease_s=LEASE_S) for _ in range(5)]
        server.wait_for(lambda: len(server.completed) == 5)
    assert [completed.job_id for completed in server.completed] == [job.job_id for job in jobs]
    assert {completed.outcome for completed in server.completed} == {Outcome.OK}
    # No poll of two seconds was needed to hear of an end.
    took = [(completed.ended_at - completed.started_at).total_seconds() for completed in server.completed]
    assert sorted(took)[2] < 1
    assert all(completed.executing_s is not None for completed in server.completed)


def test_a_cold_run_tells_what_loading_took(
    server: Any, engine: ComfyClient, engine_url: str, tmp_path: Path, checkpoint: str
) -> None:
    with working(server, engine_url, tmp_path):
        graph = painting(steps=4, seed=seed(), checkpoint=checkpoint)
        server.add(graph, recompute=True, kind=JobKind.REPRODUCE, lease_s=LEASE_S)
        server.wait_for(lambda: server.completed)
        # The second may be cold as well: a run that comes just after the caches were to be dropped goes first.
        for _ in range(2):
            server.add(painting(steps=4, seed=seed(), checkpoint=checkpoint), lease_s=LEASE_S)
        server.wait_for(lambda: len(server.completed) == 3)
    cold, _, warm = server.completed
    assert (cold.outcome, cold.model_loaded, warm.model_loaded) == (Outcome.OK, True, False)
    # The stand-in loads in no time: there the two are as long as the clock is exact.
    assert warm.loading_s <= cold.loading_s + 0.05
    assert cold.vram_peak_mb is None


def test_others_come_first_and_only_our_own_run_is_stopped(
    server: Any, engine: ComfyClient, engine_url: str, tmp_path: Path, checkpoint: str
) -> None:
    theirs = engine.submit(painting(seed=seed(), checkpoint=checkpoint, steps=1_000)).prompt_id
    with working(server, engine_url, tmp_path):
        server.wait_for(lambda: server.registered and theirs in engine.queue().running)
        job = server.add(painting(seed=seed(), checkpoint=checkpoint, steps=1_000), lease_s=LEASE_S)
        time.sleep(0.2)
        assert server.claims_asked == 0
        engine.interrupt(theirs)
        ours = prompt_id_of(job.job_id, job.fence, 0)
        server.wait_for(lambda: ours in engine.queue().running)
        after = engine.submit(painting(seed=seed(), checkpoint=checkpoint, steps=1_000)).prompt_id
        server.cancelled.add(job.job_id)
        server.wait_for(lambda: server.completed)
        server.wait_for(lambda: after in engine.queue().running)
        engine.interrupt(after)
    assert server.completed[0].outcome is Outcome.CANCELLED


def test_somebodys_interrupt_costs_no_attempt(
    server: Any, engine: ComfyClient, http: httpx.Client, engine_url: str, tmp_path: Path, checkpoint: str
) -> None:
    with working(server, engine_url, tmp_path):
        job = server.add(painting(seed=seed(), checkpoint=checkpoint, steps=1_000), lease_s=LEASE_S)
        ours = prompt_id_of(job.job_id, job.fence, 0)
        server.wait_for(lambda: ours in engine.queue().running)
        server.wait_for(lambda: http.post("/interrupt").status_code == 200 and server.released)
    assert (server.released[0].kind, server.released[0].counts) == ("foreign-interrupt", False)


def test_a_run_that_somebody_takes_out_costs_no_attempt(
    server: Any, engine: ComfyClient, http: httpx.Client, engine_url: str, tmp_path: Path, checkpoint: str
) -> None:
    with working(server, engine_url, tmp_path):
        job = server.add(painting(seed=seed(), checkpoint=checkpoint, steps=1_000), lease_s=LEASE_S)
        ours = prompt_id_of(job.job_id, job.fence, 0)
        server.wait_for(lambda: ours in engine.queue().running)
        http.post("/interrupt", json={"prompt_id": ours})
        server.wait_for(lambda: http.post("/history", json={"clear": True}).is_success and server.released)
    assert (server.released[0].kind, server.released[0].counts) == ("foreign-interrupt", False)


def test_a_run_goes_on_while_its_worker_is_killed(
    server: Any, engine: ComfyClient, engine_url: str, tmp_path: Path, checkpoint: str
) -> None:
    command = [sys.executable, "-m", "memoryd_cli", "worker", "--server", server.url, "--comfyui", engine_url]
    command += ["--state", str(tmp_path), "--token", fakes.TOKEN]
    job = server.add(painting(seed=seed(), checkpoint=checkpoint, steps=60), lease_s=LEASE_S)
    ours = prompt_id_of(job.job_id, job.fence, 0)
    with subprocess.Popen(command, env={**os.environ, "MEMORYD_LOG_LEVEL": "ERROR"}) as worker:
        server.wait_for(lambda: ours in engine.queue().running)
        worker.kill()
    with working(server, engine_url, tmp_path):
        server.wait_for(lambda: server.completed)
    (completed,) = server.completed
    assert (completed.outcome, str(completed.prompt_id), server.released) == (Outcome.OK, ours, [])


def test_what_was_put_aside_comes_back_after_a_kill_in_the_middle(
    server: Any, engine: ComfyClient, engine_url: str, tmp_path: Path, fixtures: Path, checkpoint: str
) -> None:
    name = f"conformance-{uuid.uuid4()}.png"
    theirs = (fixtures / "images" / "txt2img_lora.png").read_bytes()
    mine = (fixtures / "images" / "txt2img_basic.png").read_bytes()
    engine.upload(io.BytesIO(theirs), name)
    graph = json.loads(painting(seed=seed(), checkpoint=checkpoint, steps=1_000))
    graph.update({"20": json.loads(with_loaded(name))["1"]})
    graph["21"] = {"class_type": "PreviewImage", "inputs": {"images": ["20", 0]}}
    command = [sys.executable, "-m", "memoryd_cli", "worker", "--server", server.url, "--comfyui", engine_url]
    command += ["--state", str(tmp_path), "--token", fakes.TOKEN]
    job = server.add(json.dumps(graph), inputs=[server.add_input(mine, name)], lease_s=LEASE_S)
    ours = prompt_id_of(job.job_id, job.fence, 0)
    with subprocess.Popen(command, env={**os.environ, "MEMORYD_LOG_LEVEL": "ERROR"}) as worker:
        server.wait_for(lambda: ours in engine.queue().running)
        worker.kill()
    assert _lying(engine, name) == hashlib.sha256(mine).hexdigest()
    del server.held[job.job_id]  # the lease is another's by now
    with working(server, engine_url, tmp_path):
        server.wait_for(lambda: _lying(engine, name) == hashlib.sha256(theirs).hexdigest())
    assert ours not in engine.queue().running


@pytest.mark.skipif(OVERCOMMIT == "1", reason="this kernel promises any amount of memory: nothing would be refused")
def test_memory_that_runs_out_is_told_as_such(server: Any, engine_url: str, tmp_path: Path) -> None:
    graph = json.loads(picture(colour()))
    graph["1"]["inputs"].update(width=16_384, height=16_384, batch_size=4_096)
    with working(server, engine_url, tmp_path):
        server.add(json.dumps(graph), lease_s=LEASE_S)
        server.wait_for(lambda: server.completed)
        server.add(picture(colour(), prefix="conformance/w"), lease_s=LEASE_S)
        server.wait_for(lambda: len(server.completed) == 2)
    assert [completed.error and completed.error.kind for completed in server.completed] == ["out-of-memory", None]


@pytest.mark.comfyui
def test_a_comfyui_of_its_own_comes_back_after_a_crash_and_leaves_nothing(one_server: Any, tmp_path: Path) -> None:
    directory = os.environ.get(DIRECTORY_VARIABLE)
    if not directory:
        pytest.skip(f"no real ComfyUI to launch: set {DIRECTORY_VARIABLE} to a checkout (and {PYTHON_VARIABLE})")
    one_server.reset()
    python = os.environ.get(PYTHON_VARIABLE)
    launch = plan_launch(Path(directory), Path(python) if python else None, ["--cpu"])
    process = tmp_path / "engine" / "process.pid"
    with working(one_server, "", tmp_path, launch=launch):
        one_server.add(picture(1), lease_s=LEASE_S)
        one_server.wait_for(lambda: one_server.completed)
        checkpoint = next(model.path for model in one_server.registered[0].models if model.folder == "checkpoints")
        one_server.add(painting(seed=seed(), checkpoint=checkpoint, steps=1_000), lease_s=LEASE_S)
        one_server.wait_for(lambda: any(beat.node == "3" for told in one_server.beats[-3:] for beat in told.leases))
        os.kill(int(process.read_text()), signal.SIGSEGV)
        one_server.wait_for(lambda: one_server.released)
        one_server.add(picture(2), lease_s=LEASE_S)
        one_server.wait_for(lambda: len(one_server.completed) == 2)
        last = int(process.read_text())
        left = [path for name in ("input", "output", "temp") for path in (tmp_path / "engine" / name).rglob("*")]
    assert [completed.outcome for completed in one_server.completed] == [Outcome.OK, Outcome.OK]
    assert (one_server.released[0].kind, one_server.released[0].counts) == ("engine-crash", False)
    assert [path for path in left if path.is_file()] == []
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


def _lying(engine: ComfyClient, name: str) -> str:
    answer = httpx.get(f"{engine.url}/view", params={"filename": name, "type": "input"}, trust_env=False)
    return hashlib.sha256(answer.content).hexdigest()
