"""What a call costs in processor time, of the server and of Postgres: true on a machine that others use as well."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memoryd.foundation.database import Database

from .figures import Figure
from .places import Caller, Place
from .submitting import WAITING, cancelled_report, prompt, registered, survey_of_an_engine
from .waiting_jobs import fill

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
IDLE_S = 5.0


@dataclasses.dataclass
class Spent:
    """Processor time, user and system, in ms, while a block ran; how long it ran."""

    server: float = 0.0
    postgres: float = 0.0
    follow_up: float = 0.0
    wall: float = 0.0


@contextlib.contextmanager
def spent(place: Place) -> Iterator[Spent]:
    """Yield what the processes of a place spent; filled in when the block ends."""
    found = Spent()
    before, began = _spent(place), time.monotonic()
    yield found
    after = _spent(place)
    found.server, found.postgres, found.follow_up = (now - then for now, then in zip(after, before, strict=True))
    found.wall = (time.monotonic() - began) * 1000


def _spent(place: Place) -> tuple[float, float, float]:
    serve, work = place.pids("serve"), place.pids("work")
    return sum(map(_of, serve)), sum(map(_of, postgres_pids(place))), sum(map(_of, work))


def _of(pid: int) -> float:
    """Return the processor time of a process and of those it has waited for, in ms."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * TICK_MS


def postgres_pids(place: Place) -> list[int]:
    """Return the postmaster and its children. What ended meanwhile counts with the postmaster."""
    postmaster = int((place.cluster.data / "postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]


def processor(place: Place, *, quick: bool) -> list[Figure]:
    """Processor time of a submission, a claim and a completion over HTTP, one after the other, with a queue waiting."""
    count = 200 if quick else 1_000
    with survey_of_an_engine(place) as survey:
        database = Database(place.cluster.server_url())
        key, incarnation = registered(database, place, "gpu-0", survey)
        database.close()
        fill(
            place.cluster.superuser_url("memoryd"), count=WAITING, pool_id=place.pool.id, schema=place.scope.schema,
            prompt=prompt(0),
        )  # fmt: skip
        with place.server() as address:
            time.sleep(3.0)
            with spent(place) as idle:
                time.sleep(IDLE_S)
            person, worker = address.caller(), address.caller(key)
            asked: dict[str, Any] = {"incarnation": incarnation, "loaded": ["model-0"], "wait_s": 0}
            jobs: list[dict[str, Any]] = []

            def submit(number: int) -> None:
                person.post("/v1/jobs", {"graph": prompt(number), "pool": "default", "key": f"cost-{number}"})

            def claim(_: int) -> None:
                jobs.append(worker.post("/v1/work/claim", asked)["job"])

            def complete(number: int) -> None:
                worker.post("/v1/work/complete", cancelled_report(jobs[number]))

            figures = _idle(idle)
            for name, call in {"submit": submit, "claim": claim, "complete": complete}.items():
                if name != "complete":
                    for number in range(20):
                        call(count + number)
                    jobs.clear()
                figures += _cost(place, name, call, count)
            figures += _cost(place, "GET /health", lambda _: _health(worker), count)
    return figures


def _health(caller: Caller) -> None:
    assert caller.ask("GET", "/health")[0] == 200


def _idle(idle: Spent) -> list[Figure]:
    return [
        Figure(name=f"processor time of a second, nothing asked: {name}", value=value / idle.wall * 1000, unit="ms")
        for name, value in (("server", idle.server), ("follow-up work", idle.follow_up), ("Postgres", idle.postgres))
    ]


def _cost(place: Place, name: str, call: Callable[[int], None], count: int) -> list[Figure]:
    with spent(place) as found:
        for number in range(count):
            call(number)
    return [
        Figure(name=f"processor time of {name}: server", value=found.server / count, unit="ms"),
        Figure(name=f"processor time of {name}: Postgres", value=found.postgres / count, unit="ms"),
        Figure(name="   beside it, one after the other", value=found.wall / count, unit="ms"),
    ]
