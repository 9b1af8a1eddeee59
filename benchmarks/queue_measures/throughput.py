"""Claim and complete, durable, over 16 connections; beside procrastinate's worker on the same Postgres, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import multiprocessing
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import text

from memoryd.dispatch import leases
from memoryd.dispatch.facts import Grant, LeaseKey, WorkerIdentity
from memoryd.dispatch.queries import claiming, ending
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import EXTENSION_SCHEMA, FARM_ROLE, FARM_SCHEMA, Database, Session

from .claiming import _anybody, _serve_all
from .figures import Figure, median
from .places import Place, join_worker
from .processor import spent
from .submitting import claimers
from .waiting_jobs import fill

CONNECTIONS = 16
TARGET = 4.0
WAITING = 10_000
WARM_UP = 20
"""Jobs of each connection, and seconds of procrastinate's worker, that are not counted: plans and caches are made then."""
WARM_UP_S = 1.0
LOADED = ("model-0",)
TOGETHER = 8
"""Workers that one connection serves at once, where claims are made together as a busy server process makes them."""
RATE_LIMIT = 6_000
"""Jobs a second that no way here exceeds: so many wait for each second."""
PLANNING = ("plan_cache_mode", "enable_seqscan", "enable_bitmapscan")


def throughput(place: Place, *, quick: bool) -> list[Figure]:
    """Jobs a second: ours over 16 connections, each a process of its own; procrastinate's worker, by its defaults and wide.

    All take turns, and the rounds' middle counts. What the target compares with is the better one of procrastinate's two
    ways: its worker as it comes (one job at a time), and with a concurrency of 16. Ours is measured as a worker works whose
    runs bring little, as these bring nothing: each report ends a job and brings the next, one statement and one commit (the
    target's figure). Beside it: end and claim as two commits, which is how a worker works that has much to deliver; and
    TOGETHER workers whose claims are one statement and one commit, as a server process makes them for those that ask while
    a claim of its own is under way (`submission.claim_desk`), each job completed for itself. Beside the rates: what a job
    takes of the processors, which a machine that others use blurs less.
    """
    if importlib.util.find_spec("procrastinate") is None:
        raise SystemExit("procrastinate is not installed: pip install '.[bench]'")
    rounds, seconds = (2, 4.0) if quick else (3, 8.0)
    ways: dict[str, Callable[[], Done]] = {
        "brought": lambda: claim_and_complete(place, seconds, way=_brought),
        "statements": lambda: claim_and_complete(place, seconds, way=_statements),
        "defaults": lambda: procrastinate_worker(place, seconds, concurrency=None),
        "together": lambda: claim_and_complete(place, seconds, way=_together, each=TOGETHER),
        "wide": lambda: procrastinate_worker(place, seconds, concurrency=CONNECTIONS),
        "functions": lambda: claim_and_complete(place, seconds, way=_functions),
        "functions brought": lambda: claim_and_complete(place, seconds, way=_functions_brought),
    }
    done: dict[str, list[Done]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measured in ways.items():
            done[name].append(measured())
    rate = {name: median([one.rate for one in several]) for name, several in done.items()}
    best = max(rate["defaults"], rate["wide"])
    over = f"over {CONNECTIONS} connections"
    together, apart = f"claims of {TOGETHER} workers together", "in separate commits"
    return [
        Figure(name=f"claim + complete, durable, {over}: dispatch.queries", value=rate["brought"], unit="jobs/s"),
        Figure(name=f"   the same, {apart}", value=rate["statements"], unit="jobs/s"),
        Figure(name=f"   the same, {together}", value=rate["together"], unit="jobs/s"),
        Figure(
            name=f"claim + complete, durable, {over}: dispatch.leases", value=rate["functions brought"], unit="jobs/s"
        ),
        Figure(name=f"   the same, {apart}", value=rate["functions"], unit="jobs/s"),
        Figure(
            name="claim + complete, durable, over HTTP, 8 workers",
            value=over_http(place, seconds, brings=True),
            unit="jobs/s",
        ),
        Figure(name=f"   the same, {apart}", value=over_http(place, seconds, brings=False), unit="jobs/s"),
        Figure(name="procrastinate's worker, its defaults", value=rate["defaults"], unit="jobs/s"),
        Figure(name=f"procrastinate's worker, concurrency {CONNECTIONS}", value=rate["wide"], unit="jobs/s"),
        Figure(
            name="dispatch.leases over the better of procrastinate's",
            value=rate["functions brought"] / best,
            unit="times",
        ),
        Figure(
            name="dispatch.queries over the better of procrastinate's",
            value=rate["brought"] / best,
            unit="times",
            target=TARGET,
            least=True,
        ),
        Figure(name=f"   the same, {apart}", value=rate["statements"] / best, unit="times"),
        Figure(name=f"   the same, {together}", value=rate["together"] / best, unit="times"),
        *[
            figure
            for name, called in (
                ("brought", "dispatch.queries"),
                ("statements", f"dispatch.queries, {apart}"),
                ("together", f"dispatch.queries, {together}"),
                ("wide", f"procrastinate's, concurrency {CONNECTIONS}"),
            )
            for figure in _costs(called, done[name])
        ],
    ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a way has done: jobs a second, and processor time of a job in ms, of whoever asked and of Postgres."""

    rate: float
    asking: float
    postgres: float


def _costs(called: str, several: list[Done]) -> list[Figure]:
    return [
        Figure(name=f"processor time of a job: {called}", value=median([one.asking for one in several]), unit="ms"),
        Figure(name="   in Postgres for it", value=median([one.postgres for one in several]), unit="ms"),
    ]


# --- ours


def claim_and_complete(place: Place, seconds: float, *, way: Way, each: int = 1) -> Done:
    """Return what CONNECTIONS processes do, each over a connection of its own, durably, `each` workers at a time."""
    context = multiprocessing.get_context("fork")
    with place.database() as (database, name):
        fill(place.cluster.superuser_url(name), count=int(WAITING + seconds * RATE_LIMIT), pool_id=place.pool.id)
        workers = [join_worker(database, place.scope, f"gpu-{n}")[0] for n in range(CONNECTIONS * each)]
        for worker in workers:
            _serve_all(database, worker)
        database.close()
        gate, answers = context.Barrier(CONNECTIONS + 1), context.Queue()
        url, served = place.cluster.server_url(name), [_anybody(worker) for worker in workers]
        processes = [
            context.Process(target=_work, args=(url, served[n::CONNECTIONS], seconds, gate, answers, way), daemon=True)
            for n in range(CONNECTIONS)
        ]
        for process in processes:
            process.start()
        gate.wait()
        with spent(place) as by:
            found = [answers.get(timeout=seconds + 120) for _ in processes]
        for process in processes:
            process.join()
    jobs = sum(done for done, _ in found)
    asking = sum(ms for _, ms in found)
    return Done(rate=jobs / seconds, asking=asking / jobs, postgres=by.postgres / jobs)


def _work(url: str, workers: list[WorkerIdentity], seconds: float, gate: Any, answers: Any, way: Way) -> None:
    database, done = Database(url, pool_size=1), 0
    with way(database) as some:
        for _ in range(WARM_UP):
            some(workers)
        gate.wait()
        until, began = time.monotonic() + seconds, time.process_time()
        while time.monotonic() < until and (more := some(workers)):
            done += more
        answers.put((done, (time.process_time() - began) * 1000))
    database.close()


Way: TypeAlias = Callable[[Database], AbstractContextManager[Callable[[list[WorkerIdentity]], int]]]
"""Makes what claims a job for each of some workers and completes it, and tells how many that were."""


@contextlib.contextmanager
def _functions(database: Database) -> Iterator[Callable[[list[WorkerIdentity]], int]]:
    """By the room's functions, in the units of work that the server uses."""

    def one(workers: list[WorkerIdentity]) -> int:
        [worker] = workers
        with database.farm_work() as session:
            grant = leases.claim(session, worker, loaded=LOADED)
        if grant is None:
            return 0
        with database.farm_work() as session:
            leases.complete(session, worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))
        return 1

    yield one


@contextlib.contextmanager
def _functions_brought(database: Database) -> Iterator[Callable[[list[WorkerIdentity]], int]]:
    """As _functions, each end with the claim of the next job in one unit of work."""
    held: list[Grant] = []

    def one(workers: list[WorkerIdentity]) -> int:
        [worker] = workers
        with database.farm_work() as session:
            if not held:
                grant = leases.claim(session, worker, loaded=LOADED)
            else:
                last = held.pop()
                lease = LeaseKey(job_id=last.job_id, fence=last.fence, token=last.token)
                assert worker.incarnation is not None
                _, grant = leases.complete_and_claim(
                    session, worker, lease, incarnation=worker.incarnation, loaded=LOADED
                )
        held.extend([grant] if grant is not None else [])
        return len(held)

    yield one


@contextlib.contextmanager
def _brought(database: Database) -> Iterator[Callable[[list[WorkerIdentity]], int]]:
    """One statement and one transaction: the end of a job and the claim of the next, as the room's function sends it."""
    held: list[tuple[Any, int, bytes]] = []
    with _on_the_farm(database) as session:

        def one(workers: list[WorkerIdentity]) -> int:
            [worker] = workers
            names = {"worker_id": worker.worker_id, "incarnation": worker.incarnation}
            token_hash = leases.token_hash(secrets.token_urlsafe(24))
            if not held:
                asks = {**names, "token_hash": token_hash, "pool_ids": list(worker.pool_ids)}
                picked = claiming.claim(session, asks, serves=worker.serves, loaded=LOADED)
                held.extend([(picked.job_id, picked.fence, token_hash)] if picked is not None else [])
                return len(held)
            job_id, fence, last = held.pop()
            named = {**names, "job_id": job_id, "fence": fence, "token_hash": last, "next_token_hash": token_hash}
            done = ending.complete_and_claim(session, {**named, "state": JobState.SUCCEEDED.value}, loaded=LOADED)
            assert done is not None
            assert done.id == job_id
            if done.next_job_id is not None:
                held.append((done.next_job_id, done.next_fence, token_hash))
            return 1

        yield one


@contextlib.contextmanager
def _statements(database: Database) -> Iterator[Callable[[list[WorkerIdentity]], int]]:
    """Two statements, each its own transaction, as the room's functions send them where nothing is capped or paused."""
    with _on_the_farm(database) as session:

        def one(workers: list[WorkerIdentity]) -> int:
            [worker] = workers
            token_hash = leases.token_hash(secrets.token_urlsafe(24))
            names = {"worker_id": worker.worker_id, "token_hash": token_hash, "incarnation": worker.incarnation}
            asks = {**names, "pool_ids": list(worker.pool_ids)}
            picked = claiming.claim(session, asks, serves=worker.serves, loaded=LOADED)
            return 0 if picked is None else _complete(session, worker, picked, token_hash)

        yield one


@contextlib.contextmanager
def _together(database: Database) -> Iterator[Callable[[list[WorkerIdentity]], int]]:
    """One statement and one transaction for all the claims, as the room's function sends it; then each end for itself."""
    with _on_the_farm(database) as session:

        def all_of(workers: list[WorkerIdentity]) -> int:
            grants = leases.claim_each(session, [(worker, LOADED) for worker in workers])
            return sum(
                _complete(session, worker, grant, leases.token_hash(grant.token))
                for worker, grant in zip(workers, grants, strict=True)
                if isinstance(grant, Grant)
            )

        yield all_of


def _complete(session: Session, worker: WorkerIdentity, picked: Any, token_hash: bytes) -> int:
    named = {"job_id": picked.job_id, "fence": picked.fence, "token_hash": token_hash, "worker_id": worker.worker_id}
    done = ending.complete(session, {**named, "state": JobState.SUCCEEDED.value})
    assert done is not None
    assert done.id == picked.job_id
    return 1


@contextlib.contextmanager
def _on_the_farm(database: Database) -> Iterator[Session]:
    """A session whose statements are each their own transaction, durable, and planned once as the farm's are."""
    with database.farm_work() as session:
        assert session.execute(text("show synchronous_commit")).scalar_one() == "on"
        settings = {name: session.execute(text(f"show {name}")).scalar_one() for name in PLANNING}
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"set role {FARM_ROLE}"))
        connection.execute(text(f"set search_path = {FARM_SCHEMA}, {EXTENSION_SCHEMA}"))
        for name, value in settings.items():
            connection.execute(text(f"set {name} = {value}"))
        with Session(connection) as session:
            yield session


def over_http(place: Place, seconds: float, *, brings: bool) -> float:
    """Return jobs a second that 8 workers claim and end over HTTP, without a pause, at one server process.

    `brings`: each report asks for the next job.
    """
    context = multiprocessing.get_context("fork")
    database = Database(place.cluster.server_url())
    workers = []
    for number in range(8):
        worker, key = join_worker(database, place.scope, f"http-{number}-{brings}")
        workers.append((key, str(worker.incarnation)))
    database.close()
    fill(
        place.cluster.superuser_url("memoryd"), count=10_000, pool_id=place.pool.id, schema=place.scope.schema, prompt={}
    )  # fmt: skip
    with place.server() as address:
        stop, calls = context.Event(), context.Value("i", 0)
        process = context.Process(target=claimers, args=(address, workers, None, stop, calls, brings), daemon=True)
        process.start()
        time.sleep(1.0)
        first = int(calls.value)
        time.sleep(seconds)
        done = int(calls.value) - first
        stop.set()
        process.join()
    return done / (1 if brings else 2) / seconds


# --- procrastinate's


def procrastinate_worker(place: Place, seconds: float, *, concurrency: int | None) -> Done:
    """Return what procrastinate's worker does on jobs that do nothing, as many of them waiting as it comes to."""
    context = multiprocessing.get_context("fork")
    with place.database_name() as name:
        answers = context.Queue()
        process = context.Process(
            target=_procrastinate, args=(place.cluster.superuser_url(name), seconds, concurrency, answers), daemon=True
        )
        process.start()
        answers.get(timeout=180)
        with spent(place) as by:
            jobs, took, asking = answers.get(timeout=seconds + 180)
        process.join()
    return Done(rate=jobs / took, asking=asking / jobs, postgres=by.postgres / jobs)


def _procrastinate(url: str, seconds: float, concurrency: int | None, answers: Any) -> None:
    answers.put(asyncio.run(_run_procrastinate(url, seconds, concurrency, answers)))


async def _run_procrastinate(
    url: str, seconds: float, concurrency: int | None, answers: Any
) -> tuple[int, float, float]:
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="nothing")
    async def nothing(number: int) -> None:
        """Do nothing."""

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        with psycopg.connect(url) as connection:
            assert connection.execute("show synchronous_commit").fetchone() == ("on",)
        for start in range(0, WAITING + int(seconds * 2_000), 1_000):
            await nothing.batch_defer_async(*({"number": number} for number in range(start, start + 1_000)))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")
        asked = {} if concurrency is None else {"concurrency": concurrency}
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, wait=False, **asked))
        await asyncio.wait([worker], timeout=WARM_UP_S)
        answers.put("begun")
        first, began, asking = _succeeded(url), time.monotonic(), time.process_time()
        await asyncio.wait([worker], timeout=seconds)
        done, took, asking = _succeeded(url) - first, time.monotonic() - began, time.process_time() - asking
        worker.cancel()
        await asyncio.wait([worker], timeout=10)
    return done, took, asking * 1000


def _succeeded(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("select count(*) from procrastinate_jobs where status = 'succeeded'").fetchone()
    assert found is not None
    return int(found[0])
