"""Jobs over HTTP, from the request to the record."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image, PngImagePlugin
from sqlalchemy import text

from memoryd.access.guards import Offices
from memoryd.foundation.database import TenantScope
from memoryd.submission import completing
from tests.submission.conftest import GRAPH, PROTOCOL, FarmHand

Join = Callable[..., FarmHand]


def picture(graph: object = GRAPH, shade: int = 0) -> bytes:
    """A picture as ComfyUI saves it."""
    written, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(graph))
    Image.new("RGB", (64, 64), (shade, 0, 255)).save(written, "PNG", pnginfo=info)
    return written.getvalue()


def ask(person: TestClient, **changes: Any) -> Any:
    headers = changes.pop("headers", {})
    return person.post("/v1/jobs", json={"graph": GRAPH, **changes}, headers=headers)


def count(offices: Offices, tenant: TenantScope, table: str) -> int:
    with offices.database.tenant_work(tenant) as session:
        return int(session.execute(text(f"select count(*) from {table}")).scalar_one())


def run_out(offices: Offices) -> None:
    """Let every lease be reaped, and every retry be due."""
    with offices.database.farm_work() as session:
        session.execute(text("update lease set expires_at = clock_timestamp() - interval '1 s'"))
        from memoryd.dispatch import tending
        from tests.dispatch.conftest import LONG_AGO

        tending.reap(session, calm_since=LONG_AGO)
        session.execute(text("update delayed set run_at = clock_timestamp()"))
        tending.promote(session)


def test_a_job_goes_from_the_request_to_the_record(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope
) -> None:
    asked = ask(person, name="Hero shot")
    assert asked.status_code == 201, asked.text
    assert asked.json()["starts_in_s"] is None
    hand = join()
    job = hand.claim()
    assert job is not None
    assert json.loads(job["prompt"]) == GRAPH
    made = picture()
    assert hand.upload(job, 0, made).json() == {"sha256": hashlib.sha256(made).hexdigest(), "size": len(made)}
    assert hand.report(job, made).json() == {"answer": "recorded"}
    assert hand.report(job, made).json() == {"answer": "duplicate"}
    shown = person.get(f"/v1/jobs/{job['job_id']}").json()
    assert shown["state"] == "succeeded"
    (output,) = shown["result"]["outputs"]
    assert output["asset_id"] is not None
    (written,) = (offices.home / "outputs").rglob("*.png")
    assert written.read_bytes() == made
    assert written.parent.parts[-3:] == ("default", "2026-11-21", "Hero shot")
    with offices.database.tenant_work(tenant) as session:
        row = session.execute(text("select origin, run_key, cached, environment from generation")).one()
        assert (row.origin, row.run_key, row.cached) == ("job", f"job:{job['job_id']}", False)
        assert row.environment is not None
        assert session.execute(text("select shown_path from location")).scalar_one() == str(written)
        states = session.execute(text("select state from job_event order by seq")).scalars().all()
    assert states == ["submitted", "claimed", "succeeded"]
    assert not (offices.store.home / "staging" / "default" / job["job_id"]).exists()  # type: ignore[attr-defined]


def test_a_late_worker_is_refused_and_leaves_nothing(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope
) -> None:
    ask(person)
    zombie, second = join(), join()
    late = zombie.claim()
    assert late is not None
    zombie.upload(late, 0, picture(shade=1))
    run_out(offices)
    job = second.claim()
    assert job is not None
    assert job["job_id"] == late["job_id"]
    assert job["attempt"] == 2
    refused = zombie.report(late, picture(shade=1))
    assert (refused.status_code, refused.json()["kind"]) == (409, "lease-lost")
    assert zombie.upload(late, 0, picture(shade=1)).status_code == 409
    assert count(offices, tenant, "asset") == 0
    assert list((offices.home).glob("outputs/**/*.png")) == []
    second.upload(job, 0, picture())
    assert second.report(job, picture()).json() == {"answer": "recorded"}
    assert count(offices, tenant, "asset") == 1


def test_a_lease_that_ends_while_its_outputs_are_recorded_rolls_the_record_back(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(person)
    hand = join()
    job = hand.claim()
    assert job is not None
    hand.upload(job, 0, picture())
    prepare = completing.prepare_job

    def slow(*told: Any) -> Any:
        run_out(offices)
        return prepare(*told)

    monkeypatch.setattr(completing, "prepare_job", slow)
    assert hand.report(job, picture()).status_code == 409
    assert count(offices, tenant, "asset") == 0
    assert count(offices, tenant, "generation") == 0
    assert list((offices.home).glob("outputs/**/*.png")) == []
    assert person.get(f"/v1/jobs/{job['job_id']}").json()["state"] == "ready"


def test_a_run_that_came_from_the_cache_is_one_more_generation_and_no_second_asset(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope
) -> None:
    hand = join()
    for cached in ([], ["1", "2"]):
        ask(person)
        job = hand.claim()
        assert job is not None
        hand.upload(job, 0, picture())
        assert hand.report(job, picture(), cached_nodes=cached).status_code == 200
    assert count(offices, tenant, "asset") == 1
    assert len(list((offices.home / "outputs").rglob("*.png"))) == 1
    with offices.database.tenant_work(tenant) as session:
        assert session.execute(text("select cached from generation order by id")).scalars().all() == [False, True]


def test_the_weights_of_a_run_are_those_that_its_worker_hashed(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope
) -> None:
    model = {"folder": "checkpoints", "path": "tiny.safetensors", "sha256": "ab" * 32}
    hand = join(classes=("EmptyImage", "SaveImage", "KSampler", "CheckpointLoaderSimple"), models=[model])
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny.safetensors"}},
        "3": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "seed": 1, "steps": 1, "cfg": 1.0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "made"}},
    }
    assert ask(person, graph=graph).status_code == 201
    job = hand.claim()
    assert job is not None
    named = {"folder": "checkpoints", "name": "tiny.safetensors"}
    assert job["pins"] == [{**named, "sha256": "ab" * 32, "assumed": True}], "known, and nobody insists on it"
    hand.upload(job, 0, picture(graph))
    assert hand.report(job, picture(graph)).status_code == 200
    with offices.database.tenant_work(tenant) as session:
        row = session.execute(text("select role, name, sha256 from generation_model")).one()
    assert (row.role, row.name, row.sha256.hex()) == ("checkpoints", "tiny.safetensors", "ab" * 32)
    assert ask(person, graph=graph).status_code == 201
    job = hand.claim()
    assert job is not None
    hand.upload(job, 0, picture(graph))
    found = hand.report(job, picture(graph), models=[{**named, "sha256": "cd" * 32}])
    assert found.status_code == 200
    with offices.database.tenant_work(tenant) as session:
        rows = session.execute(text("select sha256 from generation_model")).scalars()
        assert {bytes(row).hex() for row in rows} == {"ab" * 32, "cd" * 32}, "what it found there before the run counts"


def test_the_same_idempotency_key_is_the_same_job(person: TestClient) -> None:
    first = ask(person, headers={"Idempotency-Key": "k1"}).json()
    again = ask(person, headers={"Idempotency-Key": "k1"}).json()
    assert (again["id"], again["known"]) == (first["id"], True)
    changed = ask(person, headers={"Idempotency-Key": "k1"}, name="another")
    assert (changed.status_code, changed.json()["kind"]) == (409, "key-reused")
    assert len(person.get("/v1/jobs").json()["items"]) == 1


def test_a_graph_with_a_class_that_no_worker_has_is_refused_by_name(person: TestClient, join: Join) -> None:
    join(classes=("EmptyImage",))
    refused = ask(person)
    assert refused.status_code == 422
    assert "SaveImage" in refused.json()["detail"]


def test_a_graph_that_names_a_model_no_worker_has_is_refused_by_name(person: TestClient, join: Join) -> None:
    model = {"folder": "checkpoints", "path": "tiny.safetensors"}
    join(classes=("EmptyImage", "SaveImage", "CheckpointLoaderSimple"), models=[model])
    graph = {**GRAPH, "3": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "huge.safetensors"}}}
    refused = ask(person, graph=graph)
    assert refused.status_code == 422
    assert "checkpoints/huge.safetensors" in refused.json()["detail"]
    graph["3"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny.safetensors"}}
    assert ask(person, graph=graph).status_code == 201


@pytest.mark.parametrize("graph", ["not json", "[]", "{}", json.dumps({"nodes": [], "links": []})])
def test_what_is_no_graph_is_refused_with_the_reason(person: TestClient, graph: str) -> None:
    refused = ask(person, graph=graph)
    assert (refused.status_code, refused.json()["kind"]) == (422, "graph-refused")


def test_the_text_of_a_graph_reaches_the_worker_exactly_as_it_was_sent(person: TestClient, join: Join) -> None:
    spelled = json.dumps(GRAPH, indent=3).replace("255", "18446744073709551615")
    assert ask(person, graph=spelled).status_code == 201
    job = join().claim()
    assert job is not None
    assert job["prompt"] == spelled


def test_inputs_travel_by_their_hash(person: TestClient, join: Join) -> None:
    content = picture(shade=9)
    stored = person.post("/v1/inputs", files={"file": ("a.png", content)}).json()
    asked = {"name": "a.png", "sha256": stored["sha256"], "size": stored["size"]}
    assert ask(person, inputs=[{**asked, "sha256": "0" * 64}]).status_code == 422
    assert ask(person, inputs=[asked]).status_code == 201
    hand = join()
    job = hand.claim()
    assert job is not None
    named = {"fence": job["fence"], "token": job["token"]}
    path = f"/v1/work/inputs/{job['job_id']}"
    got = hand.http.get(f"{path}/{stored['sha256']}", params=named, headers=hand.headers)
    assert got.content == content
    assert hand.http.get(f"{path}/{'0' * 64}", params=named, headers=hand.headers).status_code == 404
    wrong = {**named, "token": "guessed"}
    assert hand.http.get(f"{path}/{stored['sha256']}", params=wrong, headers=hand.headers).status_code == 409


def test_an_output_that_is_not_what_was_announced_is_refused(person: TestClient, join: Join) -> None:
    ask(person)
    hand = join()
    job = hand.claim()
    assert job is not None
    assert hand.upload(job, 0, b"cut off", sha256="0" * 64).status_code == 409
    assert hand.report(job, picture()).json()["kind"] == "output-not-uploaded"
    hand.upload(job, 0, picture())
    assert hand.report(job, picture()).status_code == 200


def test_a_failed_run_is_tried_again_and_then_a_dead_letter(person: TestClient, join: Join, offices: Offices) -> None:
    ask(person)
    hand = join()
    error = {"kind": "execution-error", "message": "no such tensor", "node_id": "1", "node_type": "EmptyImage"}
    for _ in range(2):
        job = hand.claim()
        assert job is not None
        assert hand.report(job, outcome="error", error=error).status_code == 200
        run_out(offices)
    (dead,) = person.get("/v1/jobs/dead").json()["items"]
    assert dead["reason"] == "no such tensor"
    assert len(dead["failures"]) == 2
    assert person.post(f"/v1/jobs/{dead['id']}/replay").status_code == 200
    assert hand.claim() is not None
    assert person.post(f"/v1/jobs/{dead['id']}/replay").status_code == 409


def test_a_jobs_story_is_told_until_its_end(person: TestClient, join: Join) -> None:
    job_id = ask(person).json()["id"]
    hand = join()
    job = hand.claim()
    assert job is not None
    beat = {"job_id": job_id, "fence": job["fence"], "token": job["token"], "progress": 0.5, "phase": "sampling"}
    heard = hand.say("heartbeat", incarnation=hand.incarnation, leases=[beat]).json()
    assert heard == {"leases": [{"job_id": job_id, "answer": "ok"}], "drain": False}
    assert person.get(f"/v1/jobs/{job_id}").json()["progress"] == 0.5
    assert person.post(f"/v1/jobs/{job_id}/cancel").json() == {"answer": "requested"}
    assert hand.say("heartbeat", incarnation=hand.incarnation, leases=[beat]).json()["leases"][0]["answer"] == "cancel"
    assert hand.report(job, outcome="cancelled").status_code == 200
    told = person.get(f"/v1/jobs/{job_id}/events").text
    events = [json.loads(line[5:]) for line in told.splitlines() if line.startswith("data:")]
    assert [event["state"] for event in events if "seq" in event] == [
        "submitted",
        "claimed",
        "cancel-requested",
        "cancelled",
    ]


def test_a_worker_that_starts_anew_may_finish_what_it_had_begun(person: TestClient, join: Join) -> None:
    job_id = ask(person).json()["id"]
    hand = join()
    job = hand.claim()
    assert job is not None
    hand.start()
    beat = {"job_id": job_id, "fence": job["fence"], "token": job["token"], "progress": 0.5, "phase": "sampling"}
    assert hand.say("heartbeat", incarnation=hand.incarnation, leases=[beat]).json()["leases"][0]["answer"] == "ok"
    assert hand.report(job).json() == {"answer": "recorded"}


def test_a_worker_that_starts_anew_and_asks_for_work_gives_up_what_it_had(person: TestClient, join: Join) -> None:
    job_id = ask(person).json()["id"]
    hand = join()
    old = hand.incarnation
    job = hand.claim()
    assert job is not None
    hand.start()
    assert hand.claim() is None
    assert person.get(f"/v1/jobs/{job_id}").json()["state"] == "delayed"
    assert hand.report(job).status_code == 409
    assert hand.say("claim", incarnation=old).status_code == 409


def test_a_drained_worker_takes_nothing_and_is_told(person: TestClient, join: Join) -> None:
    hand = join()
    (worker,) = person.get("/v1/workers").json()["items"]
    assert person.post(f"/v1/workers/{worker['id']}/drain").status_code == 204
    ask(person)
    assert hand.claim() is None
    assert hand.say("heartbeat", incarnation=hand.incarnation).json()["drain"] is True
    hand.start()
    assert hand.claim() is not None


def test_a_join_token_works_once(person: TestClient, stranger: TestClient) -> None:
    token = person.post("/v1/workers", json={}).json()["token"]
    asked = {"token": token, "label": "gpu", "host": "host", "protocol": 1}
    assert stranger.post("/v1/work/join", json=asked, headers=PROTOCOL).status_code == 200
    assert stranger.post("/v1/work/join", json=asked, headers=PROTOCOL).status_code == 401


@pytest.mark.parametrize("spoken", [None, "2", "x", "-1"])
def test_a_worker_of_another_protocol_is_told_what_to_upgrade(stranger: TestClient, spoken: str | None) -> None:
    headers = {} if spoken is None else {"Memoryd-Protocol": spoken}
    body = {"token": "t", "label": "gpu", "host": "host", "protocol": 1}
    refused = stranger.post("/v1/work/join", json=body, headers=headers)
    assert (refused.status_code, refused.json()["kind"]) == (409, "protocol-not-supported")
    assert "upgrade" in refused.json()["hint"]


def test_strangers_and_other_tenants_reach_nothing(
    person: TestClient, other_person: TestClient, stranger: TestClient, join: Join
) -> None:
    job_id = ask(person).json()["id"]
    for method, path in [
        ("GET", "/v1/jobs"),
        ("GET", f"/v1/jobs/{job_id}"),
        ("GET", "/v1/queue"),
        ("POST", "/v1/workers"),
    ]:
        assert stranger.request(method, path, json={} if method == "POST" else None).status_code == 401
    assert stranger.post("/v1/work/claim", json={"incarnation": job_id}, headers=PROTOCOL).status_code == 401
    assert other_person.get(f"/v1/jobs/{job_id}").status_code == 404
    assert other_person.get(f"/v1/jobs/{job_id}/events").status_code == 404
    assert other_person.post(f"/v1/jobs/{job_id}/cancel").status_code == 404
    assert other_person.post(f"/v1/jobs/{job_id}/replay").status_code == 404
    assert other_person.get("/v1/jobs").json()["items"] == []
    foreign = join(other_person)
    assert foreign.claim() is None
    (worker,) = other_person.get("/v1/workers").json()["items"]
    assert person.get("/v1/workers").json()["items"] == []
    assert person.post(f"/v1/workers/{worker['id']}/drain").status_code == 404


def test_jobs_are_listed_page_by_page_and_by_state(person: TestClient) -> None:
    ids = [ask(person).json()["id"] for _ in range(5)]
    person.post(f"/v1/jobs/{ids[1]}/cancel")
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = person.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids[::-1]
    assert cursor is None
    waiting = person.get("/v1/jobs", params={"state": "ready", "limit": 4}).json()
    assert [item["id"] for item in waiting["items"]] == [ids[4], ids[3], ids[2], ids[0]]
    (gone,) = person.get("/v1/jobs", params={"state": "cancelled"}).json()["items"]
    assert gone["id"] == ids[1]


def test_the_queue_shows_what_waits_and_who_works(person: TestClient, other_person: TestClient, join: Join) -> None:
    ask(person)
    hand = join()
    ask(person)
    hand.claim()
    queue = person.get("/v1/queue").json()
    (pool,) = queue["pools"]
    assert (pool["pool"], pool["waiting"], pool["running"], pool["workers"]) == ("default", 1, 1, 1)
    assert queue["workers"][0]["running"] == 1
    (shared,) = other_person.get("/v1/queue").json()["pools"]
    assert (shared["waiting"], shared["workers"]) == (1, 0), "a worker that does not serve a tenant is none for it"


def test_a_pool_of_one_tenant_is_not_anothers(person: TestClient, other_person: TestClient) -> None:
    assert person.post("/v1/pools", json={"name": "gpu24"}).status_code == 201
    assert [pool["name"] for pool in person.get("/v1/pools").json()["items"]] == ["default", "gpu24"]
    assert [pool["name"] for pool in other_person.get("/v1/pools").json()["items"]] == ["default"]
    assert ask(other_person, pool="gpu24").status_code == 404
    assert other_person.post("/v1/workers", json={"pool": "gpu24"}).status_code == 404
    assert person.post("/v1/pools", json={"name": "../x"}).status_code == 422


def test_outputs_never_leave_their_folder(person: TestClient, join: Join, offices: Offices) -> None:
    ask(person, name="../../../etc/cron.d")
    hand = join()
    job = hand.claim()
    assert job is not None
    hand.upload(job, 0, picture())
    outputs = {
        "index": 0,
        "node": "2",
        "output": "images",
        "batch_index": 0,
        "filename": "../../.bashrc\x00.png",
        "subfolder": "../..",
        "type": "output",
        "sha256": hashlib.sha256(picture()).hexdigest(),
        "size": len(picture()),
        "media_type": "image/png",
    }
    assert hand.report(job, outputs=[outputs]).status_code == 200
    (written,) = (path for path in offices.home.rglob("*.png") if "blobs" not in path.parts)
    assert Path(written).resolve().is_relative_to((offices.home / "outputs" / "default").resolve())
