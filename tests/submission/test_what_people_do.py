"""What people do to jobs that are there: run again, move, give up, wait for one another; and what the answers tell."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import text

from memoryd.access.guards import Offices
from memoryd.foundation.database import TenantScope
from tests.submission.conftest import GRAPH, FarmHand
from tests.submission.test_endpoints import picture

Join = Callable[..., FarmHand]


def ask(person: TestClient, **changes: Any) -> dict[str, Any]:
    answer = person.post("/v1/jobs", json={"graph": GRAPH, **changes})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def state(person: TestClient, job: str) -> str:
    return str(person.get(f"/v1/jobs/{job}").json()["state"])


def run(hand: FarmHand, **report: Any) -> str:
    job = hand.claim()
    assert job is not None
    made = picture(shade=hash(job["job_id"]) % 200)
    hand.upload(job, 0, made)
    assert hand.report(job, made, **report).status_code == 200
    return str(job["job_id"])


def give_up(person: TestClient, hand: FarmHand, offices: Offices, **changes: Any) -> str:
    """A job that failed twice."""
    job = str(ask(person, **changes)["id"])
    for _ in range(2):
        claimed = hand.claim()
        assert claimed is not None
        error = {"kind": "execution-error", "message": "no"}
        assert hand.report(claimed, outcome="error", error=error).status_code == 200
        with offices.database.farm_work() as session:
            session.execute(text("update delayed set run_at = clock_timestamp()"))
            from memoryd.dispatch import tending

            tending.promote(session)
    assert state(person, job) == "dead"
    return job


def test_an_answer_tells_start_and_end_with_their_chances(person: TestClient, join: Join) -> None:
    first = ask(person)
    assert (first["starts"], first["ends"], first["starts_in_s"]) == (None, None, None)
    join()
    from memoryd.dispatch.estimating import estimates_of

    offices = person.app.state.offices  # type: ignore[attr-defined]
    estimates_of(offices.database).refresh(offices.database, whole=True)
    second = ask(person)
    assert second["position"] == 1
    assert second["starts"]["p50_s"] == second["starts_in_s"] == first["cost_s"]
    assert second["ends"]["p50_s"] == first["cost_s"] + second["cost_s"]
    assert second["ends"]["p90_s"] > second["ends"]["p50_s"]
    third = ask(person)
    assert third["position"] == 2, "what this process has enqueued since counts"
    estimates_of(offices.database).refresh(offices.database, whole=True)
    shown = person.get(f"/v1/jobs/{third['id']}").json()
    assert (shown["position"], shown["starts"]) == (2, third["starts"])


def test_what_a_run_costs_is_learned_from_runs_of_its_workflow(
    person: TestClient, join: Join, offices: Offices, tenant: TenantScope
) -> None:
    hand = join()
    guessed = ask(person)["cost_s"]
    run(hand)
    learned = ask(person)
    assert learned["cost_s"] == 9.0 != guessed
    other = {**GRAPH, "1": {**GRAPH["1"], "inputs": {**GRAPH["1"]["inputs"], "width": 2048}}}  # type: ignore[dict-item]
    assert ask(person, graph=other)["cost_s"] != 9.0
    run(hand, started_at="2026-11-21T12:00:00Z", ended_at="2026-11-21T12:00:19Z")
    assert 9.0 < ask(person)["cost_s"] < 19.0
    with offices.database.tenant_work(tenant) as session:
        assert session.execute(text("select runs from run_cost")).scalar_one() == 2


def test_a_job_waits_for_another_and_goes_when_that_has_succeeded(person: TestClient, join: Join) -> None:
    hand = join()
    first = ask(person)["id"]
    second = ask(person, after=first)
    assert second["starts"] is None
    assert "waits for another job" in " ".join(second["notes"])
    shown = person.get(f"/v1/jobs/{second['id']}").json()
    assert (shown["state"], shown["held_by"], shown["after_job_id"]) == ("held", "after", first)
    assert run(hand) == first
    assert run(hand) == second["id"]


def test_a_job_whose_predecessor_is_cancelled_is_cancelled(person: TestClient) -> None:
    first = ask(person)["id"]
    second = ask(person, after=first)["id"]
    assert person.post(f"/v1/jobs/{first}/cancel").status_code == 200
    assert state(person, second) == "cancelled"


def test_no_job_waits_for_one_that_its_sender_may_not_see(person: TestClient, other_person: TestClient) -> None:
    theirs = ask(other_person)["id"]
    assert person.post("/v1/jobs", json={"graph": GRAPH, "after": theirs}).status_code == 404


def test_a_job_starts_at_its_time(person: TestClient, join: Join) -> None:
    hand = join()
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    job = ask(person, starts_after=later.isoformat())
    assert job["starts"] is None or job["starts"]["p50_s"] > 7_000
    assert state(person, job["id"]) == "delayed"
    assert hand.claim() is None
    answer = person.post("/v1/jobs", json={"graph": GRAPH, "starts_after": "2026-11-22T03:00:00"})
    assert (answer.status_code, answer.json()["kind"]) == (422, "no-time-zone")


def test_a_given_up_job_is_retried_as_itself(person: TestClient, join: Join, offices: Offices) -> None:
    hand = join()
    job = give_up(person, hand, offices)
    again = person.post(f"/v1/jobs/{job}/retry")
    assert again.status_code == 200, again.text
    assert again.json()["id"] == job
    assert run(hand) == job


def test_a_cancelled_job_is_retried_as_a_new_one_like_it(person: TestClient, join: Join) -> None:
    hand = join()
    job = ask(person, name="mine")["id"]
    person.post(f"/v1/jobs/{job}/cancel")
    again = person.post(f"/v1/jobs/{job}/retry").json()
    assert again["id"] != job
    assert person.get(f"/v1/jobs/{again['id']}").json()["name"] == "mine"
    assert run(hand) == again["id"]
    for done in (again["id"],):
        refused = person.post(f"/v1/jobs/{done}/retry")
        assert (refused.status_code, refused.json()["kind"]) == (409, "nothing-to-retry")


def test_given_up_jobs_are_replayed_and_discarded_by_what_fits(
    person: TestClient, other_person: TestClient, join: Join, offices: Offices
) -> None:
    hand = join()
    jobs = [give_up(person, hand, offices) for _ in range(3)]
    assert other_person.post("/v1/jobs/dead/replay", json={}).json() == {"jobs": 0}
    assert person.post("/v1/jobs/dead/replay", json={"pool": "elsewhere"}).json() == {"jobs": 0}
    assert person.post(f"/v1/jobs/{jobs[0]}/discard").status_code == 204
    assert person.post("/v1/jobs/dead/replay", json={"pool": "default"}).json() == {"jobs": 2}
    assert [state(person, job) for job in jobs] == ["cancelled", "ready", "ready"]
    assert {person.get(f"/v1/jobs/{job}").json()["urgency"] for job in jobs[1:]} == {"batch"}
    last = give_up(person, hand, offices)
    assert person.get("/v1/jobs/dead").json()["items"][0]["id"] == last
    assert person.post("/v1/jobs/dead/discard", json={}).json()["jobs"] == 1
    assert person.get("/v1/jobs/dead").json()["items"] == []


def test_ones_own_waiting_jobs_change_places(person: TestClient, join: Join) -> None:
    hand = join()
    first, second, third = (ask(person)["id"] for _ in range(3))
    assert person.post(f"/v1/jobs/{third}/move", json={"before": second}).json()["moved"] == 2
    assert person.post(f"/v1/jobs/{third}/move", json={}).status_code == 200
    assert [run(hand) for _ in range(3)] == [third, first, second]


def test_no_stranger_and_no_other_tenant_does_anything_to_a_job(
    person: TestClient, other_person: TestClient, stranger: TestClient
) -> None:
    job = ask(person)["id"]
    for verb, body in (("retry", None), ("discard", None), ("move", {}), ("cancel", None), ("replay", None)):
        assert stranger.post(f"/v1/jobs/{job}/{verb}", json=body).status_code == 401, verb
        assert other_person.post(f"/v1/jobs/{job}/{verb}", json=body).status_code == 404, verb
    for verb in ("replay", "discard"):
        assert stranger.post(f"/v1/jobs/dead/{verb}", json={}).status_code == 401
    assert state(person, job) == "ready"


def test_a_forged_token_and_a_completion_sent_twice_lose_nothing(person: TestClient, join: Join) -> None:
    hand, forger = join(), join()
    job = ask(person)["id"]
    claimed = hand.claim()
    assert claimed is not None
    made = picture()
    hand.upload(claimed, 0, made)
    for forged in (
        {**claimed, "token": "x" * 43},
        {**claimed, "fence": claimed["fence"] + 1},
        {**claimed, "job_id": "01a1fee5-72e6-758e-afad-b77ed022033a"},
    ):
        assert hand.report(forged, made).status_code in (404, 409)
    assert forger.report(claimed, made).status_code == 409
    assert state(person, job) == "leased"
    assert hand.report(claimed, made).json() == {"answer": "recorded"}
    assert hand.report(claimed, made).json() == {"answer": "duplicate"}
    assert hand.report({**claimed, "token": "x" * 43}, made).status_code == 409
    assert state(person, job) == "succeeded"
