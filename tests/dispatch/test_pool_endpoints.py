"""Pools, caps, weights and pauses over HTTP: a stranger, another tenant, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.submission import conftest as farm

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

offices, app, person, other_person, stranger = farm.offices, farm.app, farm.person, farm.other_person, farm.stranger

GRAPH = {"1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}}


@pytest.fixture
def pool(person: TestClient) -> str:
    """A pool of tenant `default`."""
    made = person.post(
        "/v1/pools", json={"name": "gpu24", "vram_mb": 24576, "region": "eu", "labels": {"card": "4090"}}
    )
    assert made.status_code == 201, made.text
    return "gpu24"


@pytest.fixture
def project(person: TestClient) -> str:
    """A project of tenant `default`."""
    assert person.post("/v1/projects", json={"slug": "film", "name": "Film"}).status_code in (200, 201)
    return "film"


CALLS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/v1/pools", None),
    ("GET", "/v1/pools/gpu24", None),
    ("POST", "/v1/pools", {"name": "x"}),
    ("PATCH", "/v1/pools/gpu24", {"rank": 1}),
    ("POST", "/v1/pools/gpu24/pause", None),
    ("POST", "/v1/pools/gpu24/resume", None),
    ("POST", "/v1/projects/film/pause", None),
    ("POST", "/v1/projects/film/resume", None),
    ("PUT", "/v1/projects/film/weight", {"weight": 2}),
    ("GET", "/v1/weights", None),
    ("GET", "/v1/caps", None),
    ("PUT", "/v1/caps", {"max_running": 1}),
    ("DELETE", "/v1/caps/01890000-0000-7000-8000-000000000000", None),
    ("GET", "/v1/queue", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_a_stranger_is_refused(stranger: TestClient, method: str, path: str, body: dict[str, Any] | None) -> None:
    assert stranger.request(method, path, json=body).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"), [call for call in CALLS if "gpu24" in call[1] or "film" in call[1]]
)
def test_another_tenants_pool_or_project_is_not_found(
    other_person: TestClient, pool: str, project: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = other_person.request(method, path, json=body)
    assert answer.status_code == 404, answer.text
    assert answer.json()["hint"]


def test_a_pool_is_edited_and_what_is_not_given_stays(person: TestClient, pool: str) -> None:
    edited = person.patch(f"/v1/pools/{pool}", json={"rank": 5, "region": "", "warm_up": GRAPH, "max_run_time_s": 60})
    assert edited.status_code == 200, edited.text
    shown = edited.json()
    assert (shown["rank"], shown["region"], shown["has_warm_up"], shown["vram_mb"]) == (5, None, True, 24576)
    assert shown["labels"] == {"card": "4090"}
    again = person.patch(f"/v1/pools/{pool}", json={"warm_up": {}}).json()
    assert (again["has_warm_up"], again["max_run_time_s"]) == (False, 60)
    assert person.get(f"/v1/pools/{pool}").json() == again


@pytest.mark.parametrize(
    "wrong", [{"warm_up": {"nodes": []}}, {"vram_mb": -1}, {"labels": {str(n): "" for n in range(99)}}]
)
def test_a_pool_is_not_edited_into_nonsense(person: TestClient, pool: str, wrong: dict[str, Any]) -> None:
    assert person.patch(f"/v1/pools/{pool}", json=wrong).status_code == 422


def test_a_pool_is_paused_and_resumed(person: TestClient, pool: str) -> None:
    paused = person.post(f"/v1/pools/{pool}/pause").json()
    assert paused["paused_at"] is not None
    assert person.post(f"/v1/pools/{pool}/pause").json()["paused_at"] == paused["paused_at"]
    assert person.post(f"/v1/pools/{pool}/resume").json()["paused_at"] is None


def test_a_pool_that_others_use_too_is_not_one_tenants_to_pause(person: TestClient) -> None:
    answer = person.post("/v1/pools/default/pause")
    assert answer.status_code == 403
    assert answer.json()["kind"] == "pool-shared"


def test_a_project_is_paused_resumed_and_weighed(person: TestClient, project: str) -> None:
    assert person.post(f"/v1/projects/{project}/pause").json() == {"paused": True, "changed": True}
    assert person.post(f"/v1/projects/{project}/pause").json() == {"paused": True, "changed": False}
    assert person.post(f"/v1/projects/{project}/resume").json() == {"paused": False, "changed": True}
    assert person.put(f"/v1/projects/{project}/weight", json={"weight": 3}).status_code == 204
    assert person.get("/v1/weights").json() == {"tenant": 1.0, "projects": {project: 3.0}}
    assert person.put(f"/v1/projects/{project}/weight", json={"weight": 0}).status_code == 422


def test_caps_are_set_listed_and_removed(person: TestClient, other_person: TestClient, pool: str, project: str) -> None:
    first = person.put("/v1/caps", json={"max_running": 3, "project": project, "pool": pool})
    assert first.status_code == 200, first.text
    again = person.put("/v1/caps", json={"max_running": 4, "project": project, "pool": pool}).json()
    assert again["id"] == first.json()["id"]
    whole = person.put("/v1/caps", json={"max_running": 9}).json()
    items = person.get("/v1/caps").json()["items"]
    assert [(one["project"], one["pool"], one["max_running"], one["running"]) for one in items] == [
        (project, pool, 4, 0),
        (None, None, 9, 0),
    ]
    assert other_person.get("/v1/caps").json()["items"] == []
    assert other_person.delete(f"/v1/caps/{whole['id']}").status_code == 404
    assert person.delete(f"/v1/caps/{whole['id']}").status_code == 204
    assert person.put("/v1/caps", json={"max_running": 1, "person": "nobody-here"}).status_code == 404
    assert person.put("/v1/caps", json={"max_running": -1}).status_code == 422
