"""Every endpoint: a stranger is not recognised, another tenant's people find nothing, and then it works."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from memoryd.access.facts import Role
from memoryd.catalog.models import endpoints as showing
from memoryd.foundation.database import TenantScope
from memoryd.foundation.errors import NotAllowed, NotFound
from memoryd.model_registry import endpoints
from memoryd.model_registry.scanning import scan, survey_folder
from memoryd.model_registry.wire import ObservationShape
from memoryd_cli.client import Client
from tests.model_registry.conftest import TestClient

ClientOf = Callable[..., Client]
ROUTES = [
    (method, route.path)
    for route in (*endpoints.router.routes, *showing.router.routes)
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]


def batch(models: Path) -> dict[str, Any]:
    survey = survey_folder(models)
    items = [ObservationShape.of(seen).model_dump(mode="json") for seen in scan(survey.files, {})]
    return {"worker": "gpu-1", "root": survey.root_name, "items": items}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_stranger_is_not_recognised(http: TestClient, method: str, path: str) -> None:
    place = path.replace("{ref:path}", "x.pt").replace("{grant_id}", "0198c0de-0000-7000-8000-000000000000")
    assert "{" not in place
    query = {"worker": "w", "root": "/m"} if place == "/models/names" else {"parent": "y"}
    body: dict[str, str] | None = {} if method in ("POST", "PUT") else None
    assert http.request(method, f"/v1{place}", params=query, json=body).status_code == 401


def test_observations_are_recorded_listed_shown_and_known_to_the_next_scan(
    client_of: ClientOf, tenant: TenantScope, other_tenant: TenantScope, models: Path
) -> None:
    client, rival = client_of(tenant, Role.ADMIN), client_of(other_tenant, Role.ADMIN)
    recorded = client.post("/models/observations", json=batch(models))
    assert recorded == {"models_new": 3, "names_new": 3, "names_changed": 0, "names_gone": 0}
    assert rival.get("/models") == {"items": [], "next_cursor": None}
    with pytest.raises(NotFound):
        rival.get("/models/loras/style/ink.safetensors")
    shown = client.get("/models/loras/style/ink.safetensors")
    assert re.fullmatch("[0-9a-f]{64}", shown["sha256"])
    assert (shown["licence"]["name"], shown["licence"]["stated_by"]) == ("CC-BY-4.0", "file")
    assert shown["stated"]["metadata"] == {"modelspec.license": "CC-BY-4.0"}
    assert [m["names"][0]["path"] for m in client.get("/models", licensed=True)["items"]] == ["style/ink.safetensors"]
    names = client.get("/models/names", worker="gpu-1", root=str(models))["items"]
    assert [name["folder"] for name in names] == ["checkpoints", "loras", "upscale_models"]
    assert all(isinstance(name["mtime_ns"], str) for name in names)
    assert rival.get("/models/names", worker="gpu-1", root=str(models))["items"] == []


def test_a_viewer_sees_and_records_nothing(client_of: ClientOf, tenant: TenantScope, models: Path) -> None:
    viewer = client_of(tenant, Role.VIEWER)
    for path, body in (
        ("/models/observations", batch(models)),
        ("/models/scans", {"folder": str(models)}),
        ("/models/x/licences", {"name": "MIT"}),
    ):
        with pytest.raises(NotAllowed):
            viewer.post(path, json=body)
    assert viewer.get("/models")["items"] == []


def test_hostile_observations_are_refused_or_made_storable(
    http: TestClient, client_of: ClientOf, tenant: TenantScope, models: Path
) -> None:
    client, sent = client_of(tenant, Role.ADMIN), batch(models)
    sent["items"][0]["stated"] = {"metadata": {"modelspec.title": "a\0b"}}
    sent["items"][0]["licence"] = "M\0T"
    sent["gone"] = [{"folder": "\0", "path": "a\0b"}]
    sent["worker"] = "gpu\0"
    client.post("/models/observations", json=sent)
    model = client.get(f"/models/{sent['items'][0]['sha256']}")
    assert model["stated"]["metadata"] == {"modelspec.title": "a\ufffdb"}
    assert model["licence"]["name"] == "M\ufffdT"
    for spoilt in (
        {"sha256": "xyz"},
        {"size": -1},
        {"mtime_ns": "9" * 19},
        {"kind": "best"},
        {"licence": "x" * 501},
        {"unheard_of": 1},
    ):
        body = {**sent, "items": [{**sent["items"][0], **spoilt}]}
        answer = http.post(
            "/v1/models/observations", json=body, headers={"Authorization": client._http.headers["Authorization"]}
        )
        assert answer.status_code == 422, spoilt


def test_a_scan_on_the_server_tells_its_progress_and_its_outcome(
    http: TestClient, client_of: ClientOf, tenant: TenantScope, models: Path
) -> None:
    client = client_of(tenant, Role.ADMIN)
    headers = {"Authorization": client._http.headers["Authorization"]}

    def scanned(folder: Path) -> list[dict[str, Any]]:
        answer = http.post("/v1/models/scans", json={"folder": str(folder)}, headers=headers)
        assert answer.status_code == 200
        return [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]

    *_, outcome = scanned(models)
    assert outcome["recorded"]["names_new"] == 3
    *_, again = scanned(models)
    assert again["recorded"] == {"models_new": 0, "names_new": 0, "names_changed": 0, "names_gone": 0}
    [missing] = scanned(models / "not there")
    assert "no folder" in missing["error"]
    assert missing["hint"]


def test_a_licence_is_named_and_withdrawn(client_of: ClientOf, tenant: TenantScope, models: Path) -> None:
    client = client_of(tenant, Role.ADMIN)
    client.post("/models/observations", json=batch(models))
    path = "/models/checkpoints/base.safetensors"
    assert client.get(path)["licence"] is None
    [stated] = client.post(f"{path}/licences", json={"name": "CreativeML-OpenRAIL-M"})
    assert (stated["name"], stated["stated_by"]) == ("CreativeML-OpenRAIL-M", "person")
    assert client.delete(f"{path}/licences/{stated['id']}") == []
    with pytest.raises(NotFound):
        client.delete(f"{path}/licences/{stated['id']}")
