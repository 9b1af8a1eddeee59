from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from memoryd.access import people, projects
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotFound
from memoryd.outpost.outpost import NoToken
from memoryd_cli import watching
from memoryd_cli.client import Client
from memoryd_cli.watching import BadRule, read_rule

app = typer.Typer()
watching.register(app)
app.command("other")(lambda: None)
RUN = CliRunner()


@pytest.fixture(autouse=True)
def _spoken_to(local: TestClient, monkeypatch: pytest.MonkeyPatch, database: Database, tenant: TenantScope) -> None:
    client = Client("http://127.0.0.1:7860", None, transport=local._transport)
    monkeypatch.setattr(watching, "server", lambda: client)
    with database.tenant_work(tenant) as session:
        projects.ensure_project(session, "acme")
        people.ensure_person(session, "bea", "Bea")


def run(*words: str | Path, code: int = 0) -> str:
    answer = RUN.invoke(app, ["watch", *(str(word) for word in words)])
    assert answer.exit_code == code, f"{answer.output}{answer.exception!r}"
    return answer.output


def test_a_folder_is_added_with_rules_that_can_be_tried_shown_and_replaced(folder: Path) -> None:
    added = json.loads(
        run(
            "add",
            folder,
            "--project",
            "acme",
            "--person",
            "bea",
            "--rule",
            "{project}/{person}/**",
            "--create-projects",
            "--json",
        )
    )
    assert added["rules"] == [{"pattern": "{project}/{person}/**", "project": None, "person": None}]
    said = run("test", folder / "New Client" / "nobody" / "a.png")
    assert "project new-client, person bea: by the rule {project}/{person}/**" in said
    assert "the project new-client would be made" in said
    assert "there is no person 'nobody'" in said
    assert "project acme, person bea: by the folder's default" in run("test", "a.png", "--root", folder)
    run("rules", folder, "--rule", "x/** => project=acme", "--rule", "{person}/*", "--no-create-projects")
    assert run("rules", folder).splitlines() == ["x/** => project=acme", "{person}/*"]
    assert "rule: {person}/*" in run("show", folder)
    assert "no rules" in run("rules", folder, "--clear")
    run("add", folder, "--project", "default", "--rule", "{person}/*")
    assert "project default, person bea: by the folder's default" in run("test", "a.png", "--root", folder)
    assert run("rules", folder).splitlines() == ["{person}/*"]


def test_a_folder_is_listed_paused_resumed_and_removed(folder: Path) -> None:
    run("add", folder)
    assert str(folder) in run("list")
    assert "paused" in run("pause", folder)
    assert "online" in run("resume", folder)
    assert "removed" in run("remove", folder)
    assert str(folder) not in run("list")
    assert "removed" in run("list", "--all")
    assert "online" in run("resume", folder)


def test_a_folder_that_is_not_watched_is_told_with_the_next_step() -> None:
    for words in (("show", "/nowhere"), ("test", "/nowhere/a.png")):
        told = RUN.invoke(app, ["watch", *words]).exception
        assert isinstance(told, NotFound)
        assert told.hint


def test_a_path_in_the_place_of_a_command_is_a_folder_for_a_server_elsewhere(folder: Path) -> None:
    told = RUN.invoke(app, ["watch", str(folder), "--server", "http://127.0.0.1:1"], env={"MEMORYD_KEY": ""})
    assert isinstance(told.exception, NoToken)
    # A folder that is named like a command is named with its path.
    assert RUN.invoke(app, ["watch", "./list"]).exit_code == 2


@pytest.mark.parametrize("text", ["a/** => project", "a/** => client=x", "a/** => project="])
def test_a_rule_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadRule):
        read_rule(text)
