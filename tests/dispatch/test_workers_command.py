"""`memoryd workers`, against a server that listens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import typer
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from memoryd.access.guards import Offices
from memoryd.foundation.errors import MemorydError
from memoryd_cli import workers
from memoryd_cli.client import Client
from tests.dispatch.test_worker_sockets import Hand, serving
from tests.submission import conftest as farm

offices = farm.offices
Command = Callable[..., Result]


@pytest.fixture
def url(offices: Offices) -> Iterator[str]:
    app: FastAPI = farm.app.__wrapped__(offices)  # type: ignore[attr-defined]
    with serving(app) as address:
        yield address


@pytest.fixture
def command(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    client = Client(url, None)
    monkeypatch.setattr(workers, "server", lambda: client)
    app = typer.Typer()
    workers.register(app)

    def run(*words: str, **more: Any) -> Result:
        return CliRunner().invoke(app, ["workers", *words], **more)

    yield run
    client._http.close()


@pytest.fixture
def hand(url: str) -> Hand:
    with httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as person:
        joined = Hand(url, person)
    model = {"folder": "vae", "path": "a.safetensors", "size": 1, "mtime_ns": "1", "sha256": "c" * 64}
    joined.say(
        "register",
        label="gpu",
        host="rack-7",
        environment={"comfyui": "0.29.0"},
        models=[model, {**model, "path": "b.safetensors", "sha256": None}],
        nodes_sha256="0" * 64,
        classes=[],
        gpu={"name": "NVIDIA H200", "vram_mb": 143_771},
        node_packs=[{"name": "impact", "remote": "https://github.com/a/b", "commit": "a" * 40}],
        launch_flags=["--fp16-unet"],
    )
    return joined


def test_a_worker_is_shown_drained_undrained_and_removed_by_label_or_id(command: Command, hand: Hand) -> None:
    shown = command("show", "gpu", "--models").output
    for words in (
        "NVIDIA H200, memory 143771 MB, driver unknown",
        "impact at aaaaaaaaaaaa from https://github.com/a/b",
        "--fp16-unet",
        "2, 1 of them hashed",
        "c" * 64,
        "not hashed yet",
    ):
        assert words in shown
    detail = json.loads(command("show", hand.worker_id, "--json", "--models").output)
    assert (detail["host"], len(detail["model_files"])) == ("rack-7", 2)
    assert command("drain", "gpu").exit_code == 0
    assert json.loads(command("list", "--json").output)["items"][0]["state"] == "draining"
    assert command("undrain", hand.worker_id).exit_code == 0
    assert json.loads(command("list", "--json").output)["items"][0]["state"] == "active"
    assert command("remove", "gpu", input="n\n").exit_code != 0
    assert json.loads(command("list", "--json").output)["items"] != []
    assert "0 jobs wait again" in command("remove", "gpu", "--yes").output
    assert json.loads(command("list", "--json").output)["items"] == []


@pytest.mark.parametrize("words", [("show", "none"), ("drain", "none"), ("undrain", "none"), ("remove", "none", "-y")])
def test_a_worker_that_is_not_there_is_answered_with_the_next_step(command: Command, words: tuple[str, ...]) -> None:
    error = command(*words).exception
    assert isinstance(error, MemorydError)
    assert error.hint
    assert error.exit_code == 5


def test_two_workers_of_one_label_must_be_told_apart(command: Command, url: str, hand: Hand) -> None:
    with httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as person:
        Hand(url, person)
    error = command("drain", "gpu").exception
    assert isinstance(error, MemorydError)
    assert "2 workers" in error.detail
