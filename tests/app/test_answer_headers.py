"""What every answer carries, and how a body is refused that is too large."""

from __future__ import annotations

import warnings

from fastapi import FastAPI

from memoryd.app.answer_headers import HEADERS, AnswerHeaders

with warnings.catch_warnings():
    # It would rather have another HTTP library than the one that the product uses.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


def _client() -> TestClient:
    app = FastAPI()

    @app.post("/taken", max_body_size=10)
    def take(body: dict[str, int]) -> dict[str, int]:
        return body

    app.add_middleware(AnswerHeaders)
    return TestClient(app)


def test_a_body_that_is_too_large_is_a_problem_with_a_next_step() -> None:
    refused = _client().post("/taken", json={"a": 10**10})
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "about:memoryd#too-large"
    assert refused.json()["hint"]
    assert all(refused.headers[name.decode()] == value.decode() for name, value in HEADERS)


def test_other_answers_are_left_as_they_are() -> None:
    answer = _client().post("/taken", json={"a": 1})
    assert answer.json() == {"a": 1}
    assert answer.headers["x-content-type-options"] == "nosniff"
