from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from memoryd.access import keys, people, projects
from memoryd.access.facts import Role, Scope
from memoryd.foundation.database import Database, TenantScope
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png, prompt

WHEN = "2026-03-01T10:00:00Z"


def facts(content: bytes, path: str, words: str = "a red fox", seed: int = 1, **more: Any) -> dict[str, Any]:
    """What a sender says of a picture."""
    text = json.dumps(prompt(seed, words)).encode()
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "media_type": "image/png",
        "path": path,
        "modified_at": WHEN,
        "width": 2,
        "height": 2,
        "plugin": "comfyui-png",
        "plugin_version": "1",
        "carriers": [{"place": "png:tEXt", "key": "prompt", "raw": base64.b64encode(text).decode()}],
        **more,
    }


def _person(database: Database, tenant: TenantScope, login: str, role: Role, project: str | None) -> dict[str, str]:
    with database.tenant_work(tenant) as session:
        person = people.ensure_person(session, login, login)
        people.grant_role(session, person, role, None if project is None else projects.ensure_project(session, project))
        scopes = frozenset({Scope.READ, Scope.SUBMIT, Scope.INGEST})
        made = keys.make_key(session, tenant, name="k", scopes=scopes, person=person)
    return {"Authorization": f"Bearer {made.token}"}


@pytest.fixture
def bea(database: Database, tenant: TenantScope) -> dict[str, str]:
    """An artist of the project acme."""
    return _person(database, tenant, "bea", Role.ARTIST, "acme")


@pytest.fixture
def register(remote: TestClient) -> Callable[..., Any]:
    """Register a folder of a workstation."""

    def ask(headers: dict[str, str], **more: Any) -> Any:
        wish = {"host": "desk", "path": "/home/bea/out", "project": "acme", **more}
        return remote.post("/roots", json=wish, headers=headers)

    return ask


def test_a_stranger_sends_nothing(remote: TestClient) -> None:
    assert remote.post("/assets", json={"assets": []}).status_code == 401
    assert remote.post("/roots", json={"host": "desk", "path": "/x"}).status_code == 401


def test_a_viewer_may_not_send(remote: TestClient, database: Database, tenant: TenantScope) -> None:
    viewer = _person(database, tenant, "vic", Role.VIEWER, "acme")
    assert remote.post("/assets", json={"assets": []}, headers=viewer).status_code == 403


def test_another_tenants_and_another_persons_root_are_not_there(
    remote: TestClient,
    database: Database,
    tenant: TenantScope,
    other_tenant: TenantScope,
    bea: dict[str, str],
    register: Callable[..., Any],
) -> None:
    root = register(bea).json()["id"]
    foreign = _person(database, other_tenant, "zoe", Role.ADMIN, None)
    carl = _person(database, tenant, "carl", Role.ARTIST, "acme")
    body = {"root": root, "assets": [facts(picture(), "a.png")]}
    for headers in (foreign, carl):
        assert remote.post("/assets", json=body, headers=headers).status_code == 404
    assert register(carl).status_code == 409
    assert register(bea, project="secret").status_code == 404


def test_facts_alone_are_recorded_for_the_keys_person_understood_here_and_only_once(
    remote: TestClient, bea: dict[str, str], register: Callable[..., Any], rows: Rows
) -> None:
    root = register(bea).json()
    assert (root["watched_by"], root["host"], root["custody"]) == ("outpost", "desk", "reference")
    assert register(bea).json()["id"] == root["id"]
    body = {"root": root["id"], "assets": [facts(picture(), "2026/a b.png")]}
    first = remote.post("/assets", json=body, headers=bea)
    assert first.status_code == 200, first.text
    (told,) = first.json()["assets"]
    assert (told["state"], told["bytes_wanted"]) == ("recorded", False)
    (again,) = remote.post("/assets", json=body, headers=bea).json()["assets"]
    assert (again["state"], again["asset_id"]) == ("known", told["asset_id"])
    (place,) = rows("select shown_path, state, size from location")
    assert (place.shown_path, place.state, place.size) == ("2026/a b.png", "recorded", len(picture()))
    (run,) = rows(
        "select e.login, p.slug, s.seed from generation g join person e on e.id = g.person_id"
        " join project p on p.id = g.project_id join generation_sampler s on s.generation_id = g.id"
    )
    assert (run.login, run.slug) == ("bea", "acme")
    assert rows("select count(*) from asset")[0][0] == 1


def test_bytes_beat_what_was_claimed(
    remote: TestClient,
    bea: dict[str, str],
    register: Callable[..., Any],
    rows: Rows,
    store: BlobStore,
    tenant: TenantScope,
) -> None:
    content = picture(5, "a blue whale")
    root = register(bea, custody="keep").json()["id"]
    claim = {"root": root, "assets": [facts(content, "a.png", words="a lie", seed=9)]}
    (told,) = remote.post("/assets", json=claim, headers=bea).json()["assets"]
    assert told["bytes_wanted"]
    sha256 = told["sha256"]
    sent = remote.post("/assets", data={"facts": json.dumps(claim)}, files={"file": (sha256, content)}, headers=bea)
    assert sent.status_code == 200, sent.text
    assert sent.json()["assets"][0]["bytes_wanted"] is False
    assert store.read_verified(tenant.slug, bytes.fromhex(sha256)) == content
    assert [row.text for row in rows("select text from generation_prompt where polarity = 'positive'")] == [
        "a blue whale"
    ]
    # What is known from bytes takes nothing from a claim any more.
    remote.post("/assets", json=claim, headers=bea)
    assert [row.text for row in rows("select text from generation_prompt where polarity = 'positive'")] == [
        "a blue whale"
    ]


def test_bytes_that_are_not_those_announced_are_refused_and_nothing_is_recorded(
    remote: TestClient, bea: dict[str, str], register: Callable[..., Any], rows: Rows
) -> None:
    root = register(bea).json()["id"]
    content = picture()
    sha256 = hashlib.sha256(content).hexdigest()
    for changed, name in ((b"x", sha256), (content, "0" * 64)):
        body = {"root": root, "assets": [facts(content, "a.png")]}
        answer = remote.post("/assets", data={"facts": json.dumps(body)}, files={"file": (name, changed)}, headers=bea)
        assert answer.status_code == 422, answer.text
    longer = facts(content, "a.png", size=len(content) + 1)
    form = {"facts": json.dumps({"root": root, "assets": [longer]})}
    assert remote.post("/assets", data=form, files={"file": (sha256, content)}, headers=bea).status_code == 422
    assert rows("select count(*) from asset")[0][0] == 0


def test_content_of_a_project_that_the_sender_does_not_see_needs_its_bytes(
    remote: TestClient, local: TestClient, bea: dict[str, str], register: Callable[..., Any], rows: Rows
) -> None:
    content = picture(3)
    local.post("/uploads", files={"file": ("secret.png", content)})
    body = {"root": register(bea).json()["id"], "assets": [facts(content, "a.png")]}
    (told,) = remote.post("/assets", json=body, headers=bea).json()["assets"]
    assert (told["state"], told["asset_id"], told["bytes_wanted"]) == ("withheld", None, True)
    assert rows("select count(*) from asset_project")[0][0] == 1
    form = {"facts": json.dumps(body)}
    proven = remote.post("/assets", data=form, files={"file": (told["sha256"], content)}, headers=bea)
    assert proven.json()["assets"][0]["state"] == "known"
    assert rows("select count(*) from asset_project")[0][0] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/etc/passwd"},
        {"path": "a/../b.png"},
        {"sha256": "xyz"},
        {"size": -1},
        {"prompt": 7},
        {"media_type": "nonsense"},
        {"modified_at": "2026-03-01T10:00:00"},
        {"colour": "red"},
    ],
)
def test_facts_that_make_no_sense_are_refused(local: TestClient, change: dict[str, Any]) -> None:
    answer = local.post("/assets", json={"assets": [{**facts(picture(), "a.png"), **change}]})
    assert answer.status_code == 422, answer.text


def test_files_that_are_gone_are_missing_and_come_back(
    remote: TestClient, bea: dict[str, str], register: Callable[..., Any], rows: Rows
) -> None:
    root = register(bea).json()["id"]
    body = {"root": root, "assets": [facts(picture(), "a.png")]}
    remote.post("/assets", json=body, headers=bea)
    gone = remote.post("/assets", json={"root": root, "gone": ["a.png", "b.png"]}, headers=bea)
    assert gone.json()["gone"] == 1
    assert rows("select state from location")[0].state == "missing"
    remote.post("/assets", json=body, headers=bea)
    assert rows("select state from location")[0].state == "recorded"


def test_another_tool_sends_without_a_root_and_its_thumbnail_is_made_anew(
    local: TestClient, rows: Rows, store: BlobStore, tenant: TenantScope
) -> None:
    content = picture(8)
    small = base64.b64encode(png({"secret": "kept out"}, size=4)).decode()
    (told,) = local.post("/assets", json={"assets": [facts(content, "a.png", thumbnail=small)]}).json()["assets"]
    (kept,) = rows("select sha256, media_type from thumbnail where asset_id = :id", id=told["asset_id"])
    picture_kept = store.read_verified(tenant.slug, kept.sha256)
    assert picture_kept[8:12] == b"WEBP"
    assert b"kept out" not in picture_kept
    assert rows("select count(*) from location")[0][0] == 0
    assert rows("select count(*) from generation")[0][0] == 1


def test_a_workstations_folder_is_never_watched_or_read_by_a_server(
    remote: TestClient, bea: dict[str, str], folder: Path, register: Callable[..., Any], local: TestClient, app: FastAPI
) -> None:
    from memoryd.ingest import roots

    (folder / "a.png").write_bytes(picture())
    root = register(bea, host=roots.this_host(), path=str(folder))
    assert root.status_code == 201
    assert not (folder / ".memoryd-root").exists()
    assert remote.post("/ingests", json={"paths": [str(folder)]}, headers=bea).status_code == 403
    paused = local.patch(f"/roots/{root.json()['id']}", json={"state": "paused"})
    assert paused.json()["state"] == "paused"
    assert local.patch(f"/roots/{root.json()['id']}", json={"state": "online"}).json()["state"] == "online"


def test_an_artist_cannot_speak_for_others(bea: dict[str, str], register: Callable[..., Any]) -> None:
    assert register(bea, person="local").status_code == 403
    assert register(bea, create_projects=True).status_code == 403
    windows = register(bea, path="C:\\Users\\bea\\out")
    assert (windows.status_code, windows.json()["path"]) == (201, "C:\\Users\\bea\\out")
    assert register(bea, path="not/absolute").status_code == 422
