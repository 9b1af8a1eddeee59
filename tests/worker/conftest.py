"""A worker between a fake server and the stand-in engine, all three real processes' worth of HTTP."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.worker.agent import Agent, Options
from memoryd.worker.stopping import Stopping


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"worker_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fake_server = _load("fake_server")


@pytest.fixture(scope="session")
def one_server() -> Iterator[Any]:
    """The server of all tests here: starting one costs more than most tests."""
    with fake_server.running_server() as fake:
        yield fake


@pytest.fixture
def server(one_server: Any) -> Any:
    """A server that keeps its queue in memory, and knows of nothing yet."""
    one_server.reset()
    return one_server


@pytest.fixture(scope="session")
def engine_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the engine's folders `output` and `input` lie."""
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="session")
def one_engine(engine_home: Path) -> Iterator[str]:
    """The stand-in of all tests here."""
    with running(EngineOptions(output=engine_home / "output", input=engine_home / "input")) as url:
        yield url


@pytest.fixture
def engine_url(one_engine: str, engine_home: Path) -> str:
    """A stand-in engine with an empty queue, an empty cache and empty folders."""
    with httpx.Client(base_url=one_engine, trust_env=False) as http:
        http.post("/queue", json={"clear": True})
        http.post("/interrupt")
        http.post("/history", json={"clear": True})
        http.post("/free", json={"free_memory": True})
    for folder in ("output", "input"):
        shutil.rmtree(engine_home / folder)
        (engine_home / folder).mkdir()
    return one_engine


@pytest.fixture
def worker_options(server: Any, engine_url: str, tmp_path: Path) -> Options:
    """How the worker runs."""
    return Options(
        server=server.url,
        comfyui=engine_url,
        state=tmp_path / "state",
        token=fake_server.TOKEN,
        label="test",
        host="here",
        claim_wait_s=0.2,
    )


Start = Callable[..., contextlib.AbstractContextManager[Stopping]]


@pytest.fixture
def start(worker_options: Options) -> Start:
    """`with start() as stopping:` runs a worker, and asks it to end at the block's end."""

    @contextlib.contextmanager
    def starting(drain_limit_s: float = 10, options: Options = worker_options) -> Iterator[Stopping]:
        stopping = Stopping(drain_limit_s)
        agent = Agent(options, stopping)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                agent.run()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work, name="worker")
        thread.start()
        try:
            yield stopping
        finally:
            if not stopping.asked():
                stopping.ask()
            thread.join(timeout=20)
        assert not thread.is_alive()
        if failures:
            raise failures[0]

    return starting
