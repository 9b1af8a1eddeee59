"""`memoryd reproduce --plan` and `memoryd holds`: plain lines, JSON, and exit codes that a script can use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from memoryd.access.facts import Role
from memoryd_cli import holds, plans, reproduction, search
from memoryd_cli.client import Client
from memoryd_cli.main import command_line
from tests.reproduction.studio import Studio, studio
from tests.reproduction.test_plans import BARE, BASIC, BATCH, WEIGHTS, digest, join

__all__ = ["studio"]

Run = Callable[..., Result]


@pytest.fixture
def run(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command against the application."""
    with studio.speaking() as speaking:
        token = studio.key(Role.ADMIN)["Authorization"].removeprefix("Bearer ")
        client = Client("https://studio.example", token, transport=speaking._transport)
        for module in (holds, plans, reproduction, search):
            monkeypatch.setattr(module, "server", lambda: client)
        app = command_line(("reproduction", "holds"))
        yield lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


def test_a_plan_is_told_with_its_workers_and_ends_well_where_it_can_be_made(studio: Studio, run: Run) -> None:
    studio.take_in(BATCH, BARE)
    join(studio, "gpu-1", models={"tiny-sd15-random": WEIGHTS.hex()})
    told = run("reproduce", "--plan", digest(studio, BATCH))
    assert told.exit_code == 0, told.output
    for word in ("can be made again now", "batch: 4 pictures", "model-hash-unknown", "gpu-1 (default; online", "Next:"):
        assert word in told.output
    hindered = run("reproduce", "--plan", digest(studio, BARE))
    assert (hindered.exit_code, "no-graph" in hindered.output) == (12, True)
    spelled = json.loads(run("reproduce", "--plan", digest(studio, BATCH), "--json").stdout)
    assert spelled["possible"] is True
    assert run("reproduce").exit_code == 2


def test_an_outlook_is_told_with_counts_and_reasons(studio: Studio, run: Run) -> None:
    studio.take_in(BASIC, BARE)
    join(studio, "gpu-1", models={"tiny-sd15-random": WEIGHTS.hex()})
    told = run("reproduce", "--plan", "--project", "default")
    assert told.exit_code == 0, told.output
    assert "1 of 2 pictures can be made again" in told.output
    assert "no-graph\t1" in told.output
    found = run("reproduce", "--plan", "--search", "is:all", "--json")
    assert json.loads(found.stdout)["counted"]["lines"] == 2
    assert run("reproduce", "--plan").exit_code != 0


def test_holds_are_listed_checked_and_let_go(studio: Studio, run: Run, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    file = studio.folder / BASIC
    assert run("holds", "check", file).exit_code == 0
    with studio.speaking() as client:
        at = f"/v1/assets/{digest(studio, BASIC)}/approval"
        assert client.put(at, json={"state": "approved"}, headers=studio.key(Role.PRODUCER)).status_code < 300
    listed = run("holds", "list")
    assert "approved" in listed.output
    assert digest(studio, BASIC) in listed.output
    assert run("holds", "check", file).exit_code == 6
    assert run("holds", "check", hashlib.sha256(b"nothing").hexdigest()).exit_code == 0
    assert "let go" in run("holds", "release", file, "-m", "reshot").output
    assert run("holds", "check", file).exit_code == 0
    assert "held again" in run("holds", "again", file).output
    assert run("holds", "check", file).exit_code == 6
