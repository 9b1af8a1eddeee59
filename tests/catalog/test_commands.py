"""The commands that find, show and attach, against this room's and the search's own endpoints."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import typer
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from memoryd.access.facts import Role
from memoryd.access.projects import ensure_project
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Database, TenantScope
from memoryd_cli import annotations as annotating
from memoryd_cli import attribution as attributing
from memoryd_cli import removal as removing
from memoryd_cli import reports as reporting
from memoryd_cli import search as searching
from memoryd_cli import watching
from memoryd_cli.client import Client
from tests.catalog.conftest import Knock
from tests.catalog.records import digest, record

app = typer.Typer()
searching.register(app)
annotating.register(app)
removing.register(app)
reporting.register(app)
attributing.register(app)
RUN = CliRunner()


@pytest.fixture(autouse=True)
def _spoken_to(
    stranger: TestClient, tenant: TenantScope, key_of: Knock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = key_of(tenant, Role.ADMIN, None)["Authorization"].removeprefix("Bearer ")
    client = Client("https://studio.example", token, transport=stranger._transport)
    monkeypatch.setattr(searching, "server", lambda: client)
    for part in (annotating, removing, attributing, watching):
        monkeypatch.setattr(part, "server", lambda: client)
    with database.tenant_work(tenant) as session:
        fox = ensure_project(session, "fox")
        record_assets(
            session,
            [
                record(
                    "pic", project=fox, path="pic.png", seed=2**64 - 1, lora="ink.safetensors", inputs=(digest("up"),)
                ),
                record("up", project=fox, prompt="an owl \x1b[31m in snow", minutes=1),
            ],
        )


def _client() -> Client:
    client: Client = vars(searching)["server"]()
    return client


PIC, UP = digest("pic").hex(), digest("up").hex()


def run(*words: str | Path, code: int = 0) -> str:
    answer = RUN.invoke(app, [str(word) for word in words])
    assert answer.exit_code == code, answer.output
    return answer.output


def test_a_search_is_a_table_or_json_and_goes_on() -> None:
    first = run("search", "--limit", "1")
    assert UP[:12] in first
    assert "\x1b" not in first
    page = json.loads(run("search", "--limit", "1", "--json"))
    assert f"--cursor {page['next_cursor']}" in first
    assert f"{PIC[:12]}\t2026-11-01 12:00\t64x64\t18446744073709551615" in run(
        "search", "--cursor", page["next_cursor"]
    )
    assert PIC[:12] in run("search", "lora:ink", "-snow")
    assert "Nothing found" in run("search", "unicorn")


def test_a_picture_is_shown_whole() -> None:
    run("tag", PIC[:8], "add", "hero shot", "b")
    run("rate", PIC[:8], "4")
    run("note", PIC[:8], "more fur")
    run("collect", PIC[:8], "delivery")
    run("approve", PIC[:8], "-m", "ship it")
    said = run("show", PIC[:8])
    for line in (
        "seed 18446744073709551615",
        "a red fox",
        "ink.safetensors 0.8/0.6 (content unknown; licence unknown)",
        "lies at      pic.png",
    ):
        assert line in said
    assert "fox: tags b, hero shot; 4 stars; in delivery; approved" in said
    assert "more fur" in said
    assert json.loads(run("show", PIC[:8], "--json"))["sha256"] == PIC
    assert "\x1b" not in run("show", UP[:8])


def test_what_was_attached_can_be_taken_back() -> None:
    run("tag", PIC[:8], "add", "b")
    assert "Removed: b" in run("tag", PIC[:8], "remove", "b")
    assert "Nothing to change" in run("tag", PIC[:8], "remove", "b")
    run("collect", PIC[:8], "c")
    run("collect", PIC[:8], "c", "--remove")
    run("rate", PIC[:8], "0")
    run("approve", PIC[:8], "--reject")
    run("approve", PIC[:8], "--withdraw")
    assert "  project      fox\n" in run("show", PIC[:8])


def test_the_family_is_shown() -> None:
    assert f"made from\t1\t{UP[:12]}\tinput" in run("lineage", PIC[:8])
    assert f"made into\t1\t{PIC[:12]}\tinput" in run("lineage", UP[:8])


def test_a_file_is_looked_up_by_its_content(tmp_path: Path, database: Database, tenant: TenantScope) -> None:
    (tmp_path / "renamed elsewhere.png").write_bytes(b"some picture")
    with database.tenant_work(tenant) as session:
        known = record("local", project=ensure_project(session, "fox"))
        known = dataclasses.replace(known, sha256=hashlib.sha256(b"some picture").digest())
        record_assets(session, [known])
    assert hashlib.sha256(b"some picture").hexdigest() in run("show", tmp_path / "renamed elsewhere.png")


def test_what_is_not_there_is_an_error() -> None:
    run("show", "nowhere.png", code=1)


def test_one_picture_that_cannot_be_brought_back_keeps_no_other_from_it() -> None:
    run("reject", PIC)
    assert f"{PIC} was rejected, and is back" in run("bring-back", UP, PIC, code=1)
    assert PIC[:12] in run("search", "seed:18446744073709551615")


def test_a_picture_is_named_by_the_place_where_it_lay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"image {PIC}" in run("show", "pic.png")


def test_a_declaration_says_what_made_it_also_where_no_model_did() -> None:
    assert "--made-by camera" in run("attest", UP, "--not-generated", code=2)
    assert "Declared" in run("attest", UP, "--made-by", "camera", "--not-generated")


def test_a_copy_does_not_name_a_picture(database: Database, tenant: TenantScope) -> None:
    with database.tenant_work(tenant) as session:
        fox = ensure_project(session, "fox")
        known = record("pic", project=fox, path="later/copy.png", seed=2**64 - 1, lora="ink.safetensors")
        record_assets(session, [known])
    assert "\tpic.png" in run("search", "seed:18446744073709551615")


def test_several_pictures_are_reported_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, object]] = []
    client = _client()

    class Spy:
        """The room's own client, and a door for reports that keeps what is asked."""

        def get(self, path: str, **params: object) -> object:
            return client.get(path, **params)

        def post(self, path: str, json: dict[str, object]) -> dict[str, str]:
            asked.append(json)
            return {"name": "r", "report": "{}", "signature": "s"}

    monkeypatch.setattr(reporting, "server", Spy)
    run("report", PIC, UP, "--out", tmp_path)
    assert asked == [{"format": "json", "query": f"is:all sha256:{PIC[:24]} OR sha256:{UP[:24]}"}]
