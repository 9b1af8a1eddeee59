"""What placing jobs on workers that have their model loaded saves, on a simulated clock over the real queue.

The mix of the reference measurements: 8 GPUs with one model each in memory, 20 models by Zipf's law, 600 jobs of a
dozen tenants, a run takes 4 s and loading a model 8 s. That mix loads 542 times without affinity, 410 times where only
equal tags are exchanged, and 166 times with a bonus of 20 s: exponent and tenants here are those that give these.
"""

from __future__ import annotations

import dataclasses
import heapq
import random
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from memoryd.dispatch import jobs, leases
from memoryd.dispatch.facts import LeaseKey, WorkerIdentity
from memoryd.foundation.database import Database
from memoryd.foundation.ids import JobId, TenantId, new_id

from .figures import Figure
from .flood import _tenants
from .places import Place, join_worker

GPUS, MODELS, JOBS, TENANTS = 8, 20, 600, 12
ZIPF = 0.9
RUN_S, LOAD_S = 4.0, 8.0
TARGET = 40.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One job of the mix, in order of submission."""

    tenant: int
    model: str


@dataclasses.dataclass
class Course:
    """How a run of the mix went."""

    loads: int = 0
    makespan_s: float = 0.0
    order: list[JobId] = dataclasses.field(default_factory=list)


def mix(seed: int) -> list[Asked]:
    """Return the jobs, the same for one seed."""
    dice = random.Random(seed)
    weights = [1 / (rank + 1) ** ZIPF for rank in range(MODELS)]
    names = [f"model-{rank}" for rank in range(MODELS)]
    return [Asked(tenant=dice.randrange(TENANTS), model=dice.choices(names, weights)[0]) for _ in range(JOBS)]


def affinity(place: Place, *, quick: bool) -> list[Figure]:
    """Model loads beside first in, first out; and, job by job, how many others overtook it beside the bound."""
    seeds = (1,) if quick else (1, 2, 3)
    loads, first_in, overtakes, ratios = 0, 0, 0, list[float]()
    span, span_first_in, bound, wrong = 0.0, 0.0, 0, 0
    for seed in seeds:
        asked = mix(seed)
        with place.database() as (database, name):
            tenants = _tenants(place, name, TENANTS)
            course, tags = _run(place, database, tenants, asked)
            bonus = _bonus_ms(database, place.pool.id)
        plain = _first_in_first_out(asked)
        # Between two jobs a later one may go first while its tag lies within the bonus: so many of each tenant fit.
        bound = TENANTS * (bonus // int(RUN_S * 1000) + 1)
        worst, out_of_bonus = _overtaken(course.order, tags, bonus)
        loads, first_in, overtakes = loads + course.loads, first_in + plain.loads, max(overtakes, worst)
        wrong += out_of_bonus
        span, span_first_in = span + course.makespan_s, span_first_in + plain.makespan_s
        ratios.append(100 * course.loads / plain.loads)
    return [
        Figure(name=f"model loads in {JOBS} jobs, first in first out", value=first_in / len(seeds), unit="loads"),
        Figure(name=f"model loads in {JOBS} jobs, with affinity", value=loads / len(seeds), unit="loads"),
        Figure(name="loads with affinity, of those without", value=max(ratios), unit="%", target=TARGET),
        Figure(name="time until all are done, of that without", value=100 * span / span_first_in, unit="%"),
        Figure(name="jobs that overtook one job, the most", value=overtakes, unit="jobs", target=bound),
        Figure(name="overtakings from beyond the bonus", value=wrong, unit="jobs", target=0),
    ]


def _run(
    place: Place, database: Database, tenants: Sequence[TenantId], asked: Sequence[Asked]
) -> tuple[Course, dict[JobId, int]]:
    with database.farm_work() as session:
        for one in asked:
            job = jobs.JobAsked(
                job_id=JobId(new_id()),
                tenant_id=tenants[one.tenant],
                pool_id=place.pool.id,
                model_set=one.model,
                cost_ms=int(RUN_S * 1000),
            )
            jobs.enqueue(session, job)
        tags = {JobId(row.job_id): row.vtag for row in session.execute(text("select job_id, vtag from ready"))}
    fleet = [dataclasses.replace(join_worker(database, place.scope, f"gpu-{n}")[0], serves=()) for n in range(GPUS)]
    course, held, loaded = Course(), dict[int, LeaseKey](), dict[int, str]()
    free_at = [(0.0, number) for number in range(GPUS)]
    while free_at:
        now, number = heapq.heappop(free_at)
        taken = _next(database, fleet[number], held.pop(number, None), loaded.get(number))
        if taken is None:
            continue
        lease, model = taken
        loads = loaded.get(number) != model
        course.loads += loads
        course.order.append(lease.job_id)
        held[number], loaded[number] = lease, model
        ends = now + RUN_S + (LOAD_S if loads else 0.0)
        course.makespan_s = max(course.makespan_s, ends)
        heapq.heappush(free_at, (ends, number))
    assert len(course.order) == len(asked)
    return course, tags


def _next(
    database: Database, worker: WorkerIdentity, done: LeaseKey | None, loaded: str | None
) -> tuple[LeaseKey, str] | None:
    with database.farm_work() as session:
        if done is not None:
            # The queue's clock is the database's: what the simulated run took is put into the lease.
            session.execute(
                text("update lease set leased_at = clock_timestamp() - make_interval(secs => :s) where job_id = :id"),
                {"s": RUN_S, "id": done.job_id},
            )
            leases.complete(session, worker, done)
    with database.farm_work() as session:
        grant = leases.claim(session, worker, loaded=(loaded,) if loaded else ())
    if grant is None:
        return None
    return LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token), grant.model_set


def _first_in_first_out(asked: Sequence[Asked]) -> Course:
    course, loaded = Course(), dict[int, str]()
    free_at = [(0.0, number) for number in range(GPUS)]
    for one in asked:
        now, number = heapq.heappop(free_at)
        loads = loaded.get(number) != one.model
        course.loads += loads
        loaded[number] = one.model
        ends = now + RUN_S + (LOAD_S if loads else 0.0)
        course.makespan_s = max(course.makespan_s, ends)
        heapq.heappush(free_at, (ends, number))
    return course


def _overtaken(order: Sequence[JobId], tags: dict[JobId, int], bonus: int) -> tuple[int, int]:
    """Return the most jobs of a later tag that one job saw start before it, and how many of them lay beyond the bonus."""
    worst = beyond = 0
    for place, job_id in enumerate(order):
        mine = (tags[job_id], job_id)
        overtakers = [tags[other] for other in order[:place] if (tags[other], other) > mine]
        worst = max(worst, len(overtakers))
        beyond += sum(tag > tags[job_id] + bonus for tag in overtakers)
    return worst, beyond


def _bonus_ms(database: Database, pool_id: UUID) -> int:
    with database.farm_work() as session:
        found = session.execute(
            text(
                "select (k.affinity * p.warm_up_s * 1000)::bigint from job_class k, pool p where k.id = 1 and p.id = :id"
            ),
            {"id": pool_id},
        )
        return int(found.scalar_one())
