"""The model store over HTTP: pushed in parts, checked on disk, pulled in parts, lent for leased jobs, kept within limits."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from memoryd.access.guards import Offices
from memoryd.catalog.holding import Holders
from memoryd.catalog.models import endpoints as registry_endpoints
from memoryd.foundation.database import TenantScope
from memoryd.model_registry.keeping import copies
from memoryd.submission.stored_models import endpoints, lending
from memoryd.submission.stored_models import room as stored_room


def weights(word: str = "a", size: int = 3000) -> bytes:
    """A small LoRA."""
    header = {
        "__metadata__": {"modelspec.title": word},
        "lora_unet_x.lora_down.weight": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]},
    }
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + (word.encode() * size)[:4]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.include_router(endpoints.router, prefix="/v1")
    app.include_router(registry_endpoints.router, prefix="/v1")
    return app


def announce(http: TestClient, content: bytes, name: str = "styles/ink.safetensors", folder: str = "loras") -> Any:
    asked = {"size": len(content), "folder": folder, "name": name}
    return http.post(f"/v1/models/stored/{digest(content)}", json=asked)


def send(http: TestClient, content: bytes, offset: int = 0, sha256: str | None = None) -> Any:
    path = f"/v1/models/stored/{sha256 or digest(content)}"
    return http.patch(path, params={"offset": offset}, content=content[offset:])


def finish(http: TestClient, content: bytes, name: str = "styles/ink.safetensors", folder: str = "loras") -> Any:
    asked = {"size": len(content), "folder": folder, "name": name}
    return http.post(f"/v1/models/stored/{digest(content)}/finish", json=asked)


def push(http: TestClient, content: bytes, name: str = "styles/ink.safetensors", folder: str = "loras") -> str:
    assert announce(http, content, name, folder).json() == {"state": "wanted", "offset": 0}
    assert send(http, content).json() == {"state": "wanted", "offset": len(content)}
    answer = finish(http, content, name, folder)
    assert answer.json() == {"state": "stored", "offset": len(content)}, answer.text
    return digest(content)


def test_a_push_in_parts_goes_on_where_it_ended_and_is_not_sent_twice(person: TestClient, offices: Offices) -> None:
    content = weights()
    assert announce(person, content).json() == {"state": "wanted", "offset": 0}
    assert send(person, content[:100], sha256=digest(content)).json()["offset"] == 100
    assert announce(person, content).json() == {"state": "wanted", "offset": 100}
    elsewhere = send(person, content, offset=50)
    assert (elsewhere.status_code, elsewhere.json()["offset"]) == (409, 100)
    assert finish(person, content).json() == {"state": "wanted", "offset": 100}, "it is not all there"
    assert send(person, content, offset=100).json()["offset"] == len(content)
    assert announce(person, content).json() == {"state": "checking", "offset": len(content)}
    assert finish(person, content).json()["state"] == "stored"
    assert announce(person, content).json() == {"state": "stored", "offset": len(content)}
    store = copies.model_store(offices.store)
    assert store.read_verified("default", bytes.fromhex(digest(content))) == content
    assert not list((store.home / "default" / ".arriving").iterdir())


def test_what_is_stored_is_listed_and_known_to_the_registry_by_its_name(person: TestClient) -> None:
    sha256 = push(person, weights())
    listed = person.get("/v1/models/stored").json()
    assert (listed["count"], listed["size"], listed["limit"]) == (1, len(weights()), None)
    (one,) = listed["items"]
    assert (one["sha256"], one["folder"], one["name"]) == (sha256, "loras", "styles/ink.safetensors")
    assert one["needed_by"] is None
    assert person.get(f"/v1/models/stored/{sha256}").json() == one
    named = person.get("/v1/models/loras/styles/ink.safetensors")
    assert named.status_code == 200, named.text
    assert named.json()["sha256"] == sha256


def test_other_bytes_than_announced_are_refused_and_nothing_is_kept(person: TestClient) -> None:
    content = weights()
    announce(person, content)
    send(person, content[:-1] + b"!", sha256=digest(content))
    refused = finish(person, content)
    assert refused.status_code == 409
    assert "arrived" in refused.json()["detail"]
    assert announce(person, content).json() == {"state": "wanted", "offset": 0}
    assert person.get("/v1/models/stored").json()["items"] == []


@pytest.mark.parametrize("name", ["../up.safetensors", "/etc/x", "a//b", "a/./b", "", ".hidden", "a/\x00b", "a\\..\\b"])
def test_a_name_that_leads_elsewhere_is_refused(person: TestClient, name: str) -> None:
    assert announce(person, weights(), name).status_code == 422


@pytest.mark.parametrize("folder", ["", "..", "a/b", ".memoryd-models"])
def test_a_folder_that_is_none_is_refused(person: TestClient, folder: str) -> None:
    assert announce(person, weights(), "x.safetensors", folder).status_code == 422


def test_a_pull_in_parts_is_whole_again(person: TestClient) -> None:
    content = weights()
    sha256 = push(person, content)
    whole = person.get("/v1/models/styles/ink.safetensors/content")
    assert (whole.content, whole.headers["ETag"]) == (content, f'"{sha256}"')
    rest = person.get(f"/v1/models/{sha256}/content", headers={"Range": "bytes=100-", "If-Range": f'"{sha256}"'})
    assert (rest.status_code, rest.content) == (206, content[100:])
    other = person.get(f"/v1/models/{sha256}/content", headers={"Range": "bytes=100-", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, content)
    beyond = person.get(f"/v1/models/{sha256}/content", headers={"Range": "bytes=999999-"})
    assert beyond.status_code == 416


def test_strangers_and_other_tenants_see_and_change_nothing(
    stranger: TestClient, other_person: TestClient, person: TestClient
) -> None:
    content = weights()
    sha256 = push(person, content)
    calls: list[Callable[[TestClient], Any]] = [
        lambda http: http.get("/v1/models/stored"),
        lambda http: http.get(f"/v1/models/stored/{sha256}"),
        lambda http: http.get(f"/v1/models/{sha256}/content"),
        lambda http: announce(http, content),
        lambda http: send(http, content),
        lambda http: finish(http, content),
        lambda http: http.delete(f"/v1/models/stored/{sha256}"),
    ]
    assert [call(stranger).status_code for call in calls] == [401] * len(calls)
    assert other_person.get("/v1/models/stored").json()["items"] == []
    for path in (f"/v1/models/stored/{sha256}", f"/v1/models/{sha256}/content"):
        assert other_person.get(path).status_code == 404
    assert other_person.delete(f"/v1/models/stored/{sha256}").status_code == 404
    assert announce(other_person, content).json() == {"state": "wanted", "offset": 0}, "not even that it is there"
    assert person.get(f"/v1/models/{sha256}/content").content == content


def test_what_is_discarded_is_gone_from_list_names_and_disk(person: TestClient, offices: Offices) -> None:
    sha256 = push(person, weights())
    assert person.delete(f"/v1/models/stored/{sha256}").json() == {"size": len(weights())}
    assert person.get("/v1/models/stored").json()["items"] == []
    assert person.get(f"/v1/models/{sha256}/content").status_code == 404
    assert not copies.model_store(offices.store).exists("default", bytes.fromhex(sha256))
    assert person.get(f"/v1/models/{sha256}").status_code == 200, "what it was stays known"
    assert person.delete(f"/v1/models/stored/{sha256}").status_code == 404
    push(person, weights())


def test_bytes_that_a_restored_list_names_and_no_backup_had_are_pushed_again(
    person: TestClient, offices: Offices
) -> None:
    sha256 = push(person, weights())
    copies.model_store(offices.store).remove("default", bytes.fromhex(sha256))
    gone = person.get(f"/v1/models/{sha256}/content")
    assert gone.status_code == 404
    assert "models push" in gone.text
    push(person, weights())
    assert person.get(f"/v1/models/{sha256}/content").content == weights()


def graph(name: str = "styles/ink.safetensors") -> dict[str, Any]:
    return {
        "1": {"class_type": "LoraLoader", "inputs": {"lora_name": name, "strength_model": 1.0, "strength_clip": 1.0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
    }


CLASSES = ("LoraLoader", "SaveImage")
OTHERS = [{"folder": "loras", "path": "other.safetensors", "size": 3}]


def submit(http: TestClient, **asked: Any) -> Any:
    return http.post("/v1/jobs", json={"graph": graph(), **asked})


def work(job: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": job["job_id"], "fence": job["fence"], "token": job["token"]}


def test_a_graph_may_name_what_only_the_store_has_where_a_worker_can_bring_it(
    person: TestClient, join: Callable[..., Any]
) -> None:
    hand = join(classes=CLASSES, models=OTHERS)
    refused = submit(person)
    assert refused.status_code == 422
    assert "memoryd models push" in refused.json()["hint"]
    sha256 = push(person, weights())
    assert submit(person).status_code == 422, "its ComfyUI lies elsewhere: it cannot bring anything"
    hand.start(classes=CLASSES, models=OTHERS, fetches_models=True)
    assert submit(person).status_code == 201
    pinned = {"folder": "loras", "name": "styles/ink.safetensors", "sha256": sha256, "assumed": True}
    assert hand.claim()["pins"] == [pinned]
    wrong = {"folder": "loras", "name": "styles/ink.safetensors", "sha256": "0" * 64}
    assert submit(person, pins=[wrong]).status_code == 422, "the store has another content"


def test_by_hash_another_name_is_brought_too(person: TestClient, join: Callable[..., Any]) -> None:
    hand = join(classes=CLASSES, models=OTHERS, fetches_models=True)
    sha256 = push(person, weights(), "as it was pushed.safetensors")
    assert submit(person).status_code == 422
    pin = {"folder": "loras", "name": "styles/ink.safetensors", "sha256": sha256}
    answer = submit(person, pins=[pin])
    assert answer.status_code == 201, answer.text
    assert hand.claim()["pins"][0]["sha256"] == sha256


def test_only_who_can_bring_it_gets_it_while_others_are_there(person: TestClient, join: Callable[..., Any]) -> None:
    far = join(classes=CLASSES, models=OTHERS)
    near = join(classes=CLASSES, models=OTHERS, fetches_models=True)
    push(person, weights())
    assert submit(person).status_code == 201
    assert far.claim() is None
    assert near.claim() is not None


def test_a_worker_gets_what_its_job_pins_and_nothing_else(
    person: TestClient, other_person: TestClient, stranger: TestClient, join: Callable[..., Any]
) -> None:
    hand = join(classes=CLASSES, models=OTHERS, fetches_models=True)
    colleague = join(classes=CLASSES, models=OTHERS, fetches_models=True)
    foreign = join(other_person, classes=CLASSES, models=OTHERS, fetches_models=True)
    content, secret = weights(), weights("b")
    sha256, other = push(person, content), push(person, secret, "secret.safetensors")
    submit(person)
    job = hand.claim()
    assert job is not None

    def fetch(asker: Any, wanted: str, **headers: str) -> Any:
        return stranger.get(f"/v1/work/models/{wanted}", params=work(job), headers={**asker.headers, **headers})

    assert fetch(hand, sha256).content == content
    assert fetch(hand, sha256, Range="bytes=5-9").content == content[5:10]
    assert fetch(hand, other).status_code == 404, "no job of it pins that"
    assert fetch(colleague, sha256).status_code == 409, "the lease is another's"
    assert fetch(foreign, sha256).status_code == 409
    assert stranger.get(f"/v1/work/models/{sha256}", params=work(job)).status_code in (401, 409)
    asked = {**work(job), "pins": [*job["pins"], {"folder": "loras", "name": "secret.safetensors"}]}
    offered = hand.say("models/asked", **asked).json()
    assert [model["sha256"] for model in offered["models"]] == [sha256], "asking for more than was pinned is idle"
    assert foreign.say("models/asked", **asked).status_code == 409
    person.post(f"/v1/jobs/{job['job_id']}/cancel")
    hand.say("release", **work(job), reason="cancelled", counts=False)
    assert fetch(hand, sha256).status_code == 409, "the lease is over"


def test_what_jobs_wait_for_is_not_discarded(person: TestClient, join: Callable[..., Any]) -> None:
    join(classes=CLASSES, models=OTHERS, fetches_models=True)
    sha256 = push(person, weights())
    job = submit(person).json()["id"]
    refused = person.delete(f"/v1/models/stored/{sha256}")
    assert refused.status_code == 409
    assert "jobs that have not ended" in refused.json()["detail"]
    assert person.get("/v1/models/stored").json()["items"][0]["needed_by"]
    person.post(f"/v1/jobs/{job}/cancel")
    assert person.delete(f"/v1/models/stored/{sha256}").status_code == 200


def test_what_an_approved_picture_holds_stays_and_workers_are_told(
    person: TestClient, join: Callable[..., Any], offices: Offices, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who holds a model is tried where approvals are: tests/catalog/test_holding.py.
    sha256 = push(person, weights())
    held = {bytes.fromhex(sha256): Holders(sha256=bytes.fromhex(sha256), assets=(), others=1)}
    for room in (stored_room, lending):
        monkeypatch.setattr(room, "model_holders_of", lambda session, digests, sees=None: held)
    assert "projects that you do not see" in person.delete(f"/v1/models/stored/{sha256}").json()["detail"]
    offices.settings.model_store_limit = len(weights()) + 10
    announce(person, weights("b"))
    send(person, weights("b"))
    assert finish(person, weights("b")).status_code == 413
    hand = join(classes=CLASSES, models=OTHERS, fetches_models=True)
    asked = {"tenant": str(tenant.id), "sha256s": [sha256, "0" * 64]}
    assert hand.say("models/held", **asked).json() == {"held": [sha256]}


def test_a_worker_is_told_nothing_of_tenants_that_it_does_not_serve(
    other_person: TestClient, stranger: TestClient, join: Callable[..., Any], tenant: TenantScope
) -> None:
    foreign = join(other_person, classes=CLASSES, models=OTHERS)
    asked = {"tenant": str(tenant.id), "sha256s": ["0" * 64]}
    assert foreign.say("models/held", **asked).json() == {"held": []}
    assert stranger.post("/v1/work/models/held", json=asked).status_code in (401, 409)


def test_within_a_limit_what_was_used_longest_ago_leaves(
    person: TestClient, offices: Offices, join: Callable[..., Any]
) -> None:
    join(classes=CLASSES, models=OTHERS, fetches_models=True)
    first, second, third = (weights(word) for word in "abc")
    offices.settings.model_store_limit = 2 * len(first) + 10
    push(person, first, "a.safetensors")
    push(person, second, "b.safetensors")
    push(person, third, "c.safetensors")
    assert {one["name"] for one in person.get("/v1/models/stored").json()["items"]} == {
        "b.safetensors",
        "c.safetensors",
    }
    assert not copies.model_store(offices.store).exists("default", bytes.fromhex(digest(first)))
    # Both that are left are asked for now.
    for name in ("b.safetensors", "c.safetensors"):
        assert person.post("/v1/jobs", json={"graph": graph(name)}).status_code == 201
    announce(person, first, "a.safetensors")
    send(person, first)
    full = finish(person, first, "a.safetensors")
    assert full.status_code == 413
    assert "memoryd models stored" in full.json()["hint"]
    assert len(person.get("/v1/models/stored").json()["items"]) == 2, "nothing left for nothing"
    offices.settings.model_store_limit = 10
    assert announce(person, weights("d")).status_code == 413
