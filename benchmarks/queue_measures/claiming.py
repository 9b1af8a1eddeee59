"""How a claim's time depends on how many jobs wait, and on a snapshot that somebody holds open."""

from __future__ import annotations

import dataclasses
import multiprocessing
import random
import time

import psycopg
from sqlalchemy import text

from memoryd.dispatch import jobs, leases, tending
from memoryd.dispatch.facts import LeaseKey, WorkerIdentity
from memoryd.foundation.database import Database
from memoryd.foundation.ids import JobId, new_id

from .figures import Figure, median, now_ms, percentile
from .places import Place, join_worker
from .waiting_jobs import COST_MS, fill

DEPTH_TARGET = 1.5
SNAPSHOT_TARGET = 3.0
FEW, MANY = 10_000, 1_000_000
DRAINERS = 4


def timed_claim(database: Database, worker: WorkerIdentity, loaded: tuple[str, ...]) -> tuple[float, LeaseKey | None]:
    """Return the milliseconds of one committed claim, and the lease."""
    began = now_ms()
    with database.farm_work() as session:
        grant = leases.claim(session, worker, loaded=loaded)
    spent = now_ms() - began
    return spent, None if grant is None else LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)


def _complete(database: Database, worker: WorkerIdentity, lease: LeaseKey) -> None:
    with database.farm_work() as session:
        leases.complete(session, worker, lease)


def depth(place: Place, *, quick: bool) -> list[Figure]:
    """Claims at 10,000 and at 1,000,000 waiting jobs, taken in turns, so that both see the same machine."""
    many, claims = (200_000, 150) if quick else (MANY, 400)
    dice = random.Random(4)
    with place.database() as (shallow, shallow_name), place.database() as (deep, deep_name):
        fill(place.cluster.superuser_url(shallow_name), count=FEW, pool_id=place.pool.id)
        fill(place.cluster.superuser_url(deep_name), count=many, pool_id=place.pool.id)
        sides = [(database, join_worker(database, place.scope, "gpu")[0]) for database in (shallow, deep)]
        # Of all tenants: the jobs in bulk are not the worker's own tenant's.
        for database, worker in sides:
            _serve_all(database, worker)
        spent: tuple[list[float], list[float]] = ([], [])
        for number in range(claims + 20):
            loaded = (f"model-{dice.randrange(20)}",) if number % 2 else ()
            for side in (0, 1) if number % 4 < 2 else (1, 0):
                database, worker = sides[side]
                ms, lease = timed_claim(database, _anybody(worker), loaded)
                assert lease is not None
                if number >= 20:
                    spent[side].append(ms)
                _complete(database, worker, lease)
    few, more = median(spent[0]), median(spent[1])
    return [
        Figure(name=f"claim at {FEW:,} waiting, p50", value=few, unit="ms"),
        Figure(name=f"claim at {many:,} waiting, p50", value=more, unit="ms"),
        Figure(name=f"claim at {many:,} waiting, p99", value=percentile(spent[1], 0.99), unit="ms"),
        Figure(name="claim, deep over shallow, p50", value=more / few, unit="times", target=DEPTH_TARGET),
    ]


def _serve_all(database: Database, worker: WorkerIdentity) -> None:
    with database.farm_work() as session:
        session.execute(text("update worker set serves = '{}' where id = :id"), {"id": worker.worker_id})


def _anybody(worker: WorkerIdentity) -> WorkerIdentity:
    return dataclasses.replace(worker, serves=())


def snapshot(place: Place, *, quick: bool) -> list[Figure]:
    """Claims, submissions and completions before, and after so many jobs completed under a snapshot held open.

    The jobs complete by the very functions that the server calls, one by one, with a leader that tends the queue every
    second; only waiting for the disk is left out meanwhile, since it changes nothing for who comes after.
    """
    count, probes = (20_000, 200) if quick else (200_000, 400)
    with place.database(pool_size=4) as (database, name):
        superuser = place.cluster.superuser_url(name)
        fill(superuser, count=count + 4 * probes + 2_000, pool_id=place.pool.id)
        worker = _anybody(join_worker(database, place.scope, "gpu")[0])
        _serve_all(database, worker)
        before = _probe(place, database, worker, probes)
        with psycopg.connect(superuser) as holder:
            holder.execute("set transaction isolation level repeatable read")
            holder.execute("select count(*) from farm.job_class")
            began = time.monotonic()
            drained = _drain(place, name, count)
            took = time.monotonic() - began
            with psycopg.connect(superuser, autocommit=True) as cleaner:
                cleaner.execute("vacuum farm.ready, farm.lease, farm.job, farm.flow, farm.mark, farm.worker")
            tending.tend_once(database)
            after = _probe(place, database, worker, probes)
            holder.rollback()
    names = ("claim", "complete", "submit")
    figures = [
        Figure(name="jobs completed under a held snapshot", value=drained, unit="jobs"),
        Figure(name="   at", value=drained / took, unit="jobs/s"),
    ]
    for word, then, now in zip(names, before, after, strict=True):
        ratio = median(now) / median(then)
        figures += [
            Figure(name=f"{word} before, p50", value=median(then), unit="ms"),
            Figure(name=f"{word} under the held snapshot, p50", value=median(now), unit="ms"),
            Figure(
                name=f"{word}, under the held snapshot over before, p50",
                value=ratio,
                unit="times",
                target=SNAPSHOT_TARGET if word == "claim" else None,
            ),
        ]
    return figures


def _probe(place: Place, database: Database, worker: WorkerIdentity, count: int) -> tuple[list[float], ...]:
    claims, completions, submissions = list[float](), list[float](), list[float]()
    dice = random.Random(5)
    for number in range(count + 10):
        ms, lease = timed_claim(database, worker, (f"model-{dice.randrange(20)}",))
        assert lease is not None
        began = now_ms()
        _complete(database, worker, lease)
        middle = now_ms()
        with database.farm_work() as session:
            jobs.enqueue(
                session,
                jobs.JobAsked(job_id=JobId(new_id()), tenant_id=place.scope.id, pool_id=place.pool.id, cost_ms=COST_MS),
            )
        if number >= 10:
            claims.append(ms)
            completions.append(middle - began)
            submissions.append(now_ms() - middle)
    return claims, completions, submissions


def _drain(place: Place, name: str, count: int) -> int:
    context = multiprocessing.get_context("fork")
    url = place.cluster.server_url(name)
    done = context.Value("i", 0)
    drainers = [
        context.Process(target=_drain_some, args=(place, url, count // DRAINERS, number, done), daemon=True)
        for number in range(DRAINERS)
    ]
    tender = Database(url, pool_size=1)
    for drainer in drainers:
        drainer.start()
    while any(drainer.is_alive() for drainer in drainers):
        tending.tend_once(tender)
        time.sleep(1.0)
    for drainer in drainers:
        drainer.join()
    tender.close()
    return int(done.value)


def _drain_some(place: Place, url: str, count: int, number: int, done: object) -> None:
    database = Database(url, pool_size=1)
    worker = _anybody(join_worker(database, place.scope, f"drain-{number}")[0])
    _serve_all(database, worker)
    own = 0
    for turn in range(count):
        with database.farm_work() as session:
            session.execute(text("set local synchronous_commit = off"))
            grant = leases.claim(session, worker, loaded=(f"model-{turn % 20}",))
        if grant is None:
            break
        with database.farm_work() as session:
            session.execute(text("set local synchronous_commit = off"))
            leases.complete(session, worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))
        own += 1
    with done.get_lock():  # type: ignore[attr-defined]
        done.value += own  # type: ignore[attr-defined]
    database.close()
