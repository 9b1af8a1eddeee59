"""Every endpoint: a stranger is not recognised, another tenant's people find nothing, and then it works."""

from __future__ import annotations

import datetime
import json

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from memoryd.access import endpoints, sealer, trail_export
from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.access.sessions import SESSION_COOKIE
from memoryd.foundation.database import TenantScope
from tests.access.conftest import Known, Knows, TestClient

OPEN = {"/sign-in"}
ROUTES = [
    (method, route.path)
    for route in endpoints.router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
    if route.path not in OPEN
]


@pytest.fixture
def boss(tenant: TenantScope, know: Knows) -> Known:
    return know(tenant, "boss", Role.ADMIN)


@pytest.fixture
def foreign_boss(other_tenant: TenantScope, know: Knows) -> Known:
    return know(other_tenant, "rival", Role.ADMIN)


def test_no_endpoint_answers_a_stranger(stranger: TestClient) -> None:
    assert len(ROUTES) >= 15
    for method, path in ROUTES:
        address = "/v1" + path.format(login="local", prefix="0", slug="default")
        assert stranger.request(method, address, json={}).status_code == 401, (method, path)


def test_a_viewer_administers_nothing(stranger: TestClient, tenant: TenantScope, know: Knows) -> None:
    viewer = know(tenant, "ada", Role.VIEWER)
    free = {"/whoami", "/sign-out", ("/projects", "GET")}
    for method, path in ROUTES:
        if path in free or (path, method) in free:
            continue
        address = "/v1" + path.format(login="local", prefix="0", slug="default")
        body = {"login": "x", "slug": "x", "name": "x", "scopes": ["read"]}
        assert stranger.request(method, address, json=body, headers=viewer.headers).status_code == 403, (method, path)


def test_who_am_i(stranger: TestClient, local: TestClient, tenant: TenantScope, know: Knows) -> None:
    artist = know(tenant, "ada", Role.ARTIST, project="film")
    said = stranger.get("/v1/whoami", headers=artist.headers).json()
    assert (said["tenant"], said["name"], said["via"], said["projects"]) == ("default", "ada", "key", ["film"])
    assert said["scopes"] == ["annotate", "read", "submit"]
    assert local.get("/v1/whoami").json()["name"] == "local"


def test_people_are_added_listed_and_signed_in(
    stranger: TestClient, boss: Known, foreign_boss: Known, offices: Offices
) -> None:
    body = {"login": "Ada", "display_name": "Ada L.", "role": "producer", "email": "ada@studio.example"}
    made = stranger.post("/v1/people", json=body, headers=boss.headers)
    assert made.status_code == 201
    assert made.json()["roles"] == [{"role": "producer", "project": None}]
    assert {p["login"] for p in stranger.get("/v1/people", headers=boss.headers).json()["items"]} == {
        "ada",
        "boss",
        "local",
    }
    assert '"ada"' not in stranger.get("/v1/people", headers=foreign_boss.headers).text
    assert stranger.post("/v1/people/ada/sign-in-links", headers=foreign_boss.headers).status_code == 404
    link = stranger.post("/v1/people/ada/sign-in-links", headers=boss.headers).json()
    assert link["url"] == f"https://studio.example/sign-in?token={link['token']}"
    signed_in = stranger.post("/v1/sign-in", json={"token": link["token"]})
    assert signed_in.json() == {"tenant": "default", "name": "Ada L."}
    cookie = signed_in.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "secure"))
    assert stranger.get("/v1/whoami").json()["via"] == "session"
    assert stranger.post("/v1/sign-in", json={"token": link["token"]}).status_code == 401
    kept = stranger.cookies[SESSION_COOKIE]
    assert stranger.post("/v1/sign-out").status_code == 204
    stranger.cookies.set(SESSION_COOKIE, kept)
    assert stranger.get("/v1/whoami").status_code == 401


def test_a_foreign_page_signs_nobody_in(stranger: TestClient) -> None:
    answer = stranger.post("/v1/sign-in", json={"token": "default.0"}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_a_role_in_an_unknown_project_is_refused(stranger: TestClient, boss: Known) -> None:
    answer = stranger.post("/v1/people", json={"login": "ada", "project": "gone"}, headers=boss.headers)
    assert answer.status_code == 404
    assert '"ada"' not in stranger.get("/v1/people", headers=boss.headers).text


def test_a_person_is_erased(stranger: TestClient, boss: Known, foreign_boss: Known) -> None:
    stranger.post("/v1/people", json={"login": "ada"}, headers=boss.headers)
    assert stranger.delete("/v1/people/ada", headers=foreign_boss.headers).status_code == 404
    assert stranger.delete("/v1/people/ada", headers=boss.headers).status_code == 204
    assert stranger.delete("/v1/people/ada", headers=boss.headers).status_code == 404


def test_a_role_is_withdrawn_and_the_last_administrators_is_kept(
    stranger: TestClient, boss: Known, foreign_boss: Known
) -> None:
    stranger.post("/v1/people", json={"login": "ada"}, headers=boss.headers)
    assert stranger.delete("/v1/people/ada/roles", headers=foreign_boss.headers).status_code == 404
    assert stranger.delete("/v1/people/ada/roles", headers=boss.headers).status_code == 204
    assert stranger.delete("/v1/people/local/roles", headers=boss.headers).status_code == 204
    assert stranger.delete("/v1/people/boss/roles", headers=boss.headers).status_code == 409


def test_projects_are_made_and_seen(stranger: TestClient, boss: Known, foreign_boss: Known) -> None:
    for _ in range(2):
        made = stranger.post("/v1/projects", json={"slug": "film", "name": "The film"}, headers=boss.headers)
        assert (made.status_code, made.json()["name"]) == (201, "The film")
    assert stranger.post("/v1/projects", json={"slug": "../x"}, headers=boss.headers).status_code == 422
    mine = stranger.get("/v1/projects", headers=boss.headers).json()["items"]
    assert [project["slug"] for project in mine] == ["default", "film"]
    theirs = stranger.get("/v1/projects", headers=foreign_boss.headers).json()["items"]
    assert [project["slug"] for project in theirs] == ["default"]


def test_an_administrator_says_where_a_projects_jobs_run(
    stranger: TestClient, boss: Known, foreign_boss: Known
) -> None:
    stranger.post("/v1/projects", json={"slug": "film"}, headers=boss.headers)
    placed = stranger.patch("/v1/projects/film", json={"pools": ["b", "a"], "regions": ["eu"]}, headers=boss.headers)
    assert (placed.status_code, placed.json()["pools"], placed.json()["regions"]) == (200, ["a", "b"], ["eu"])
    again = stranger.patch("/v1/projects/film", json={"pools": None}, headers=boss.headers).json()
    assert (again["pools"], again["regions"]) == (None, ["eu"])
    assert stranger.patch("/v1/projects/film", json={}, headers=foreign_boss.headers).status_code == 404
    many = {"pools": [str(number) for number in range(201)]}
    assert stranger.patch("/v1/projects/film", json=many, headers=boss.headers).status_code == 422


def test_keys_are_made_shown_without_their_secret_and_revoked(
    stranger: TestClient, boss: Known, foreign_boss: Known
) -> None:
    expires = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).isoformat()
    body = {"name": "nightly", "scopes": ["read"], "expires_at": expires}
    made = stranger.post("/v1/keys", json=body, headers=boss.headers).json()
    assert stranger.get("/v1/whoami", headers={"Authorization": f"bearer {made['token']}"}).json()["scopes"] == ["read"]
    listed = stranger.get("/v1/keys", headers=boss.headers)
    assert made["token"].rpartition("_")[2] not in listed.text
    assert made["prefix"] in listed.text
    assert made["prefix"] not in stranger.get("/v1/keys", headers=foreign_boss.headers).text
    assert stranger.delete(f"/v1/keys/{made['prefix']}", headers=foreign_boss.headers).status_code == 404
    assert stranger.delete(f"/v1/keys/{made['prefix']}", headers=boss.headers).status_code == 204
    assert stranger.get("/v1/whoami", headers={"Authorization": f"Bearer {made['token']}"}).status_code == 401
    work = stranger.post("/v1/keys", json={"name": "x", "scopes": ["work"]}, headers=boss.headers)
    assert work.status_code == 422


def test_the_trail_is_listed_verified_and_exported(
    stranger: TestClient, boss: Known, foreign_boss: Known, offices: Offices, tenant: TenantScope
) -> None:
    stranger.post("/v1/projects", json={"slug": "film"}, headers=boss.headers)
    sealer.seal_once(offices.database, tenant, offices.keys)
    listed = stranger.get("/v1/audit", headers=boss.headers).json()["items"]
    assert [(entry["action"], entry["who"], entry["facts"]) for entry in listed] == [
        ("project.ensure", "boss", {"slug": "film"})
    ]
    assert stranger.get("/v1/audit", headers=foreign_boss.headers).json()["items"] == []
    assert stranger.get("/v1/audit?action=person.", headers=boss.headers).json()["items"] == []
    assert stranger.get("/v1/audit?cursor=WyJ4Il0", headers=boss.headers).status_code == 422
    kept = stranger.post("/v1/audit/checkpoints", headers=boss.headers).json()
    found = stranger.get("/v1/audit/verification", headers=boss.headers).json()
    assert (found["intact"], found["entries"], found["signed_to"], found["unsealed"]) == (True, 1, 1, 0)
    assert stranger.post("/v1/audit/verification", json=[kept], headers=boss.headers).json()["intact"]
    assert not stranger.post("/v1/audit/verification", json=[kept], headers=foreign_boss.headers).json()["intact"]
    bent = {**kept, "signature": "00" * 64}
    assert stranger.post("/v1/audit/verification", json=[bent], headers=boss.headers).status_code == 422
    exported = stranger.get("/v1/audit/export", headers=boss.headers)
    outside = (trail_export.read_checkpoint(json.dumps(kept).encode()),)
    assert trail_export.verify_export(exported.content.splitlines(keepends=True), outside).intact
    assert stranger.post("/v1/audit/checkpoints", headers=foreign_boss.headers).status_code == 404


def test_a_slug_of_hostile_characters_is_an_answer_and_no_fault(local: TestClient) -> None:
    for path in ("/people/%00/sign-in-links", "/people/%F0%9F%98%80/sign-in-links"):
        assert local.post("/v1" + path).status_code == 404
    assert local.delete("/v1/keys/%00").status_code == 404
    assert local.get("/v1/audit?subject=%00&action=%00").status_code == 200


def test_the_addresses_are_described(app: FastAPI) -> None:
    described = app.openapi()
    assert {"/v1/whoami", "/v1/people", "/v1/keys", "/v1/projects", "/v1/audit", "/v1/events"} <= set(
        described["paths"]
    )
