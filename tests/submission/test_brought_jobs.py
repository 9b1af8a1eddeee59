"""A report brings the next job over HTTP: with what it asks for, by the same commit, and never instead of a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from memoryd.dispatch.result_wire import pack_result
from memoryd.dispatch.wire import CompleteRequest
from memoryd.foundation.database import Database, TenantScope

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
}


@pytest.fixture
def picture(fixtures: Any) -> bytes:
    return bytes((fixtures / "images" / "modelfree_blend_invert.png").read_bytes())


def submit(person: Any, count: int) -> list[str]:
    return [person.post("/v1/jobs", json={"graph": GRAPH}).json()["id"] for _ in range(count)]


def asks(hand: Any) -> dict[str, Any]:
    return {"incarnation": hand.incarnation, "loaded": []}


def told(hand: Any, job: dict[str, Any], *contents: bytes, **changes: Any) -> dict[str, Any]:
    """The body of a report, which is not sent."""
    body: dict[str, Any] = {}
    said, hand.say = hand.say, lambda path, **named: body.update(named)
    hand.report(job, *contents, **changes)
    hand.say = said
    return body


def whole(hand: Any, job: dict[str, Any], content: bytes) -> Any:
    report = CompleteRequest.model_validate({**told(hand, job, content), "next": asks(hand)})
    return hand.http.post("/v1/work/result", content=pack_result(report, [content]), headers=hand.headers)


def test_the_next_job_comes_with_what_it_asks_for(person: Any, join: Callable[..., Any], picture: bytes) -> None:
    hand = join()
    first, second = submit(person, 2)
    answer = whole(hand, hand.claim(), picture).json()
    assert answer["answer"] == "recorded"
    assert answer["next"]["job_id"] == second
    assert person.get(f"/v1/jobs/{first}").json()["state"] == "succeeded"
    shown = person.get(f"/v1/jobs/{second}").json()
    assert shown["state"] == "leased"
    assert whole(hand, answer["next"], picture).json() == {"answer": "recorded", "next": None}


def test_a_report_that_is_sent_again_brings_nothing(person: Any, join: Callable[..., Any], picture: bytes) -> None:
    hand = join()
    submit(person, 3)
    job = hand.claim()
    assert whole(hand, job, picture).json()["next"] is not None
    assert whole(hand, job, picture).json() == {"answer": "duplicate", "next": None}


def test_a_cancelled_run_brings_the_next_job_and_a_failed_one_does_not(person: Any, join: Callable[..., Any]) -> None:
    hand = join()
    _, second, _ = submit(person, 3)
    job = hand.claim()
    ended = told(hand, job, outcome="cancelled")
    job = hand.say("complete", **{**ended, "next": asks(hand)}).json()["next"]
    assert job["job_id"] == second
    failed = told(hand, job, outcome="error", error={"kind": "execution-error", "message": "x"})
    assert hand.say("complete", **{**failed, "next": asks(hand)}).json() == {"answer": "recorded", "next": None}


def test_who_does_not_ask_is_answered_as_ever(person: Any, join: Callable[..., Any]) -> None:
    hand = join()
    submit(person, 2)
    answer = hand.say("complete", **told(hand, hand.claim(), outcome="cancelled"))
    assert answer.json() == {"answer": "recorded"}


def test_a_job_that_cannot_be_read_costs_no_result(
    person: Any, join: Callable[..., Any], picture: bytes, database: Database, tenant: TenantScope
) -> None:
    hand = join()
    first, second = submit(person, 2)
    with database.tenant_work(tenant) as session:
        session.execute(text("update job_detail set prompt = 'no zlib' where job_id = :id"), {"id": second})
    assert whole(hand, hand.claim(), picture).json() == {"answer": "recorded", "next": None}
    assert person.get(f"/v1/jobs/{first}").json()["state"] == "succeeded"
    assert person.get(f"/v1/jobs/{second}").json()["state"] == "ready"
