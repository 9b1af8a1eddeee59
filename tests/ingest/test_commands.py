from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from memoryd.foundation.errors import NotAcceptable
from memoryd_cli import ingest, watching
from memoryd_cli.client import Client
from tests.ingest.conftest import TestClient
from tests.ingest.pictures import picture

app = typer.Typer()
ingest.register(app)
watching.register(app)
RUN = CliRunner()


@pytest.fixture(autouse=True)
def _spoken_to(local: TestClient, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("http://127.0.0.1:7860", None, transport=local._transport)
    for commands in (ingest, watching):
        monkeypatch.setattr(commands, "server", lambda: client)
    monkeypatch.setattr(ingest, "POLL_S", 0.02)


def run(*words: str | Path, code: int = 0) -> str:
    answer = RUN.invoke(app, [str(word) for word in words])
    assert answer.exit_code == code, answer.output
    return answer.output


def test_a_folder_is_taken_in_and_bad_files_are_tried_again(folder: Path) -> None:
    (folder / "a.png").write_bytes(picture())
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 60)
    assert "2 to read" in run("ingest", folder, "--custody", "keep", "--plan")
    said = run("ingest", folder)
    assert "1 new" in said
    assert "1 in quarantine" in said
    assert "broken" in run("quarantine", "list")
    assert "still broken" in run("quarantine", "retry")
    (folder / "b.png").unlink()
    assert "gone" in run("quarantine", "retry")
    assert json.loads(run("ingest", folder, "--json"))["plan"]["known"] == 1


def test_roots_are_added_named_and_retired(folder: Path) -> None:
    root = json.loads(run("roots", "add", folder, "--json"))
    run("roots", "alias", root["id"], "desk", "Z:\\out")
    assert "desk=Z:\\out" in run("roots", "list")
    assert "paused" in run("roots", "pause", root["id"])
    assert "online" in run("roots", "accept", root["id"])
    run("roots", "retire", root["id"])
    assert root["id"] not in run("roots", "list")


def test_what_cannot_be_taken_in_is_an_error_with_the_next_step(folder: Path) -> None:
    refused = RUN.invoke(app, ["ingest", str(folder / "nowhere")]).exception
    assert isinstance(refused, NotAcceptable)
    assert "nowhere" in refused.detail
    assert refused.hint


def test_ctrl_c_stops_after_the_present_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.png").write_bytes(picture())

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ingest, "_follow", interrupted)
    outcome = RUN.invoke(app, ["ingest", str(folder)])
    assert outcome.exit_code in (0, 130)
    assert "new" in outcome.output
