"""Claim and complete, durable, over 16 connections; beside procrastinate's worker on the same Postgres, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import multiprocessing
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from sqlalchemy import text

from memoryd.dispatch import leases
from memoryd.dispatch.facts import LeaseKey
from memoryd.dispatch.queries import claiming, ending
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import EXTENSION_SCHEMA, FARM_ROLE, FARM_SCHEMA, Database, Session

from .claiming import _anybody, _serve_all
from .figures import Figure, median
from .places import Place, join_worker
from .submitting import claimers
from .waiting_jobs import fill

CONNECTIONS = 16
TARGET = 4.0
WAITING = 10_000
WARM_UP = 20
"""Jobs of each connection, and seconds of procrastinate's worker, that are not counted: plans and caches are made then."""
WARM_UP_S = 1.0
PLANNING = ("plan_cache_mode", "enable_seqscan", "enable_bitmapscan")


def throughput(place: Place, *, quick: bool) -> list[Figure]:
    """Jobs a second: ours over 16 connections, each a process of its own; procrastinate's worker, by its defaults and wide.

    All take turns, and the rounds' middle counts. What the target compares with is the better one of procrastinate's two
    ways: its worker as it comes (one job at a time), and with a concurrency of 16.
    """
    if importlib.util.find_spec("procrastinate") is None:
        raise SystemExit("procrastinate is not installed: pip install '.[bench]'")
    rounds, seconds = (2, 4.0) if quick else (3, 8.0)
    rates: dict[str, list[float]] = {"statements": [], "functions": [], "defaults": [], "wide": []}
    for _ in range(rounds):
        rates["statements"].append(claim_and_complete(place, seconds, statements=True))
        rates["defaults"].append(procrastinate_worker(place, seconds, concurrency=None))
        rates["functions"].append(claim_and_complete(place, seconds))
        rates["wide"].append(procrastinate_worker(place, seconds, concurrency=CONNECTIONS))
    rate = {name: median(several) for name, several in rates.items()}
    best = max(rate["defaults"], rate["wide"])
    over = f"over {CONNECTIONS} connections"
    return [
        Figure(name=f"claim + complete, durable, {over}: dispatch.queries", value=rate["statements"], unit="jobs/s"),
        Figure(name=f"claim + complete, durable, {over}: dispatch.leases", value=rate["functions"], unit="jobs/s"),
        Figure(name="claim + complete, durable, over HTTP, 8 workers", value=over_http(place, seconds), unit="jobs/s"),
        Figure(name="procrastinate's worker, its defaults", value=rate["defaults"], unit="jobs/s"),
        Figure(name=f"procrastinate's worker, concurrency {CONNECTIONS}", value=rate["wide"], unit="jobs/s"),
        Figure(name="dispatch.leases over the better of procrastinate's", value=rate["functions"] / best, unit="times"),
        Figure(
            name="dispatch.queries over the better of procrastinate's",
            value=rate["statements"] / best,
            unit="times",
            target=TARGET,
            least=True,
        ),
    ]


# --- ours


def claim_and_complete(
    place: Place, seconds: float, *, connections: int = CONNECTIONS, statements: bool = False
) -> float:
    """Return jobs a second, each claimed and completed in a durable transaction of its own.

    By the room's functions in the units of work that the server uses; or, `statements`, by the statements alone.
    """
    context = multiprocessing.get_context("fork")
    with place.database() as (database, name):
        fill(place.cluster.superuser_url(name), count=int(WAITING + seconds * 1_500), pool_id=place.pool.id)
        workers = [join_worker(database, place.scope, f"gpu-{n}")[0] for n in range(connections)]
        for worker in workers:
            _serve_all(database, worker)
        database.close()
        gate, answers = context.Barrier(connections), context.Queue()
        url = place.cluster.server_url(name)
        processes = [
            context.Process(target=_work, args=(url, _anybody(worker), seconds, gate, answers, statements), daemon=True)
            for worker in workers
        ]
        for process in processes:
            process.start()
        done = [answers.get(timeout=seconds + 120) for _ in processes]
        for process in processes:
            process.join()
    return sum(done) / seconds


def _work(url: str, worker: Any, seconds: float, gate: Any, answers: Any, statements: bool) -> None:
    database, done = Database(url, pool_size=1), 0
    with _way(database, statements=statements) as one:
        for _ in range(WARM_UP):
            one(worker)
        gate.wait()
        until = time.monotonic() + seconds
        while time.monotonic() < until and one(worker):
            done += 1
    answers.put(done)
    database.close()


@contextlib.contextmanager
def _way(database: Database, *, statements: bool) -> Iterator[Callable[[Any], bool]]:
    """Yield what claims and completes one job, and tells whether there was one."""
    with database.farm_work() as session:
        assert session.execute(text("show synchronous_commit")).scalar_one() == "on"
    if not statements:
        yield lambda worker: _by_functions(database, worker)
        return
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        with database.farm_work() as session:
            # As every transaction of the farm has them: its statements are planned once.
            settings = {name: session.execute(text(f"show {name}")).scalar_one() for name in PLANNING}
        connection.execute(text(f"set role {FARM_ROLE}"))
        connection.execute(text(f"set search_path = {FARM_SCHEMA}, {EXTENSION_SCHEMA}"))
        for name, value in settings.items():
            connection.execute(text(f"set {name} = {value}"))
        with Session(connection) as session:
            yield lambda worker: _by_queries(session, worker)


def _by_functions(database: Database, worker: Any) -> bool:
    with database.farm_work() as session:
        grant = leases.claim(session, worker, loaded=("model-0",))
    if grant is None:
        return False
    with database.farm_work() as session:
        leases.complete(session, worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))
    return True


def _by_queries(session: Session, worker: Any) -> bool:
    """Two statements, each its own transaction, as the room's functions send them where nothing is capped or paused."""
    token_hash = leases.token_hash(secrets.token_urlsafe(24))
    names = {"worker_id": worker.worker_id, "token_hash": token_hash}
    asks = {**names, "incarnation": worker.incarnation, "pool_ids": list(worker.pool_ids)}
    picked = claiming.claim(session, asks, serves=worker.serves, loaded=("model-0",))
    if picked is None:
        return False
    done = ending.complete(
        session, {**names, "job_id": picked.job_id, "fence": picked.fence, "state": JobState.SUCCEEDED.value}
    )
    assert done is not None
    assert done.id == picked.job_id
    return True


def over_http(place: Place, seconds: float) -> float:
    """Return jobs a second that 8 workers claim and end over HTTP, without a pause, at one server process."""
    context = multiprocessing.get_context("fork")
    database = Database(place.cluster.server_url())
    workers = []
    for number in range(8):
        worker, key = join_worker(database, place.scope, f"http-{number}")
        workers.append((key, str(worker.incarnation)))
    database.close()
    fill(
        place.cluster.superuser_url("memoryd"), count=10_000, pool_id=place.pool.id, schema=place.scope.schema, prompt={}
    )  # fmt: skip
    with place.server() as address:
        stop, calls = context.Event(), context.Value("i", 0)
        process = context.Process(target=claimers, args=(address, workers, None, stop, calls), daemon=True)
        process.start()
        time.sleep(1.0)
        first = int(calls.value)
        time.sleep(seconds)
        done = int(calls.value) - first
        stop.set()
        process.join()
    return done / 2 / seconds


# --- procrastinate's


def procrastinate_worker(place: Place, seconds: float, *, concurrency: int | None) -> float:
    """Return jobs a second of procrastinate's worker on jobs that do nothing, the same number of them waiting."""
    context = multiprocessing.get_context("fork")
    with place.database_name() as name:
        answers = context.Queue()
        process = context.Process(
            target=_procrastinate, args=(place.cluster.superuser_url(name), seconds, concurrency, answers), daemon=True
        )
        process.start()
        rate = float(answers.get(timeout=seconds + 180))
        process.join()
    return rate


def _procrastinate(url: str, seconds: float, concurrency: int | None, answers: Any) -> None:
    answers.put(asyncio.run(_run_procrastinate(url, seconds, concurrency)))


async def _run_procrastinate(url: str, seconds: float, concurrency: int | None) -> float:
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="nothing")
    async def nothing(number: int) -> None:
        """Do nothing."""

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        with psycopg.connect(url) as connection:
            assert connection.execute("show synchronous_commit").fetchone() == ("on",)
        for start in range(0, WAITING, 1_000):
            await nothing.batch_defer_async(*({"number": number} for number in range(start, start + 1_000)))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")
        asked = {} if concurrency is None else {"concurrency": concurrency}
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, wait=False, **asked))
        await asyncio.wait([worker], timeout=WARM_UP_S)
        first, began = _succeeded(url), time.monotonic()
        await asyncio.wait([worker], timeout=seconds)
        done, took = _succeeded(url) - first, time.monotonic() - began
        worker.cancel()
        await asyncio.wait([worker], timeout=10)
    return done / took


def _succeeded(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("select count(*) from procrastinate_jobs where status = 'succeeded'").fetchone()
    assert found is not None
    return int(found[0])
