"""The endpoints and commands of what people decide: a stranger, then outsiders, then those whose work it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from memoryd.access.facts import Role
from memoryd.access.projects import ensure_project
from memoryd.catalog import proposals, roots
from memoryd.catalog.facts import LocationRecord
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import AssetId
from memoryd_cli import attribution, removal, watching
from memoryd_cli import search as searching
from memoryd_cli.client import Client
from tests.catalog.conftest import Knock
from tests.catalog.records import record

app = typer.Typer()
for part in (searching, attribution, removal):
    part.register(app)
RUN = CliRunner()
BODY = b"a picture of our own"


@dataclasses.dataclass(frozen=True)
class Studio:
    """Pictures of project `fox`: one with a file in a watched folder, a parent, and a proposal between the two."""

    picture: AssetId
    parent: AssetId
    proposal: str
    folder: Path
    file: Path


@pytest.fixture
def studio(database: Database, tenant: TenantScope, tmp_path: Path) -> Studio:
    file = tmp_path / "out" / "a.png"
    file.parent.mkdir()
    file.write_bytes(BODY)
    found = file.stat()
    with database.tenant_work(tenant) as session:
        fox = ensure_project(session, "fox")
        root = roots.add_root(session, host=socket.gethostname(), path=os.fsencode(file.parent), project_id=fox)
        place = LocationRecord(
            watch_root_id=root, path=b"a.png", size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino
        )
        told = dataclasses.replace(
            record("a", project=fox, generation=False), sha256=hashlib.sha256(BODY).digest(), locations=(place,)
        )
        picture, parent = record_assets(session, [told, record("parent", project=fox)])
        proposals.propose(session, picture.root_id, parent.root_id, "retouched", {"distance": 2})
        proposal = session.connection().exec_driver_sql("select id from proposal").scalar_one()
    return Studio(picture.asset_id, parent.asset_id, str(proposal), file.parent, file)


def requests(studio: Studio) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Every endpoint that names an asset or proposal, with a body that would be accepted."""
    at = f"/v1/assets/{studio.picture}"
    nobody = "018f0000-0000-7000-8000-000000000000"
    return [
        ("POST", f"{at}/attestations", {"made_by": "midjourney", "prompt": "a fox"}),
        ("GET", f"{at}/attestations", None),
        ("DELETE", f"{at}/attestations/{nobody}", None),
        ("POST", f"{at}/parents", {"parent": str(studio.parent), "how": "retouched"}),
        ("DELETE", f"{at}/parents?parent={studio.parent}", None),
        ("POST", f"/v1/proposals/{studio.proposal}/accept", None),
        ("POST", f"/v1/proposals/{studio.proposal}/refuse", None),
        ("POST", "/v1/removals", {"refs": [str(studio.picture)], "kind": "hidden"}),
        ("POST", "/v1/removals", {"refs": [str(studio.picture)], "kind": "trashed"}),
        ("DELETE", f"{at}/removal", None),
    ]


LISTS = ["/v1/proposals?all=true", "/v1/removals", "/v1/trash"]


def test_a_stranger_decides_nothing(stranger: TestClient, studio: Studio) -> None:
    asked = [*requests(studio), *(("GET", path, None) for path in LISTS)]
    asked += [
        ("POST", "/v1/trash/empty", {"older_than_days": 40}),
        ("PUT", "/v1/trash/roots", {"root": str(studio.folder), "on": True}),
    ]
    assert {stranger.request(method, path, json=body).status_code for method, path, body in asked} == {401}


@pytest.mark.parametrize("outsider", ["another tenant", "another project"])
def test_for_outsiders_there_is_nothing_to_decide(
    stranger: TestClient,
    studio: Studio,
    key_of: Knock,
    tenant: TenantScope,
    other_tenant: TenantScope,
    outsider: str,
) -> None:
    away = outsider == "another tenant"
    headers = key_of(other_tenant, Role.ADMIN, None) if away else key_of(tenant, Role.PRODUCER, "owl")
    for method, path, body in requests(studio):
        answer = stranger.request(method, path, json=body, headers=headers)
        assert answer.status_code == 404, path
        assert answer.json()["kind"] in ("asset-not-found", "proposal-not-found"), path
    for path in LISTS:
        assert stranger.get(path, headers=headers).json() == {"items": [], "next_cursor": None}
    switched = stranger.put("/v1/trash/roots", json={"root": str(studio.folder), "on": True}, headers=headers)
    assert switched.status_code == (404 if away else 403)
    emptied = stranger.post("/v1/trash/empty", json={"older_than_days": 40}, headers=headers)
    assert emptied.status_code == (200 if away else 403)
    assert studio.file.exists()


def test_a_viewer_reads_and_an_artist_does_not_trash(
    stranger: TestClient, studio: Studio, key_of: Knock, tenant: TenantScope
) -> None:
    viewer, artist = key_of(tenant, Role.VIEWER, "fox"), key_of(tenant, Role.ARTIST, "fox")
    for method, path, body in requests(studio):
        answer = stranger.request(method, path, json=body, headers=viewer)
        assert answer.status_code == (200 if method == "GET" else 403), path
    assert len(stranger.get(LISTS[0], headers=viewer).json()["items"]) == 1
    refused = stranger.post("/v1/removals", json={"refs": [str(studio.picture)], "kind": "trashed"}, headers=artist)
    assert (refused.status_code, refused.json()["kind"]) == (403, "scope-missing")
    assert stranger.post("/v1/trash/empty", json={"older_than_days": 40}, headers=artist).status_code == 403


def test_a_project_s_people_decide(stranger: TestClient, studio: Studio, key_of: Knock, tenant: TenantScope) -> None:
    headers = key_of(tenant, Role.PRODUCER, "fox")
    at = f"/v1/assets/{studio.picture}"
    said = {"made_by": "midjourney", "prompt": "a violet heron", "seed": "18446744073709551615"}
    made = stranger.post(f"{at}/attestations", json=said, headers=headers)
    assert made.status_code == 201, made.text
    [listed] = stranger.get(f"{at}/attestations", headers=headers).json()["items"]
    assert (listed["id"], listed["seed"], listed["by"]) == (made.json()["id"], said["seed"], "producer-fox")
    assert len(stranger.get("/v1/assets?q=heron", headers=headers).json()["items"]) == 1
    assert stranger.post(f"/v1/proposals/{studio.proposal}/accept", headers=headers).status_code == 204
    [parent] = stranger.get(f"{at}/lineage", headers=headers).json()["ancestors"]
    assert (parent["via"], parent["source"]) == ("retouched", "proposal")
    again = stranger.post(f"/v1/proposals/{studio.proposal}/refuse", headers=headers)
    assert (again.status_code, again.json()["kind"]) == (409, "proposal-decided")
    assert stranger.delete(f"{at}/attestations/{listed['id']}", headers=headers).status_code == 204


def test_pictures_change_hands_only_by_who_has_the_right_in_both_projects(
    stranger: TestClient, studio: Studio, key_of: Knock, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    body = {"refs": [str(studio.picture)], "project": "owl"}
    undo = "/v1/attributions/018f0000-0000-7000-8000-000000000000"
    assert stranger.post("/v1/attributions", json=body).status_code == 401
    assert stranger.delete(undo).status_code == 401
    fox, owl = key_of(tenant, Role.PRODUCER, "fox"), key_of(tenant, Role.PRODUCER, "owl")
    artist, admin = key_of(tenant, Role.ARTIST, "fox"), key_of(tenant, Role.ADMIN, None)
    kinds = []
    for headers in (key_of(other_tenant, Role.ADMIN, None), owl, fox, artist):
        answer = stranger.post("/v1/attributions", json=body, headers=headers)
        kinds.append((answer.status_code, answer.json()["kind"]))
        assert stranger.delete(undo, headers=headers).status_code == (403 if headers is artist else 404)
    # The other tenant has no such picture; each of ours lacks one side.
    assert kinds == [
        (404, "asset-not-found"),
        (404, "asset-not-found"),
        (404, "project-not-found"),
        (403, "scope-missing"),
    ]
    by_query = {"query": "file:a.png", "project": "owl"}
    found = stranger.post("/v1/attributions", json=by_query, headers=owl).json()
    assert (found["pictures"], found["unchanged"]) == (0, 0)
    assert stranger.post("/v1/attributions", json={**body, **by_query}, headers=admin).status_code == 422
    tried = stranger.post("/v1/attributions", json={**by_query, "dry_run": True}, headers=admin).json()
    assert (tried["pictures"], tried["id"], tried["out_of"]) == (1, None, {"fox": 1})
    done = stranger.post("/v1/attributions", json=by_query, headers=admin).json()
    assert len(stranger.get("/v1/assets?q=file:a.png", headers=owl).json()["items"]) == 1
    assert stranger.delete(f"/v1/attributions/{done['id']}", headers=fox).status_code == 404
    assert stranger.delete(f"/v1/attributions/{done['id']}", headers=admin).json() == {"assets": 1}
    assert stranger.get("/v1/assets?q=file:a.png", headers=owl).json()["items"] == []


@pytest.fixture
def spoken_to(stranger: TestClient, tenant: TenantScope, key_of: Knock, monkeypatch: pytest.MonkeyPatch) -> None:
    token = key_of(tenant, Role.ADMIN, None)["Authorization"].removeprefix("Bearer ")
    client = Client("https://studio.example", token, transport=stranger._transport)
    for part in (searching, attribution, removal, watching):
        monkeypatch.setattr(part, "server", lambda: client)


def run(*words: object, code: int = 0) -> str:
    answer = RUN.invoke(app, [str(word) for word in words])
    assert answer.exit_code == code, answer.output or answer.exception
    return answer.output


@pytest.mark.usefixtures("spoken_to")
def test_commands_declare_link_and_decide(studio: Studio) -> None:
    picture, parent = studio.picture, studio.parent
    made = json.loads(run("attest", picture, "--made-by", "midjourney", "--prompt", "a heron", "--json"))
    assert "a heron" in run("attest", picture, "--list")
    assert "heron" in run("search", "heron")
    run("attest", picture, "--withdraw", made["id"])
    assert "withdrawn" in run("attest", picture, "--list")
    assert "Linked" in run("link", picture, "--from", parent, "--how", "upscaled")
    assert "upscaled" in run("lineage", picture)
    assert "Unlinked" in run("unlink", picture, "--from", parent)
    assert "2 of 256 bits differ" in run("proposals")
    assert "1 refused" in run("proposals", "refuse", studio.proposal)
    assert studio.proposal not in run("proposals", "list")
    run("attest", picture, code=2)


@pytest.mark.usefixtures("spoken_to")
def test_commands_say_whose_pictures_are(studio: Studio, database: Database, tenant: TenantScope) -> None:
    with database.tenant_work(tenant) as session:
        ensure_project(session, "owl")
    assert "1 pictures (1 from fox)" in run("attribute", "file:a.png", "--project", "owl", "--dry-run")
    done = json.loads(run("attribute", studio.picture, "--project", "owl", "--yes", "--json"))
    assert "a.png" in run("search", "project:owl")
    assert "Taken back: 1" in run("attribute", "--undo", done["id"])
    assert "Nothing found" in run("search", "project:owl")
    run("attribute", "--project", "owl", code=2)


@pytest.mark.usefixtures("spoken_to")
def test_commands_remove_and_bring_back(studio: Studio) -> None:
    picture = studio.picture
    assert "1 rejected" in run("reject", picture, "-m", "soft")
    assert "Nothing found" in run("search", "kind:image", "-fox")
    assert str(picture)[:4] in run("bring-back", picture)
    run("trash", picture, code=1)
    run("trash", "on", studio.folder)
    assert "1 files moved" in run("trash", picture)
    assert not studio.file.exists()
    assert "a.png" in run("trash", "list")
    run("trash", "empty", "--older-than", "3d", "--yes", code=1)
    assert "1 files back" in run("trash", "restore", picture)
    assert studio.file.read_bytes() == BODY
    assert "0 files deleted" in run("trash", "empty", "--older-than", "30d", "--yes")
