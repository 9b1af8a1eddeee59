"""How long a tenant's first job waits behind another tenant's flood: counted in jobs that start before it, per worker."""

from __future__ import annotations

import dataclasses
import random

from sqlalchemy import text

from memoryd.dispatch import jobs, leases
from memoryd.dispatch.facts import LeaseKey, Urgency, WorkerIdentity
from memoryd.foundation.database import Database, Session
from memoryd.foundation.ids import JobId, TenantId, new_id

from .figures import Figure, median
from .places import Place, join_worker
from .waiting_jobs import COST_MS, fill

FLOOD = 10_000
WORKERS = 8
TARGET = 1.0


def flood(place: Place, *, quick: bool) -> list[Figure]:
    """The other tenant's jobs that start after a first job came in and before it starts, over the number of workers.

    All workers are busy when it comes, each ends its job and asks again in any order; every time from another tenant
    that was never seen before, at another moment of the flood, with models loaded or not.
    """
    trials = 40 if quick else 200
    dice = random.Random(6)
    started: list[int] = []
    with place.database() as (database, name):
        fill(place.cluster.superuser_url(name), count=FLOOD, pool_id=place.pool.id, tenants=1)
        guests = _tenants(place, name, trials)
        fleet = [join_worker(database, place.scope, f"gpu-{n}")[0] for n in range(WORKERS)]
        fleet = [dataclasses.replace(worker, serves=()) for worker in fleet]
        held: list[LeaseKey] = []
        for worker in fleet:
            _start(database, worker, None, held)
        for guest in guests:
            for _ in range(dice.randrange(1, 12)):
                _turn(database, fleet, held, dice)
            with database.farm_work() as session:
                wanted = _submit(session, place, guest)
            started.append(_before(database, fleet, held, dice, wanted))
    worst = max(started)
    return [
        Figure(
            name=f"jobs of a flood of {FLOOD:,} that start before a first job, p50", value=median(started), unit="jobs"
        ),
        Figure(name="the worst", value=worst, unit="jobs"),
        Figure(name="the worst, per worker", value=worst / WORKERS, unit="jobs", target=TARGET),
    ]


def _tenants(place: Place, name: str, count: int) -> list[TenantId]:
    import psycopg

    with psycopg.connect(place.cluster.superuser_url(name)) as connection:
        rows = connection.execute(
            """insert into farm.tenant (id, slug, name, schema, role, state)
               select uuidv7(), 'guest-' || n, 'guest', 'guest_' || n, 'guest_' || n, 'active'
                 from generate_series(1, %s) n returning id""",
            [count],
        ).fetchall()
    return [TenantId(row[0]) for row in rows]


def _submit(session: Session, place: Place, tenant: TenantId) -> JobId:
    asked = jobs.JobAsked(
        job_id=JobId(new_id()), tenant_id=tenant, pool_id=place.pool.id, urgency=Urgency.STANDARD, cost_ms=COST_MS,
        model_set="model-19",
    )  # fmt: skip
    return jobs.enqueue(session, asked).job_id


def _start(database: Database, worker: WorkerIdentity, loaded: str | None, held: list[LeaseKey]) -> JobId:
    with database.farm_work() as session:
        grant = leases.claim(session, worker, loaded=(loaded,) if loaded else ())
        assert grant is not None
        # Sixty times as fast as it would be: what it took is charged as if it had taken what was estimated.
        session.execute(
            text("update lease set leased_at = leased_at - make_interval(secs => :s) where job_id = :id"),
            {"s": COST_MS / 1000, "id": grant.job_id},
        )
    held.append(LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))
    return grant.job_id


def _turn(database: Database, fleet: list[WorkerIdentity], held: list[LeaseKey], dice: random.Random) -> JobId:
    """One worker ends its job and starts the next; which it is is returned."""
    number = dice.randrange(len(fleet))
    # Whoever leased it completes it: leases are kept in the order of the workers.
    lease = held[number]
    with database.farm_work() as session:
        leases.complete(session, fleet[number], lease)
    fresh: list[LeaseKey] = []
    job_id = _start(database, fleet[number], f"model-{dice.randrange(3)}" if dice.random() < 0.5 else None, fresh)
    held[number] = fresh[0]
    return job_id


def _before(
    database: Database, fleet: list[WorkerIdentity], held: list[LeaseKey], dice: random.Random, wanted: JobId
) -> int:
    for count in range(10 * len(fleet)):
        if _turn(database, fleet, held, dice) == wanted:
            return count
    return 10 * len(fleet)
