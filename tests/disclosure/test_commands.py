from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from memoryd.foundation.errors import MemorydError
from memoryd_cli import disclosure

app = typer.Typer()
disclosure.register(app)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own, with no server running from it."""
    monkeypatch.setenv("MEMORYD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_file_is_disclosed_and_verified_without_a_server(fixtures: Path, tmp_path: Path) -> None:
    shutil.copy2(fixtures / "images" / "txt2img_seed_u64max.png", tmp_path / "fox.png")
    before = (tmp_path / "fox.png").read_bytes()
    made = CliRunner().invoke(app, ["disclose", str(tmp_path / "fox.png"), "--json"])
    assert made.exit_code == 0, made.output
    answer = json.loads(made.stdout)
    assert answer["file"] == str(tmp_path / "fox.disclosed.png")
    assert (tmp_path / "fox.png").read_bytes() == before
    checked = CliRunner().invoke(app, ["verify", answer["file"], "--json"])
    assert checked.exit_code == 0
    verdict = json.loads(checked.stdout)
    assert verdict["state"] == "valid"
    assert verdict["generated_by_ai"] == "yes"
    assert verdict["signer"]["development"]
    assert verdict["generation"]["samplers"][0]["seed"] == "18446744073709551615"


def test_verify_tells_by_its_exit_code_what_a_script_needs(fixtures: Path, tmp_path: Path) -> None:
    shutil.copy2(fixtures / "images" / "txt2img_basic.png", tmp_path / "fox.png")
    nothing = CliRunner().invoke(app, ["verify", str(tmp_path / "fox.png")])
    assert nothing.exit_code == disclosure.NO_MANIFEST_EXIT_CODE
    CliRunner().invoke(app, ["disclose", str(tmp_path / "fox.png"), "--out", str(tmp_path / "signed.png")])
    with (tmp_path / "signed.png").open("ab") as file:
        file.write(b"more")
    changed = CliRunner().invoke(app, ["verify", str(tmp_path / "signed.png")])
    assert changed.exit_code == disclosure.BAD_VERDICT_EXIT_CODE
    assert "changed after it was signed" in changed.output


def test_without_evidence_nothing_is_written(fixtures: Path, tmp_path: Path) -> None:
    shutil.copy2(fixtures / "images" / "no_metadata.png", tmp_path / "bare.png")
    refused = CliRunner().invoke(app, ["disclose", str(tmp_path / "bare.png")])
    assert isinstance(refused.exception, MemorydError)
    assert "no graph" in refused.exception.detail
    assert not (tmp_path / "bare.disclosed.png").exists()


def test_pki_init_says_that_it_is_a_development_certificate(home: Path) -> None:
    said = CliRunner().invoke(app, ["pki", "init"])
    assert said.exit_code == 0
    assert "not a public identity" in said.stdout
    assert (home / "keys" / "pki" / "development" / "key.pem").stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(app, ["pki", "init", "--json"])
    assert json.loads(again.stdout)["development"] is True
