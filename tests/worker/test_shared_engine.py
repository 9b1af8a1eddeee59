"""A ComfyUI that others use too: their runs come first, their files come back, and only our own run is ever touched."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.dispatch.wire import Claimed, JobKind, Outcome
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.worker import run_follower, shared_engine
from memoryd.worker.agent import Options
from memoryd.worker.engine import EngineTaken
from memoryd.worker.input_files import PlacedFiles
from memoryd.worker.shared_engine import SharedEngine
from memoryd.worker.stopping import Stopping
from tests.worker.graphs import painting, picture, with_loaded


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that people wait, and tests need not."""
    monkeypatch.setattr(run_follower, "POLL_S", 0.3)


@pytest.fixture
def comfyui(engine_url: str) -> Iterator[ComfyClient]:
    """The engine, as somebody else uses it."""
    with ComfyClient(engine_url) as client:
        yield client


@pytest.fixture
def shared(engine_url: str, tmp_path: Path) -> Iterator[SharedEngine]:
    """The engine, as a worker uses it."""
    engine = SharedEngine(engine_url, client_id=str(uuid.uuid4()), state=tmp_path)
    assert engine.come_up(Stopping())
    yield engine
    engine.close()


class Bytes:
    """A server that has one file."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def fetch_input(self, claimed: Claimed, file: object, target: Path) -> None:
        target.write_bytes(self.content)


def test_nothing_is_claimed_while_somebody_elses_run_waits_or_runs(
    server: Any, start: Any, comfyui: ComfyClient
) -> None:
    theirs = comfyui.submit(painting()).prompt_id
    second = comfyui.submit(painting(seed=2)).prompt_id
    with start():
        server.add(picture())
        server.wait_for(lambda: server.registered and comfyui.queue().running == (theirs,))
        comfyui.interrupt(theirs)
        server.wait_for(lambda: comfyui.queue().running == (second,))
        assert server.claims_asked == 0
        comfyui.interrupt(second)
        server.wait_for(lambda: server.completed)
    assert server.completed[0].outcome is Outcome.OK


def test_a_job_that_was_claimed_just_before_somebody_came_is_given_back_after_a_while(
    server: Any, start: Any, worker_options: Options, comfyui: ComfyClient
) -> None:
    options = dataclasses.replace(worker_options, claim_wait_s=1, hold_limit_s=0.2)
    with start(options=options):
        server.wait_for(lambda: server.claims_asked)
        theirs = comfyui.submit(painting()).prompt_id
        server.wait_for(lambda: comfyui.queue().running)
        server.add(picture())
        server.wait_for(lambda: server.released)
        assert comfyui.queue().running == (theirs,)
        comfyui.interrupt(theirs)
    assert (server.released[0].kind, server.released[0].counts) == ("engine-busy", False)


def test_somebodys_interrupt_costs_no_attempt(server: Any, start: Any, comfyui: ComfyClient, engine_url: str) -> None:
    with start():
        server.add(painting())
        server.wait_for(lambda: comfyui.queue().running)
        httpx.post(f"{engine_url}/interrupt", trust_env=False)
        server.wait_for(lambda: server.released)
    assert (server.released[0].kind, server.released[0].counts) == ("foreign-interrupt", False)


def test_a_cleared_queue_costs_no_attempt(
    server: Any, start: Any, worker_options: Options, comfyui: ComfyClient, engine_url: str
) -> None:
    with start(options=dataclasses.replace(worker_options, claim_wait_s=1)):
        server.wait_for(lambda: server.claims_asked)
        # Ours comes behind one that is told to nobody in time: it waits when the queue is cleared.
        job = server.add(painting(seed=5))
        server.wait_for(lambda: comfyui.queue().running)
        ours = comfyui.queue().running
        comfyui.forget(ours[0])
        httpx.post(f"{engine_url}/interrupt", trust_env=False)
        httpx.post(f"{engine_url}/history", json={"clear": True}, trust_env=False)
        server.wait_for(lambda: server.released)
    assert server.released[0].job_id == job.job_id
    assert (server.released[0].kind, server.released[0].counts) == ("foreign-interrupt", False)


def test_the_caches_are_not_dropped_under_somebody_elses_run(
    shared: SharedEngine, comfyui: ComfyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_engine, "HOLD_LIMIT_S", 0.1)
    freed: list[bool] = []
    monkeypatch.setattr(shared.comfyui, "free", lambda: freed.append(True))
    theirs = comfyui.submit(painting()).prompt_id
    with pytest.raises(EngineTaken):
        shared.free(Stopping())
    shared.recover("out of memory")
    assert freed == []
    comfyui.interrupt(theirs)
    monkeypatch.setattr(shared_engine, "HOLD_LIMIT_S", 10)
    shared.free(Stopping())
    assert freed == [True]


@pytest.mark.parametrize("jobs_api", [True, False])
def test_only_our_own_run_is_stopped_also_by_one_that_knows_no_jobs(tmp_path: Path, jobs_api: bool) -> None:
    options = EngineOptions(output=tmp_path / "o", input=tmp_path / "i", jobs_api=jobs_api)
    with running(options) as url, ComfyClient(url) as client:
        theirs = client.submit(painting()).prompt_id
        ours = client.submit(painting(seed=3)).prompt_id
        while client.queue().running != (theirs,):
            pass
        client.interrupt(ours)
        assert client.queue() == dataclasses.replace(client.queue(), running=(theirs,), pending=())
        ours = client.submit(painting(seed=4)).prompt_id
        client.interrupt(theirs)
        while client.queue().running != (ours,):
            pass
        client.interrupt(theirs)
        assert client.queue().running == (ours,)


def test_what_was_put_aside_comes_back_though_the_worker_was_killed(
    server: Any, start: Any, worker_options: Options, comfyui: ComfyClient, engine_home: Path
) -> None:
    place = engine_home / "input" / "fox.png"
    place.write_bytes(b"theirs")
    job = _job(server, b"mine", "fox.png")
    placed = PlacedFiles(worker_options.state / "placed").placed(comfyui, Bytes(b"mine"), job)  # type: ignore[arg-type]
    placed.__enter__()
    assert place.read_bytes() == b"mine"
    # Killed here: nobody leaves the block.
    with start():
        server.wait_for(lambda: place.read_bytes() == b"theirs")
    assert not any((worker_options.state / "placed").iterdir())


def test_a_second_try_after_a_kill_does_not_take_its_own_file_for_somebody_elses(
    server: Any, tmp_path: Path, comfyui: ComfyClient, engine_home: Path
) -> None:
    place = engine_home / "input" / "fox.png"
    place.write_bytes(b"theirs")
    job = _job(server, b"mine", "fox.png")
    files = PlacedFiles(tmp_path / "placed")
    killed = files.placed(comfyui, Bytes(b"mine"), job)  # type: ignore[arg-type]
    killed.__enter__()
    files.restore(comfyui, held={f"{job.job_id}-{job.fence}"})
    assert place.read_bytes() == b"mine"
    with files.placed(comfyui, Bytes(b"mine"), job):  # type: ignore[arg-type]
        assert place.read_bytes() == b"mine"
    assert place.read_bytes() == b"theirs"


def test_a_file_that_its_owner_replaced_meanwhile_is_left_alone(
    server: Any, tmp_path: Path, comfyui: ComfyClient, engine_home: Path
) -> None:
    place = engine_home / "input" / "fox.png"
    place.write_bytes(b"theirs")
    job = _job(server, b"mine", "fox.png")
    with PlacedFiles(tmp_path / "placed").placed(comfyui, Bytes(b"mine"), job):  # type: ignore[arg-type]
        place.write_bytes(b"theirs, newer")
    assert place.read_bytes() == b"theirs, newer"


def test_after_the_engine_ran_out_of_memory_the_server_hears_it_and_work_goes_on(
    server: Any, start: Any, engine_url: str
) -> None:
    fault = {"raise": ["torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB"]}
    httpx.post(f"{engine_url}/memoryd_stand_in/faults", json=fault, trust_env=False)
    with start():
        server.add(picture(1))
        server.add(picture(2))
        server.wait_for(lambda: len(server.completed) == 2)
    assert [completed.error and completed.error.kind for completed in server.completed] == ["out-of-memory", None]


def test_a_run_is_told_to_the_start_that_comes_after_a_kill(
    server: Any, start: Any, worker_options: Options, comfyui: ComfyClient
) -> None:
    with start():
        server.add(painting(steps=300))
        server.wait_for(lambda: server.completed)
        first = comfyui.history(str(server.completed[0].prompt_id))
        server.add(picture())
        server.wait_for(lambda: len(server.completed) == 2)
    server.left.clear()
    with start():
        server.add(picture(3))
        server.wait_for(lambda: len(server.completed) == 3)
        second = comfyui.history(str(server.completed[2].prompt_id))
    assert first is not None
    assert second is not None
    assert first.extra_data["client_id"] == second.extra_data["client_id"]


def _job(server: Any, content: bytes, name: str) -> Claimed:
    return Claimed(
        job_id=uuid.uuid4(),
        fence=1,
        token="t",
        attempt=1,
        kind=JobKind.RUN,
        prompt=json.dumps(json.loads(with_loaded(name))),
        extra_data="{}",
        recompute=False,
        inputs=[server.add_input(content, name)],
        pins=[],
        lease_s=10,
        deadline_s=60,
    )
