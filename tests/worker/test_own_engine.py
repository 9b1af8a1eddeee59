"""A worker that launches its own engine: crashes, hangs and exhausted memory cost time, and never a job."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.dispatch.wire import Outcome
from memoryd.worker import engine_process, own_engine, run_follower, silence
from memoryd.worker.agent import Options
from memoryd.worker.engine_process import plan_launch
from memoryd.worker.own_engine import OwnEngine
from memoryd.worker.run_follower import prompt_id_of
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping
from tests.worker.graphs import painting, picture, with_loaded


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that people wait, and tests need not."""
    monkeypatch.setattr(own_engine, "RESTART_FIRST_S", 0.05)
    monkeypatch.setattr(own_engine, "DOUBT_STOP_S", 0.2)
    monkeypatch.setattr(own_engine, "CLOSE_STOP_S", 0.5)
    monkeypatch.setattr(run_follower, "POLL_S", 0.4)


@pytest.fixture(scope="session")
def comfyui_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is launched like a ComfyUI, and is the stand-in."""
    folder = tmp_path_factory.mktemp("comfyui")
    (folder / "main.py").write_text("from memoryd.stand_in.launched import main\nmain()\n")
    return folder


@pytest.fixture
def options(server: Any, worker_options: Options, comfyui_dir: Path) -> Options:
    """A worker with an engine of its own."""
    return dataclasses.replace(worker_options, launch=plan_launch(comfyui_dir, Path(sys.executable), ["--cpu"]))


class Launched:
    """The engine that the worker launched, seen from outside."""

    def __init__(self, state: Path) -> None:
        self.home = state / "engine"

    @property
    def pid(self) -> int:
        return int((self.home / "process.pid").read_text())

    @property
    def url(self) -> str:
        return "http://127.0.0.1:" + (self.home / "process.json").read_text().partition('"port": ')[2].partition(",")[0]

    def get(self, path: str) -> Any:
        return httpx.get(self.url + path, trust_env=False).json()

    def running(self) -> list[str]:
        try:
            return [item[1] for item in self.get("/queue")["queue_running"]]
        except (httpx.HTTPError, OSError):
            return []

    def arm(self, **fault: object) -> None:
        fault = {name.removesuffix("_"): value for name, value in fault.items()}
        httpx.post(f"{self.url}/memoryd_stand_in/faults", json=fault, trust_env=False, timeout=30)

    def files(self) -> list[Path]:
        return [path for name in ("input", "output", "temp") for path in (self.home / name).rglob("*")]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Launched]:
    """What the worker launched; ended at the test's end, whatever happened."""
    launched = Launched(tmp_path / "state")
    yield launched
    if engine_process._is_locked(launched.home):
        os.killpg(launched.pid, 9)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def reaped(killed: OwnEngine) -> bool:
    """The dead worker of these tests is this process, which has to bury the engine's process."""
    assert killed._process is not None
    return killed._process.end() is not None


def one_more(server: Any, **job: Any) -> Any:
    """Run one more job, and return its completion."""
    before = len(server.completed)
    server.add(picture(before + 1), **job)
    server.wait_for(lambda: len(server.completed) > before)
    return server.completed[before]


def test_it_is_launched_used_emptied_and_ended(
    server: Any, start: Any, options: Options, engine: Launched, fixtures: Path
) -> None:
    content = (fixtures / "images" / "txt2img_basic.png").read_bytes()
    with start(options=options):
        job = server.add(with_loaded("a/赤 fox.png"), inputs=[server.add_input(content, "赤 fox.png", subfolder="a")])
        server.wait_for(lambda: server.completed)
        server.wait_for(lambda: not engine.files())
        pid, history = engine.pid, engine.get("/history")
    (completed,) = server.completed
    assert completed.outcome is Outcome.OK
    assert (completed.loading_s, completed.model_loaded) == (0, False)
    assert server.stored[job.job_id, 0]
    assert history == {}
    assert server.registered[0].environment["flags"] == ["--cpu"]
    assert not alive(pid)


def test_every_job_finds_its_own_inputs_and_nobody_elses(
    server: Any, start: Any, options: Options, engine: Launched, fixtures: Path
) -> None:
    names = ["txt2img_basic", "txt2img_lora"]
    contents = [(fixtures / "images" / f"{name}.png").read_bytes() for name in names]
    with start(options=options):
        for content in contents:
            server.add(with_loaded("fox.png"), inputs=[server.add_input(content, "fox.png")])
        server.add(with_loaded("fox.png"))
        server.wait_for(lambda: len(server.completed) == 3)
    assert [completed.outcome for completed in server.completed] == [Outcome.OK, Outcome.OK, Outcome.ERROR]
    assert server.completed[0].outputs[0].sha256 != server.completed[1].outputs[0].sha256
    assert server.completed[2].error.kind == "prompt-refused"


def test_the_same_graph_again_is_made_again_though_its_files_are_gone(
    server: Any, start: Any, options: Options, engine: Launched
) -> None:
    with start(options=options):
        for _ in range(2):
            server.add(picture(7))
        server.wait_for(lambda: len(server.completed) == 2)
    first, second = server.completed
    assert [one.sha256 for one in first.outputs] == [one.sha256 for one in second.outputs]
    assert [one.filename for one in first.outputs] == [one.filename for one in second.outputs]


def test_a_name_that_leads_out_of_the_folder_is_refused(
    server: Any, start: Any, options: Options, engine: Launched
) -> None:
    with start(options=options):
        server.add(picture(), inputs=[server.add_input(b"x", "../../key")])
        server.wait_for(lambda: server.completed)
    assert server.completed[0].error.kind == "name-leaves-folder"


def test_after_a_crash_the_job_is_given_back_uncounted_and_the_next_runs(
    server: Any, start: Any, options: Options, engine: Launched
) -> None:
    with start(options=options):
        server.wait_for(lambda: server.claims_asked)
        engine.arm(exit=3)
        server.add(picture())
        server.wait_for(lambda: server.released)
        assert one_more(server).outcome is Outcome.OK
    (released,) = server.released
    assert (released.kind, released.counts) == ("engine-crash", False)
    assert "code 3" in released.reason


@pytest.mark.parametrize(("counted", "kind"), [(None, "out-of-memory"), (5, "engine-crash")])
def test_a_killed_engine_ran_out_of_memory_unless_the_kernel_knows_better(
    server: Any,
    start: Any,
    options: Options,
    engine: Launched,
    monkeypatch: pytest.MonkeyPatch,
    counted: int | None,
    kind: str,
) -> None:
    monkeypatch.setattr(engine_process, "_count_memory_kills", lambda: counted)
    with start(options=options):
        server.wait_for(lambda: server.claims_asked)
        engine.arm(kill=9)
        server.add(picture())
        server.wait_for(lambda: server.released or server.completed)
    told = [completed.error.kind for completed in server.completed] + [released.kind for released in server.released]
    assert told == [kind]


def test_exhausted_memory_is_told_and_the_next_job_finds_a_fresh_process(
    server: Any, start: Any, options: Options, engine: Launched
) -> None:
    with start(options=options):
        server.wait_for(lambda: server.claims_asked)
        before = engine.pid
        engine.arm(raise_=["torch.OutOfMemoryError", "Allocation on device \nThis error means you ran out of memory."])
        server.add(picture())
        server.wait_for(lambda: server.completed)
        assert one_more(server).outcome is Outcome.OK
        after = engine.pid
    error = server.completed[0].error
    assert (error.kind, error.node_id, error.details["exception"]) == ("out-of-memory", "1", "torch.OutOfMemoryError")
    assert before != after


def test_one_that_no_longer_answers_is_ended_and_the_job_given_back(
    server: Any, start: Any, options: Options, engine: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_LIMIT_S", 1.2)
    monkeypatch.setattr(run_follower, "LOOK_TIMEOUT_S", 0.3)
    with start(options=options):
        server.add(painting())
        server.wait_for(engine.running)
        stopped = engine.pid
        os.kill(stopped, 19)  # SIGSTOP: it lives, and does nothing
        server.wait_for(lambda: server.released)
        assert one_more(server).outcome is Outcome.OK
    assert (server.released[0].kind, server.released[0].counts) == ("engine-unresponsive", False)
    assert not alive(stopped)


def test_a_cancelled_run_that_does_not_stop_is_ended_with_its_engine(
    server: Any, start: Any, options: Options, engine: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_follower, "HALT_LIMIT_S", 0.5)
    with start(options=options):
        server.wait_for(lambda: server.claims_asked)
        before = engine.pid
        engine.arm(stuck_s=60)
        job = server.add(picture())
        server.wait_for(engine.running)
        server.cancelled.add(job.job_id)
        server.wait_for(lambda: server.completed)
        assert one_more(server).outcome is Outcome.OK
        assert engine.pid != before
    assert server.completed[0].outcome is Outcome.CANCELLED


def test_a_run_goes_on_while_its_worker_is_killed_and_is_taken_up(
    server: Any, start: Any, options: Options, engine: Launched
) -> None:
    job = server.add(painting(steps=900), lease_s=60)
    server.waiting.clear()
    server.held[job.job_id] = job
    state = StateFolder(options.state, server.url)
    state.keep_claim(job)
    assert options.launch is not None
    killed = OwnEngine(options.launch, client_id="killed", state=options.state)
    assert killed.come_up(Stopping())
    pid, prompt_id = engine.pid, prompt_id_of(job.job_id, job.fence, 0)
    killed.comfyui.submit(job.prompt, prompt_id=prompt_id, client_id="killed")
    server.wait_for(engine.running)
    killed.line.close()
    killed.comfyui.close()  # nothing else: as after a kill -9
    with start(options=options):
        server.wait_for(lambda: server.completed)
        assert engine.pid == pid
    (completed,) = server.completed
    assert (completed.outcome, str(completed.prompt_id)) == (Outcome.OK, prompt_id)
    assert server.released == []
    assert reaped(killed)


def test_one_that_was_launched_otherwise_is_ended_first(
    server: Any, start: Any, options: Options, engine: Launched
) -> None:
    assert options.launch is not None
    other = dataclasses.replace(options.launch, arguments=("--cpu", "--lowvram"))
    before = OwnEngine(other, client_id="before", state=options.state)
    assert before.come_up(Stopping())
    before.line.close()
    before.comfyui.close()
    pid = engine.pid
    with start(options=options):
        server.wait_for(lambda: server.claims_asked)
        assert engine.pid != pid
        assert not alive(pid)
        assert reaped(before)


def test_one_that_ends_at_once_is_launched_again_with_growing_pauses(
    server: Any, start: Any, options: Options, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "main.py").write_text("raise SystemExit('no such node pack')")
    launch = plan_launch(broken, Path(sys.executable), [])
    with start(options=dataclasses.replace(options, launch=launch)):
        until = time.monotonic() + 30
        while caplog.text.count("no such node pack") < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert server.registered == []
    assert "it ended with code 1" in caplog.text
