"""What a person sees when the machine itself refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from memoryd.foundation.spreadsheet_file import write_csv
from memoryd_cli.client import NoServerKnown, problem, server
from memoryd_cli.file_trouble import file_trouble


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memoryd_cli", *arguments],
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_home_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    ended = run("pki", "init", MEMORYD_HOME=str(tmp_path / "file" / "home"))
    assert ended.returncode == 9
    assert "Traceback" not in ended.stderr
    assert "Next: " in ended.stderr


def test_a_full_disk_says_to_make_room() -> None:
    error = file_trouble(OSError(28, "No space left on device", "/a/file"))
    assert error.detail == "/a/file: No space left on device"
    assert "make room" in str(error.hint)


def test_without_a_server_the_next_step_is_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYD_HOME", str(tmp_path))
    monkeypatch.delenv("MEMORYD_URL", raising=False)
    server.cache_clear()
    with pytest.raises(NoServerKnown, match="none runs") as unknown:
        server()
    assert unknown.value.exit_code == 9
    assert "memoryd up" in str(unknown.value.hint)


def test_a_remark_cannot_pass_for_a_line_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    from memoryd_cli.search import _say

    _say("note", "nice\n  disclosed    yes")
    assert capsys.readouterr().out == "  note         nice\n                 disclosed    yes\n"


@pytest.mark.parametrize(
    ("asked", "headers"),
    [
        ({}, {"Authorization": "Bearer mk_own"}),
        ({"MEMORYD_TENANT": "default"}, {"Authorization": "Bearer mk_own"}),
        ({"MEMORYD_TENANT": "acme"}, {"Memoryd-Tenant": "acme"}),
        ({"MEMORYD_TENANT": "acme", "MEMORYD_KEY": "mk_acme"}, {"Authorization": "Bearer mk_acme"}),
    ],
)
def test_another_tenant_is_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], headers: dict[str, str]
) -> None:
    described = {"url": "http://127.0.0.1:1", "tenant": "default", "key": "mk_own"}
    (tmp_path / "local.json").write_text(json.dumps(described))
    monkeypatch.setenv("MEMORYD_HOME", str(tmp_path))
    for name in ("MEMORYD_URL", "MEMORYD_KEY", "MEMORYD_TENANT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    server.cache_clear()
    sent = server()._http.headers
    server.cache_clear()
    told = {name: sent[name] for name in ("Authorization", "Memoryd-Tenant") if name in sent}
    assert told == headers


def test_a_proxys_refusals_are_no_faults_of_the_server() -> None:
    assert problem(httpx.Response(413, text="<html>")).exit_code == 8
    assert problem(httpx.Response(502, text="<html>")).exit_code == 9
    assert "fault" in problem(httpx.Response(500, text="<html>")).title


def test_a_bill_has_no_formulas_and_leaves_empty_cells_empty(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(sys.stdout, ["model", "project"], [[None, "=cmd()"], ["a", "-1"]])
    assert capsys.readouterr().out.splitlines() == ["model,project", ",'=cmd()", "a,'-1"]
