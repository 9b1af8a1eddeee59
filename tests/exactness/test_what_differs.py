"""One thing is other than then, on the stand-in: the verdict is right, and that one thing is named first.

What a real ComfyUI does in the same places is run by `make exactness`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.stand_in.playing import Machine
from tests.reproduction.studio import Studio, _serving, studio
from tests.reproduction.test_second_runs import GRAPH, machine, until

__all__ = ["studio", "until"]

THEN = Machine(torch="2.8.0", threads=1, simd="AVX512", pillow="11.0.0")
PERTURBED = (
    (THEN, "identical file", []),
    (dataclasses.replace(THEN, threads=2), "within tolerance", ["threads.intra_op"]),
    (dataclasses.replace(THEN, simd="DEFAULT"), "within tolerance", ["simd"]),
    (dataclasses.replace(THEN, torch="2.9.0"), "within tolerance", ["torch"]),
    (dataclasses.replace(THEN, pillow="12.0.0"), "identical pixels", ["pillow", "file-differs"]),
    (
        dataclasses.replace(THEN, torch="2.9.0", threads=2, pillow="12.0.0"),
        "within tolerance",
        ["torch", "threads.intra_op"],
    ),
)

Until = Callable[[Callable[[], Any]], Any]


@dataclasses.dataclass
class House:
    """A server, and the machine of then with a picture that it made."""

    studio: Studio
    http: httpx.Client
    url: str
    place: Path
    until: Until

    def make(self) -> str:
        """Make a picture by a job, and return its SHA-256."""
        job = self.http.post("/jobs", json={"graph": GRAPH}).json()["id"]
        made = self.until(lambda: self.http.get(f"/jobs/{job}").json()["result"])
        return str(made["outputs"][0]["sha256"])

    def again(self, sha256: str, **wish: Any) -> dict[str, Any]:
        """Make it again, and return the attempt when its second runs are over."""
        asked = self.http.post(f"/assets/{sha256}/reproductions", json=wish).raise_for_status().json()

        def over() -> Any:
            now = self.http.get(f"/reproductions/{asked['id']}").json()
            return now if now["state"] == "decided" and now["testing"] in ("over", "off") else None

        found: dict[str, Any] = self.until(over)
        return found


@pytest.fixture
def house(studio: Studio, tmp_path: Path, until: Until) -> Iterator[House]:
    """A server without machines."""
    with _serving(studio.offices) as url, httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as http:
        yield House(studio=studio, http=http, url=url, place=tmp_path, until=until)


def names(attempt: dict[str, Any]) -> list[str]:
    """The causes, those of the environment by what differs."""
    return [cause["name"] if cause["code"] == "environment-differs" else cause["code"] for cause in attempt["causes"]]


def test_whatever_is_other_than_then_is_named_first_and_the_machine_of_then_shows_it(house: House) -> None:
    with machine(house.http, house.url, house.place / "then", THEN) as then:
        sha256 = house.make()
        for number, (plays, verdict, expected) in enumerate(PERTURBED):
            with machine(house.http, house.url, house.place / f"now-{number}", plays) as now:
                attempt = house.again(sha256, worker=now)
            assert (attempt["verdict"], attempt["worker_id"]) == (verdict, now), attempt
            assert names(attempt)[: len(expected)] == expected, attempt["causes"]
            if verdict != "within tolerance":
                assert attempt["second_runs"] == []
                continue
            runs = {run["purpose"]: run for run in attempt["second_runs"]}
            assert runs["repeat"]["measures"]["as_first"] is True
            assert (runs["other-worker"]["verdict"], runs["other-worker"]["worker_id"]) == ("identical file", then)
            for cause in attempt["causes"][: len(expected)]:
                assert cause["tested"]["holds"] is True, cause


def test_a_workflow_that_does_not_repeat_itself_is_found_by_its_repetition_whatever_else_differs(house: House) -> None:
    with machine(house.http, house.url, house.place / "then", THEN):
        sha256 = house.make()
        plays = dataclasses.replace(THEN, torch="2.9.0", jitter=True)
        with machine(house.http, house.url, house.place / "now", plays) as now:
            attempt = house.again(sha256, worker=now)
    assert attempt["verdict"] == "within tolerance"
    first = attempt["causes"][0]
    assert (first["code"], first["tested"]["by"], first["tested"]["holds"]) == ("not-deterministic", "repeat", True)
    told = next(cause for cause in attempt["causes"] if cause.get("name") == "torch")
    assert told["tested"]["holds"] is not False, "chance rules nothing out"


def test_where_nothing_differs_but_chance_nothing_else_is_blamed(house: House) -> None:
    jittery = dataclasses.replace(THEN, jitter=True)
    with machine(house.http, house.url, house.place / "then", jittery):
        sha256 = house.make()
        attempt = house.again(sha256)
    assert attempt["verdict"] == "within tolerance"
    assert names(attempt)[0] == "not-deterministic", attempt["causes"]
    assert not any(cause["code"] == "environment-differs" for cause in attempt["causes"])


def test_an_identical_environment_that_is_required_is_not_replaced_by_a_near_one(house: House) -> None:
    with machine(house.http, house.url, house.place / "then", THEN):
        sha256 = house.make()
    with machine(house.http, house.url, house.place / "now", dataclasses.replace(THEN, threads=2)) as now:
        attempt = house.again(sha256, worker=now, require="identical-environment")
    assert (attempt["verdict"], names(attempt)) == ("not attempted", ["environment-not-here"])
    assert "threads.intra_op" in attempt["causes"][0]["detail"]
    assert attempt["job_id"] is None
