"""Jobs whose weights are recalled: not handed out, ended with the reason, and none written afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import text

from memoryd.access.facts import Caller, Scope
from memoryd.clearance.recalls import deciding, standing
from memoryd.clearance.recalls.facts import RecallKind
from memoryd.foundation.database import Database, TenantScope
from memoryd.model_registry import origins
from memoryd.model_registry.facts import Via
from memoryd.submission import recalled_jobs

from .conftest import GRAPH, FarmHand

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

MODEL = bytes([7]) * 32
PIN = {"folder": "checkpoints", "name": "bad.safetensors", "sha256": MODEL.hex()}


def submit(person: TestClient, *pins: dict[str, str]) -> str:
    answer = person.post("/v1/jobs", json={"graph": GRAPH, "pool": "default", "pins": list(pins)})
    assert answer.status_code in (200, 201, 202), answer.text
    return str(answer.json()["id"])


def recall(database: Database, tenant: TenantScope) -> UUID:
    scopes = frozenset({Scope.DISCLOSE})
    caller = Caller(tenant=tenant, name="officer", scopes=scopes, everywhere=scopes, sees=None, via="key")
    with database.tenant_work(tenant) as session:
        return deciding.recall(session, caller, MODEL, RecallKind.MALICIOUS, "it runs code")


def test_a_job_that_waits_is_handed_to_nobody_and_ended_with_the_reason(
    person: TestClient, join: Callable[..., FarmHand], database: Database, tenant: TenantScope
) -> None:
    hand = join()
    job = submit(person, PIN)
    recall_id = recall(database, tenant)
    # The chore has not come yet: the claim refuses by itself.
    answer = hand.say("claim", incarnation=hand.incarnation, loaded=[], wait_s=0)
    assert answer.status_code != 200
    recalled_jobs.end_jobs(database, tenant, recall_id)
    assert person.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert "was recalled as malicious" in person.get(f"/v1/jobs/{job}/events").text


def test_a_job_that_runs_is_asked_to_stop_and_others_are_left_alone(
    person: TestClient, join: Callable[..., FarmHand], database: Database, tenant: TenantScope
) -> None:
    hand = join()
    running = submit(person, PIN)
    assert (hand.claim() or {})["job_id"] == running
    other = submit(person)
    recall_id = recall(database, tenant)
    assert recalled_jobs.end_jobs(database, tenant, recall_id) == 1
    assert person.get(f"/v1/jobs/{running}").json()["cancel_requested"]
    assert person.get(f"/v1/jobs/{other}").json()["state"] == "ready"
    with database.tenant_work(tenant) as session:
        assert session.scalar(text("select jobs_ended from recall")) == 1


def test_none_is_written_after_the_recall(person: TestClient, database: Database, tenant: TenantScope) -> None:
    recall(database, tenant)
    answer = person.post("/v1/jobs", json={"graph": GRAPH, "pool": "default", "pins": [PIN]})
    assert answer.status_code == 422, answer.text
    assert "recalled" in answer.text


LOADING = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "bad.safetensors"}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
CLASSES = ("CheckpointLoaderSimple", "PreviewAny")
GOOD = bytes([8]) * 32


def has(sha256: bytes | None) -> list[dict[str, object]]:
    return [
        {
            "folder": "checkpoints",
            "path": "bad.safetensors",
            "size": 1,
            "mtime_ns": 1 if sha256 == GOOD else 2,
            "sha256": None if sha256 is None else sha256.hex(),
        }
    ]


def loading(person: TestClient, **more: object) -> str:
    answer = person.post("/v1/jobs", json={"graph": LOADING, "pool": "default", **more})
    assert answer.status_code in (200, 201, 202), answer.text
    return str(answer.json()["id"])


def asks(hand: FarmHand) -> int:
    return int(hand.say("claim", incarnation=hand.incarnation, loaded=[], wait_s=0).status_code)


def test_a_job_whose_pins_are_left_out_is_found_by_what_the_pool_had(
    person: TestClient, join: Callable[..., FarmHand], database: Database, tenant: TenantScope
) -> None:
    hand = join()
    hand.start(classes=CLASSES, models=has(MODEL))
    job = loading(person, pins=[])
    recall_id = recall(database, tenant)
    assert asks(hand) == 404
    # The claim that met it has ended it; the chore finds nothing more to do.
    assert person.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert "was recalled as malicious" in person.get(f"/v1/jobs/{job}/events").text
    assert recalled_jobs.end_jobs(database, tenant, recall_id) == 0
    assert asks(hand) == 204


def test_a_worker_whose_file_became_the_recalled_one_gets_no_job_by_its_name(
    person: TestClient, join: Callable[..., FarmHand], database: Database, tenant: TenantScope
) -> None:
    hand = join()
    hand.start(classes=CLASSES, models=has(GOOD))
    job = loading(person)
    recall(database, tenant)
    hand.start(classes=CLASSES, models=has(MODEL))
    assert asks(hand) == 404
    assert "what this worker has" in str(person.get(f"/v1/jobs/{job}").json()["failures"])
    hand.start(classes=CLASSES, models=has(GOOD))
    with database.farm_work() as session:
        session.execute(text("update job set avoid_worker = null"))
        session.execute(text("update ready set avoid_worker = null"))
    assert (hand.claim() or {})["job_id"] == job


def test_a_job_without_a_hash_runs_on_no_worker_that_has_the_recalled_file(
    person: TestClient, join: Callable[..., FarmHand], database: Database, tenant: TenantScope
) -> None:
    hand = join()
    hand.start(classes=CLASSES, models=has(None))
    loading(person)
    recall(database, tenant)
    hand.start(classes=CLASSES, models=has(MODEL))
    assert asks(hand) == 404


def test_what_was_found_to_be_made_of_it_after_the_recall_is_handed_to_nobody_either(
    person: TestClient, join: Callable[..., FarmHand], database: Database, tenant: TenantScope
) -> None:
    hand = join()
    hand.start(classes=CLASSES, models=has(GOOD))
    job = loading(person)
    recall_id = recall(database, tenant)
    with database.tenant_work(tenant) as session:
        known = "insert into model (sha256, size, kind) select unnest(cast(:m as bytea[])), 1, 'checkpoint'"
        session.execute(text(known), {"m": [MODEL, GOOD]})
        scopes = frozenset({Scope.DISCLOSE})
        caller = Caller(tenant=tenant, name="officer", scopes=scopes, everywhere=scopes, sees=None, via="key")
        origins.derive(session, caller, GOOD, MODEL, Via.MERGE)
    assert asks(hand) == 404
    assert person.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    later = loading_refused(person)
    assert "recalled" in later
    with database.tenant_work(tenant) as session:
        assert deciding.extend(session, tenant, [GOOD]) == 1
        assert deciding.extend(session, tenant, [GOOD]) == 0
        assert standing.list_concerned(session, recall_id) == {MODEL: None, GOOD: "merge"}


def loading_refused(person: TestClient) -> str:
    answer = person.post("/v1/jobs", json={"graph": LOADING, "pool": "default"})
    assert answer.status_code == 422, answer.text
    return str(answer.text)
