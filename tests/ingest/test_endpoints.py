from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memoryd.access import keys, people
from memoryd.access.facts import Role, Scope
from memoryd.foundation.database import Database, TenantScope
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import TestClient
from tests.ingest.pictures import picture

pytestmark = pytest.mark.usefixtures("quick")


def _key(database: Database, tenant: TenantScope, role: Role, *scopes: Scope) -> dict[str, str]:
    with database.tenant_work(tenant) as session:
        person = people.ensure_person(session, f"p-{role.value}", "P")
        people.grant_role(session, person, role, None)
        made = keys.make_key(session, tenant, name="k", scopes=frozenset(scopes), person=person)
    return {"Authorization": f"Bearer {made.token}"}


def _ended(client: TestClient, run: dict[str, Any]) -> dict[str, Any]:
    for _ in range(200):
        run = client.get(f"/ingests/{run['id']}").json()
        if run["state"] not in ("looking", "reading"):
            return run
        time.sleep(0.05)
    raise AssertionError(run)


Ask = Callable[[TestClient], Any]


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.post("/ingests", json={"paths": ["/"]}),
        lambda c: c.get("/ingests/00000000-0000-7000-8000-000000000000"),
        lambda c: c.get("/roots"),
        lambda c: c.post("/roots", json={"path": "/"}),
        lambda c: c.get("/quarantine"),
        lambda c: c.post("/uploads", files={"file": b"x"}),
    ],
)
def test_a_stranger_is_not_recognised(remote: TestClient, ask: Ask) -> None:
    assert ask(remote).status_code == 401


def test_a_folder_is_taken_in_and_its_progress_can_be_asked(local: TestClient, folder: Path) -> None:
    for seed in range(3):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    request = {"paths": [str(folder)], "custody": "keep"}
    planned = local.post("/ingests/plan", json=request).json()
    assert (planned["found"], planned["to_read"]) == (3, 3)
    assert planned["space_needed"] == planned["size"]
    started = local.post("/ingests", json=request)
    assert started.status_code == 202
    run = _ended(local, started.json())
    assert (run["state"], run["new"]) == ("done", 3)
    assert local.delete(f"/ingests/{run['id']}").status_code == 200


def test_a_path_that_is_not_there_is_refused_at_once(local: TestClient, folder: Path) -> None:
    for address in ("/ingests", "/ingests/plan"):
        answer = local.post(address, json={"paths": [str(folder / "nowhere")]})
        assert answer.status_code == 422
        assert "nowhere" in answer.json()["detail"]


def test_another_tenants_run_does_not_exist(
    local: TestClient, remote: TestClient, folder: Path, database: Database, other_tenant: TenantScope
) -> None:
    run = local.post("/ingests", json={"paths": [str(folder)]}).json()
    foreign = _key(database, other_tenant, Role.ADMIN, Scope.READ, Scope.INGEST, Scope.ADMIN)
    assert remote.get(f"/ingests/{run['id']}", headers=foreign).status_code == 404
    _ended(local, run)


def test_a_key_for_ingest_reads_watched_folders_only(
    local: TestClient, remote: TestClient, folder: Path, database: Database, tenant: TenantScope, tmp_path: Path
) -> None:
    ingester = _key(database, tenant, Role.ADMIN, Scope.READ, Scope.INGEST)
    (tmp_path / "private").mkdir()
    assert remote.post("/ingests", json={"paths": [str(tmp_path)]}, headers=ingester).status_code == 403
    assert remote.post("/roots", json={"path": str(folder)}, headers=ingester).status_code == 403
    assert local.post("/roots", json={"path": str(folder)}).status_code == 201
    (folder / "out").symlink_to(tmp_path / "private")
    assert remote.post("/ingests", json={"paths": [str(folder / "out")]}, headers=ingester).status_code == 403
    started = remote.post("/ingests", json={"paths": [str(folder)]}, headers=ingester)
    assert started.status_code == 202
    _ended(local, started.json())


def test_a_root_is_added_once_named_on_other_machines_and_retired(local: TestClient, folder: Path) -> None:
    root = local.post("/roots", json={"path": str(folder)}).json()
    assert local.post("/roots", json={"path": str(folder)}).json()["id"] == root["id"]
    assert (folder / ".memoryd-root").is_file()
    (folder / "inner").mkdir()
    assert local.post("/roots", json={"path": str(folder / "inner")}).status_code == 409
    changed = local.patch(f"/roots/{root['id']}", json={"aliases": {"desk": "Z:\\out"}}).json()
    assert changed["aliases"] == {"desk": "Z:\\out"}
    assert local.patch(f"/roots/{root['id']}", json={"aliases": {"desk": None}}).json()["aliases"] == {}
    local.patch(f"/roots/{root['id']}", json={"retired": True})
    assert local.get("/roots").json()["items"] == []
    assert local.post("/roots", json={"path": str(folder)}).json()["id"] == root["id"]


def test_an_offline_root_is_accepted_as_it_is(local: TestClient, folder: Path) -> None:
    root = local.post("/roots", json={"path": str(folder)}).json()
    (folder / ".memoryd-root").unlink()
    assert local.patch(f"/roots/{root['id']}", json={"state": "offline"}).status_code == 422
    run = _ended(local, local.post("/ingests", json={"paths": [str(folder)]}).json())
    assert run["state"] == "failed"
    assert local.get("/roots").json()["items"][0]["state_reason"] == "marker-lost"
    accepted = local.patch(f"/roots/{root['id']}", json={"state": "online"}).json()
    assert accepted["state"] == "online"
    assert (folder / ".memoryd-root").is_file()


def test_a_quarantined_file_is_listed_and_tried_again(local: TestClient, folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 60)
    _ended(local, local.post("/ingests", json={"paths": [str(folder)]}).json())
    (file,) = local.get("/quarantine").json()["items"]
    assert file["reason"] == "broken"
    assert local.post(f"/quarantine/{file['id']}/retry").json()["quarantined"] == 1
    (folder / "a.png").write_bytes(picture())
    assert local.post(f"/quarantine/{file['id']}/retry").json()["recorded"] == 1
    assert local.get("/quarantine").json()["items"] == []
    assert local.get("/quarantine", params={"cursor": "nonsense"}).status_code == 422


def test_an_upload_is_kept_and_recorded(local: TestClient, store: BlobStore, tenant: TenantScope) -> None:
    sent = local.post("/uploads", files={"file": ("a.png", picture())})
    assert sent.status_code == 201
    assert store.read_verified(tenant.slug, bytes.fromhex(sent.json()["sha256"])) == picture()
    assert local.post("/uploads", files={"file": ("a.png", picture())}).json()["new"] is False


@pytest.mark.parametrize("content", [picture()[:60], b"just some text that is long enough", b""])
def test_an_upload_that_is_no_whole_picture_is_refused(local: TestClient, content: bytes) -> None:
    assert local.post("/uploads", files={"file": ("a.txt", content)}).status_code == 422
