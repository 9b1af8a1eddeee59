"""Every endpoint and command: a stranger, another tenant, somebody without the right, then it works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from typer.testing import CliRunner

from memoryd.access import keys, people, projects
from memoryd.access.facts import Role, Scope
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotAcceptable, NotAllowed, NotFound
from memoryd.model_registry.licence_desk import endpoints
from memoryd_cli import licences as commands
from memoryd_cli import models as model_commands
from memoryd_cli.client import Client
from memoryd_cli.main import command_line
from tests.model_registry.conftest import TestClient
from tests.model_registry.licensing.test_overriding import HOUSE
from tests.model_registry.test_endpoints import batch

ClientOf = Callable[..., Client]
ROUTES = [
    (method, route.path)
    for route in endpoints.router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]
WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/licences", {"document": HOUSE, "reason": "ours"}),
    ("/licences/mit/overrides", {"terms": {"training_ban": True}, "reason": "x"}),
    ("/licences/mit/restore", {"reason": "x"}),
    ("/models/ink.safetensors/grants", {"name": "mit", "reason": "x"}),
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_stranger_is_not_recognised(http: TestClient, method: str, path: str) -> None:
    place = path.replace("{ref:path}", "x.pt").replace("{licence:path}", "mit")
    place = place.replace("{grant_id}", "0198c0de-0000-7000-8000-000000000000")
    assert "{" not in place
    assert http.request(method, f"/v1{place}", json={} if method == "POST" else None).status_code == 401


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ARTIST, Role.PRODUCER])
def test_who_does_not_answer_for_licences_reads_and_changes_none(
    client_of: ClientOf, tenant: TenantScope, models: Path, role: Role
) -> None:
    client_of(tenant, Role.ADMIN).post("/models/observations", json=batch(models))
    client = client_of(tenant, role)
    for path, body in WRITES:
        with pytest.raises(NotAllowed):
            client.post(path, json=body)
    assert client.get("/licences/mit")["terms"]["training_ban"] is False
    assert client.get("/models/ink.safetensors/grants")["items"][0]["licence"] == "cc-by-4.0"


def test_an_officer_of_one_project_does_not_speak_for_all(
    http: TestClient, database: Database, tenant: TenantScope
) -> None:
    with database.tenant_work(tenant) as session:
        person = people.ensure_person(session, "one@studio", "One")
        project = projects.ensure_project(session, "one", "One")
        people.grant_role(session, person, Role.OFFICER, project)
        key = keys.make_key(session, tenant, name="one", scopes=frozenset(Scope) - {Scope.WORK}, person=person)
    client = Client("https://studio.example", key.token, transport=http._transport)
    with pytest.raises(NotAllowed):
        client.post("/licences/mit/overrides", json={"terms": {"training_ban": True}, "reason": "x"})
    assert client.get("/licences", q="mit")["items"][0]["id"] == "mit"


def test_an_officer_changes_terms_and_another_tenant_sees_nothing_of_it(
    client_of: ClientOf, tenant: TenantScope, other_tenant: TenantScope, models: Path
) -> None:
    officer, rival = client_of(tenant, Role.OFFICER), client_of(other_tenant, Role.ADMIN)
    client_of(tenant, Role.ADMIN).post("/models/observations", json=batch(models))
    for path, body in WRITES[:2]:
        officer.post(path, json=body)
    shown = officer.get("/licences/MIT License")
    assert (shown["local"], shown["terms"]["training_ban"], len(shown["versions"])) == (True, True, 1)
    assert [row["id"] for row in officer.get("/licences", local=True)["items"]] == ["house-licence", "mit"]
    assert rival.get("/licences", local=True)["items"] == []
    assert rival.get("/licences/mit")["terms"]["training_ban"] is False
    with pytest.raises(NotFound):
        rival.get("/licences/house-licence")
    with pytest.raises(NotFound):
        rival.get("/models/ink.safetensors/grants")
    with pytest.raises(NotFound):
        rival.post("/models/ink.safetensors/grants", json={"name": "mit", "reason": "x"})
    assert officer.post("/licences/mit/restore", json={"reason": "no"})["terms"]["training_ban"] is False
    assert officer.post("/licences/house-licence/restore", json={"reason": "no"}) == {"terms": None}


def test_a_model_is_granted_a_licence_and_the_statement_withdrawn(
    client_of: ClientOf, tenant: TenantScope, other_tenant: TenantScope, models: Path
) -> None:
    officer, admin = client_of(tenant, Role.OFFICER), client_of(tenant, Role.ADMIN)
    admin.post("/models/observations", json=batch(models))
    assert admin.get("/models/base.safetensors/grants")["items"] == []
    [before] = officer.get("/models/loras/style/ink.safetensors/grants")["items"]
    assert (before["source"], before["licence"], before["inherited"]) == ("header", "cc-by-4.0", False)
    body = {"name": "house terms", "reason": "asked the author"}
    [after] = officer.post("/models/ink.safetensors/grants", json=body)["items"]
    assert (after["source"], after["licence"], after["title"], after["reason"]) == (
        "person",
        None,
        "house terms",
        "asked the author",
    )
    place = f"/models/ink.safetensors/grants/{after['statement_id']}"
    with pytest.raises(NotFound):
        client_of(other_tenant, Role.ADMIN).delete(place)
    assert officer.delete(place)["items"] == [before]


def test_pages_of_licences_hold_all_of_them_once(client_of: ClientOf, tenant: TenantScope) -> None:
    client, seen, cursor = client_of(tenant, Role.VIEWER), [], None
    while True:
        page = client.get("/licences", limit=7, cursor=cursor)
        seen += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert {"mit", "flux-1-dev-non-commercial", "tencent-hunyuan-video-community"} <= set(seen)
    with pytest.raises(NotAcceptable):
        client.get("/licences", cursor="nonsense")


def test_hostile_requests_are_refused_with_the_place(client_of: ClientOf, tenant: TenantScope) -> None:
    client = client_of(tenant, Role.ADMIN)
    for document in (
        {},
        {**HOUSE, "title": "\0"},
        {**HOUSE, "url": "javascript:alert(1)"},
        {**HOUSE, "notes": "x" * 70_000},
    ):
        with pytest.raises(NotAcceptable):
            client.post("/licences", json={"document": document, "reason": "x"})
    for terms in ({"id": "x"}, {"users_cap": "many"}, {"__class__": 1}):
        with pytest.raises(NotAcceptable):
            client.post("/licences/mit/overrides", json={"terms": terms, "reason": "x"})


def test_the_commands_say_what_the_endpoints_do(
    client_of: ClientOf, tenant: TenantScope, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(tenant, Role.ADMIN)
    client.post("/models/observations", json=batch(models))
    monkeypatch.setattr(commands, "server", lambda: client)
    app = command_line(("licences",))

    def run(*words: str) -> str:
        answer = CliRunner().invoke(app, ["licences", *words], catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return answer.output

    assert "flux-1-dev-non-commercial\tyes\tno\tH\tdisputed" in run("list")
    assert "revenue_cap = amount 1000000, currency USD, above paid-licence" in run("show", "stabilityai-ai-community")
    file = tmp_path / "house.json"
    file.write_text(json.dumps(HOUSE))
    assert "house-licence" in run("add", str(file), "--reason", "ours")
    changed = run("override", "mit", "--term", "training_ban=true", "--term", "disputed=two readings", "--reason", "us")
    assert "disputed = two readings\n    override: us" in changed
    assert "mit 2026-11-21+local.2" in run("restore", "mit", "--term", "disputed", "--reason", "one reading")
    assert [row["id"] for row in json.loads(run("list", "--local", "--json"))["items"]] == ["house-licence", "mit"]
    assert "header\tcc-by-4.0" in run("of", "ink.safetensors")
    assert "person\thouse-licence" in run("state", "ink.safetensors", "studio-internal", "--reason", "ours")
    statement = json.loads(run("of", "ink.safetensors", "--json"))["items"][0]["statement_id"]
    assert "header\tcc-by-4.0" in run("withdraw", "ink.safetensors", statement)
    assert "unknown: nobody named a licence" in run("of", "base.safetensors")
    monkeypatch.setattr(model_commands, "server", lambda: client)
    words = ["models", "licence", "ink.safetensors", "MIT", "--reason", "the author's mail"]
    assert CliRunner().invoke(command_line(("models",)), words, catch_exceptions=False).exit_code == 0
    assert "person\tmit\tyes\tyes\tM\tthe author's mail" in run("of", "ink.safetensors")
