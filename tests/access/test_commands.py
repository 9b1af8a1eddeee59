"""The commands about people and the trail, against this room's own endpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from memoryd.access import sealer
from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.foundation.database import TenantScope
from memoryd_cli import audit_trail, people
from memoryd_cli.client import Client
from tests.access.conftest import Knows, TestClient

app = typer.Typer()
people.register(app)
RUN = CliRunner()


@pytest.fixture(autouse=True)
def _spoken_to(stranger: TestClient, tenant: TenantScope, know: Knows, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("https://studio.example", know(tenant, "boss", Role.ADMIN).token, transport=stranger._transport)
    monkeypatch.setattr(people, "server", lambda: client)
    monkeypatch.setattr(audit_trail, "server", lambda: client)


def run(*words: str | Path, code: int = 0, **more: str) -> str:
    answer = RUN.invoke(app, [str(word) for word in words], **more)  # type: ignore[arg-type]
    assert answer.exit_code == code, answer.output
    return answer.output


def test_people_and_projects() -> None:
    assert "project film: The film" in run("projects", "add", "film", "--name", "The film")
    said = run("people", "add", "ada@studio", "--name", "Ada", "--role", "producer", "--project", "film")
    assert "ada@studio: producer in film" in said
    assert "https://studio.example/sign-in?token=default." in said
    assert "ada@studio\tAda\tproducer in film" in run("people", "list")
    assert "?token=" in run("people", "link", "ada@studio")
    assert [p["slug"] for p in json.loads(run("projects", "list", "--json"))["items"]] == ["default", "film"]
    run("people", "erase", "ada@studio", input="n\n", code=1)
    run("people", "erase", "ada@studio", "--yes")
    assert "ada@studio" not in run("people", "list")


def test_keys() -> None:
    made = json.loads(
        run("keys", "add", "nightly", "--scope", "read", "--scope", "report", "--expires", "90d", "--json")
    )
    assert f"{made['prefix']}\tnightly\tboss\tread report" in run("keys", "list")
    run("keys", "revoke", made["prefix"])
    assert "revoked" in run("keys", "list")
    assert run("keys", "add", "x", "--scope", "read").startswith("mk_")
    run("keys", "add", "x", "--scope", "read", "--expires", "soon", code=1)


def test_the_trail(offices: Offices, tenant: TenantScope, tmp_path: Path) -> None:
    run("projects", "add", "film")
    sealer.seal_once(offices.database, tenant, offices.keys)
    assert "\tboss\tproject.ensure\t" in run("audit", "list")
    kept, exported = tmp_path / "kept.json", tmp_path / "trail.jsonl"
    assert "entry 1" in run("audit", "checkpoint", "--out", kept)
    assert "intact: 1 entries, signed up to 1" in run("audit", "verify")
    assert "intact" in run("audit", "verify", "--checkpoint", kept)
    run("audit", "export", "--out", exported)
    assert json.loads(run("audit", "verify", exported, "--checkpoint", kept, "--json"))["intact"]
    exported.write_bytes(exported.read_bytes().replace(b"film", b"folm"))
    assert "NOT INTACT" in run("audit", "verify", exported, code=1)


def test_a_file_verifies_without_any_server(
    offices: Offices, tenant: TenantScope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("projects", "add", "film")
    run("audit", "export", "--out", tmp_path / "trail.jsonl")

    def nobody() -> Client:
        raise AssertionError("no server is needed")

    monkeypatch.setattr(audit_trail, "server", nobody)
    assert "intact: 1 entries" in run("audit", "verify", tmp_path / "trail.jsonl")
