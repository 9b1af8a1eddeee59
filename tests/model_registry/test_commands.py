"""The commands about models, against this room's own endpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from memoryd.access.facts import Role
from memoryd.foundation.database import TenantScope
from memoryd.model_registry.facts import ScanProgress
from memoryd.model_registry.scanning import scan
from memoryd_cli import model_scan
from memoryd_cli import models as commands
from memoryd_cli.client import Client
from tests.model_registry.conftest import write_model

app = typer.Typer()
commands.register(app)
RUN = CliRunner()


@pytest.fixture(autouse=True)
def _spoken_to(client_of: Callable[..., Client], tenant: TenantScope, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(tenant, Role.ADMIN)
    for module in (commands, model_scan):
        monkeypatch.setattr(module, "server", lambda: client)


def run(*words: str | Path, code: int = 0) -> str:
    answer = RUN.invoke(app, [str(word) for word in words])
    assert answer.exit_code == code, answer.output
    return answer.output


def scanned(models: Path, code: int = 0) -> dict[str, Any]:
    outcome = json.loads(run("models", "scan", models, "--json", code=code))
    assert isinstance(outcome, dict)
    return outcome


def test_a_scan_is_recorded_and_the_next_reads_only_what_changed(models: Path) -> None:
    assert "3 files, 3 read; 3 new models, 3 new names, 0 changed, 0 gone" in run("models", "scan", models)
    assert scanned(models)["files_read"] == 0
    write_model(models / "checkpoints" / "base.safetensors", shape=(4,))
    (models / "loras" / "style" / "ink.safetensors").unlink()
    outcome = scanned(models)
    assert (outcome["files_read"], outcome["names_changed"], outcome["names_gone"]) == (1, 1, 1)


def test_an_unmounted_folder_takes_no_name_away(models: Path) -> None:
    scanned(models)
    for folder in models.iterdir():
        shutil.rmtree(folder)
        folder.mkdir()
    assert scanned(models)["names_gone"] == 0


def test_an_interrupted_scan_records_what_it_read_and_is_taken_up_again(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*words: Any, on_progress: Callable[[ScanProgress], None], **more: Any) -> Any:
        def stop(progress: ScanProgress) -> None:
            on_progress(progress)
            if progress.files_done == 2:
                raise KeyboardInterrupt

        return scan(*words, on_progress=stop, **more)

    (models / "loras" / "put_loras_here").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(model_scan, "scan", interrupted)
        first = scanned(models, code=130)
    assert (first["complete"], first["files_read"], first["names_gone"]) == (False, 2, 0)
    second = scanned(models)
    assert (second["complete"], second["files_read"], second["names_new"]) == (True, 1, 1)


def test_models_are_listed_shown_and_licensed(models: Path) -> None:
    scanned(models)
    listed = run("models", "list")
    assert "CC-BY-4.0 (by the file)" in listed
    assert "loras/style/ink.safetensors" in listed
    assert len(json.loads(run("models", "list", "--unlicensed", "--json"))["items"]) == 2
    assert "and more" in run("models", "list", "--limit", "1")
    shown = run("models", "show", "base.safetensors")
    assert "licence  unknown: nobody named one" in shown
    assert "says     modelspec.title: Base" in shown
    named = run("models", "licence", "checkpoints/base.safetensors", "MIT", "--url", "https://spdx.org/licenses/MIT")
    assert "MIT (stated by a person)" in named
    assert json.loads(run("models", "show", "base.safetensors", "--json"))["licence"]["name"] == "MIT"


def test_what_could_not_be_read_is_told(models: Path) -> None:
    (models / "loras" / "broken.safetensors").write_bytes(b"an interrupted download")
    assert "broken.safetensors: not-safetensors" in run("models", "scan", models)
