"""Jobs whose weights are recalled: not handed out, ended with the reason, and none written afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import text

from memoryd.access.facts import Caller, Scope
from memoryd.clearance.recalls import deciding
from memoryd.clearance.recalls.facts import RecallKind
from memoryd.foundation.database import Database, TenantScope
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
