"""The engines under test: the stand-in always, a real ComfyUI where its address is given."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.stand_in.serving import Options, running

URL_VARIABLE = "MEMORYD_TEST_COMFYUI_URL"


@pytest.fixture(scope="session")
def stand_in_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stand-in of this test run."""
    home: Path = tmp_path_factory.mktemp("stand-in")
    with running(Options(output=home / "output", input=home / "input")) as url:
        yield url


@pytest.fixture(scope="session", params=["stand-in", pytest.param("comfyui", marks=pytest.mark.comfyui)])
def engine_url(request: pytest.FixtureRequest) -> str:
    """Each engine's address in turn."""
    if request.param == "stand-in":
        return str(request.getfixturevalue("stand_in_url"))
    url = os.environ.get(URL_VARIABLE)
    if not url:
        pytest.skip(f"no real ComfyUI to compare with: set {URL_VARIABLE} to the address of one that may be used")
    return url


@pytest.fixture
def engine(engine_url: str) -> Iterator[ComfyClient]:
    """A client of each engine in turn."""
    with ComfyClient(engine_url) as client:
        yield client


@pytest.fixture(scope="session")
def http(engine_url: str) -> Iterator[httpx.Client]:
    """Plain HTTP to each engine in turn, for what the client does not speak."""
    with httpx.Client(base_url=engine_url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def history(fixtures: Path) -> Any:
    """`history(name)`: a recorded run's entry."""

    def read(name: str) -> dict[str, Any]:
        return next(iter(json.loads((fixtures / "history" / f"{name}.json").read_text()).values()))

    return read
