"""Outputs and report in one message: recorded once, refused where they are nobody's or no result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memoryd.dispatch.result_wire import pack_result
from memoryd.dispatch.wire import CompleteRequest

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
}


def message(hand: Any, job: dict[str, Any], *contents: bytes, **changes: Any) -> bytes:
    """What the worker would send for the outputs that it has."""
    told: dict[str, Any] = {}
    said, hand.say = hand.say, lambda path, **body: told.update(body)
    hand.report(job, *contents, **changes)
    hand.say = said
    return pack_result(CompleteRequest.model_validate(told), contents)


def send(hand: Any, content: bytes, **headers: str) -> Any:
    return hand.http.post("/v1/work/result", content=content, headers={**hand.headers, **headers})


@pytest.fixture
def picture(fixtures: Any) -> bytes:
    return bytes((fixtures / "images" / "modelfree_blend_invert.png").read_bytes())


def test_a_whole_result_is_recorded_once_and_said_again_is_a_duplicate(person: Any, join: Any, picture: bytes) -> None:
    hand = join()
    job_id = person.post("/v1/jobs", json={"graph": GRAPH}).json()["id"]
    whole = message(hand, hand.claim(), picture)
    assert send(hand, whole).json() == {"answer": "recorded"}
    assert send(hand, whole).json() == {"answer": "duplicate"}
    shown = person.get(f"/v1/jobs/{job_id}").json()
    assert shown["state"] == "succeeded"
    assert [output["size"] for output in shown["result"]["outputs"]] == [len(picture)]


def test_bytes_that_are_not_those_that_the_report_names_record_nothing(person: Any, join: Any, picture: bytes) -> None:
    hand = join()
    job_id = person.post("/v1/jobs", json={"graph": GRAPH}).json()["id"]
    job = hand.claim()
    whole = message(hand, job, picture)
    assert send(hand, whole[:-4] + b"evil").status_code == 409
    assert person.get(f"/v1/jobs/{job_id}").json()["state"] == "leased"
    assert send(hand, whole).json() == {"answer": "recorded"}


def test_a_stranger_and_a_late_worker_are_refused(person: Any, join: Any, stranger: Any, picture: bytes) -> None:
    hand = join()
    person.post("/v1/jobs", json={"graph": GRAPH})
    job = hand.claim()
    whole = message(hand, job, picture)
    assert stranger.post("/v1/work/result", content=whole, headers={"Memoryd-Protocol": "1"}).status_code == 401
    late = message(hand, {**job, "token": "forged"}, picture)
    refused = send(hand, late)
    assert (refused.status_code, refused.json()["kind"]) == (409, "lease-lost")


def test_what_is_no_result_is_told_so(join: Any) -> None:
    hand = join()
    for content in (b"", b"{}", json.dumps({"job_id": 1}).encode(), b"\0\0\0\2{}"):
        assert send(hand, content).status_code == 422
