"""Canaries over HTTP: who may read and decide, and what another tenant learns of a worker that both use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from memoryd.access.facts import Role
from memoryd.dispatch import telling
from memoryd.foundation.ids import new_id
from tests.reproduction.canaries.cage import MINIMAL, NEW, OLD, SOLID, Cage, cage
from tests.reproduction.studio import studio

__all__ = ["cage", "studio"]

POLICY = {"after_change": True, "every_s": 86_400, "assets": 2, "keep_out": True}


def drifted(cage: Cage, *, shared: bool = False) -> str:
    """Let a worker drift; return the doubt's id."""
    cage.approved(SOLID)
    other = cage.asset(MINIMAL)
    worker = cage.worker(serves=(cage.scope, cage.studio.other_tenant) if shared else ())
    cage.keep(keep_out=True)
    cage.round("identical file")
    cage.starts(worker, NEW)
    cage.round("different", made=other)
    return str(cage.in_doubt()[0].id)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/canaries", None),
        ("PUT", "/v1/canaries/policies/default", POLICY),
        ("DELETE", "/v1/canaries/policies/default", None),
        ("GET", "/v1/canaries/runs", None),
        ("POST", "/v1/canaries/runs", {"project": "default"}),
        ("GET", "/v1/canaries/doubts", None),
        ("GET", "/v1/canaries/doubts/{doubt}", None),
        ("POST", "/v1/canaries/doubts/{doubt}/decision", {"decision": "clear"}),
    ],
)
def test_a_stranger_gets_nothing(cage: Cage, method: str, path: str, body: Any) -> None:
    with cage.studio.speaking() as client:
        assert client.request(method, path.format(doubt=new_id()), json=body).status_code == 401


def test_another_tenant_learns_of_a_shared_worker_and_nothing_of_what_was_compared(cage: Cage) -> None:
    doubt = drifted(cage, shared=True)
    foreign = cage.studio.key(Role.ADMIN, tenant=cage.studio.other_tenant)
    with cage.studio.speaking() as client:
        seen = client.get("/v1/canaries", headers=foreign)
        assert seen.json()["policies"] == seen.json()["doubts"] == seen.json()["runs"] == []
        (other,) = seen.json()["others"]
        assert set(other) == {"worker_id", "worker", "last_good_at", "first_bad_at"}
        assert client.get("/v1/canaries/runs", headers=foreign).json()["items"] == []
        listed = client.get("/v1/canaries/doubts", headers=foreign).json()
        assert (listed["items"], len(listed["others"])) == ([], 1)
        assert client.get(f"/v1/canaries/doubts/{doubt}", headers=foreign).status_code == 404
        asked = {"decision": "accept"}
        decided = client.post(f"/v1/canaries/doubts/{doubt}/decision", json=asked, headers=foreign)
        assert decided.status_code == 404
        names = {str(run.asset_id) for run in cage.runs()} | {str(run.project_id) for run in cage.runs()}
        assert not any(name in seen.text for name in names)
    assert cage.kept_out(), "for whom it was found"
    assert cage.kept_out(cage.studio.other_tenant) == frozenset(), "a shared worker is not one tenant's to withhold"


def test_what_another_tenant_is_told_names_the_worker_alone(cage: Cage) -> None:
    drifted(cage, shared=True)
    telling.carry(cage.studio.offices.database)
    with cage.studio.offices.database.tenant_work(cage.studio.other_tenant) as session:
        told = session.execute(text("select kind, body::text from outbox where kind <> 'worker.registered'")).all()
    with cage.work() as session:
        own = session.execute(text("select kind from outbox where kind like 'canary.%'")).scalars().all()
    assert [row.kind for row in told] == ["worker.doubted"]
    assert set(json.loads(told[0].body)) == {"label", "state", "pools"}
    assert "canary.drifted" in own


def test_a_worker_that_does_not_serve_them_is_not_told_to_others(cage: Cage) -> None:
    drifted(cage)
    foreign = cage.studio.key(Role.ADMIN, tenant=cage.studio.other_tenant)
    with cage.studio.speaking() as client:
        assert client.get("/v1/canaries", headers=foreign).json()["others"] == []


def test_who_does_not_see_the_project_sees_the_worker_alone(cage: Cage) -> None:
    doubt = drifted(cage)
    elsewhere = cage.studio.key(Role.ARTIST, project="film")
    with cage.studio.speaking() as client:
        seen = client.get("/v1/canaries", headers=elsewhere).json()
        assert seen["policies"] == seen["doubts"] == seen["runs"] == []
        assert len(seen["others"]) == 1
        assert client.get(f"/v1/canaries/doubts/{doubt}", headers=elsewhere).status_code == 404
        assert client.get("/v1/canaries/runs?project=default", headers=elsewhere).status_code == 404


def test_workers_are_the_administrators_to_decide_about(cage: Cage) -> None:
    doubt = drifted(cage)
    producer, viewer = (
        cage.studio.key(Role.PRODUCER, project="default"),
        cage.studio.key(Role.VIEWER, project="default"),
    )
    with cage.studio.speaking() as client:
        assert client.get(f"/v1/canaries/doubts/{doubt}", headers=viewer).status_code == 200
        asked = {"decision": "clear"}
        for who in (viewer, producer):
            assert client.post(f"/v1/canaries/doubts/{doubt}/decision", json=asked, headers=who).status_code == 403
            assert client.put("/v1/canaries/policies/default", json=POLICY, headers=who).status_code == 403
        assert client.post("/v1/canaries/runs", json={"project": "default"}, headers=viewer).status_code == 403
        assert client.post("/v1/canaries/runs", json={"project": "default"}, headers=producer).json() == {"due": 1}


def test_a_policy_is_set_shown_and_dropped(cage: Cage) -> None:
    admin = cage.studio.key(Role.ADMIN)
    with cage.studio.speaking() as client:
        set_ = client.put("/v1/canaries/policies/default", json=POLICY, headers=admin)
        assert set_.status_code == 200, set_.text
        (shown,) = client.get("/v1/canaries", headers=admin).json()["policies"]
        assert {name: shown[name] for name in POLICY} == POLICY
        assert client.delete("/v1/canaries/policies/default", headers=admin).status_code == 204
        assert client.get("/v1/canaries", headers=admin).json()["policies"] == []
        assert client.delete("/v1/canaries/policies/default", headers=admin).status_code == 404
        assert client.post("/v1/canaries/runs", json={"project": "default"}, headers=admin).status_code == 404


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"after_change": False}, 422),
        ({"every_s": 1}, 422),
        ({"after_change": True, "assets": 0}, 422),
        ({"after_change": True, "assets": 5_000}, 422),
        ({"after_change": True, "collection": "nobody's"}, 404),
    ],
)
def test_a_policy_that_cannot_be_kept_says_why(cage: Cage, asked: dict[str, Any], status: int) -> None:
    with cage.studio.speaking() as client:
        answer = client.put("/v1/canaries/policies/default", json=asked, headers=cage.studio.key(Role.ADMIN))
    assert answer.status_code == status
    assert answer.json()["hint"]


def test_what_was_accepted_is_what_later_runs_are_compared_with(cage: Cage) -> None:
    doubt = drifted(cage)
    other = cage.runs()[0].made_asset_id
    with cage.studio.speaking() as client:
        answer = client.post(
            f"/v1/canaries/doubts/{doubt}/decision",
            json={"decision": "accept", "note": "torch 2.9 from now on"},
            headers=cage.studio.key(Role.ADMIN),
        )
    assert answer.status_code == 200, answer.text
    assert answer.json()["note"] == "torch 2.9 from now on"
    assert (answer.json()["closed_at"] is None, cage.in_doubt(), cage.kept_out()) == (False, [], frozenset())
    cage.ask_now()
    run, *_ = cage.round("different", made=other)
    assert run.outcome == "good"


def test_what_was_cleared_is_compared_with_what_was_before(cage: Cage) -> None:
    doubt = drifted(cage)
    other = cage.runs()[0].made_asset_id
    admin = cage.studio.key(Role.ADMIN)
    with cage.studio.speaking() as client:
        client.post(f"/v1/canaries/doubts/{doubt}/decision", json={"decision": "clear"}, headers=admin)
        again = client.post(f"/v1/canaries/doubts/{doubt}/decision", json={"decision": "clear"}, headers=admin)
    assert again.status_code == 409
    assert again.json()["hint"]
    cage.ask_now()
    cage.round("different", made=other)
    (anew,) = cage.in_doubt()
    assert str(anew.id) != doubt


def test_a_worker_that_is_kept_out_stays_so_and_is_tried_all_the_same(cage: Cage) -> None:
    doubt = drifted(cage)
    (worker,) = cage.keys
    with cage.studio.speaking() as client:
        answer = client.post(
            f"/v1/canaries/doubts/{doubt}/decision",
            json={"decision": "keep-out"},
            headers=cage.studio.key(Role.ADMIN),
        )
    assert (answer.json()["closed_at"], answer.json()["keeps_out"]) == (None, True)
    cage.starts(worker, OLD)
    run, *_ = cage.round("identical file")
    assert run.outcome == "good"
    assert cage.kept_out() == {worker}
    assert cage.in_doubt()[0].good_again_at is not None


def test_each_step_is_in_the_audit_trail(cage: Cage) -> None:
    doubt = drifted(cage)
    with cage.studio.speaking() as client:
        client.post(
            f"/v1/canaries/doubts/{doubt}/decision", json={"decision": "clear"}, headers=cage.studio.key(Role.ADMIN)
        )
    with cage.work() as session:
        actions = session.execute(text("select action from audit_pending where action like 'canary.%' order by 1"))
        assert list(actions.scalars()) == ["canary.decide", "canary.drift", "canary.set"]
