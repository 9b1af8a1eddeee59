"""When jobs start and end, told from memory: against a simulated farm, and against the real order of a real queue."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.dispatch import estimating, jobs, pools
from memoryd.dispatch.estimating import Estimates, Head, Part, Snapshot, Spread, estimate, read_snapshot
from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.queries import estimates
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import JobId, PoolId, TenantId, new_id

POOL = PoolId(uuid4())
STANDARD = 1
OFFSETS = {0: 0.0, 1: 30.0, 2: 900.0}


def snapshot(
    tags: Sequence[int] = (),
    costs: Sequence[int] = (),
    *,
    workers: int = 1,
    running: Sequence[int] = (),
    parts: dict[tuple[UUID, int], tuple[Part, ...]] | None = None,
    serves: tuple[TenantId, ...] = (),
    paused: bool = False,
) -> Snapshot:
    heads: dict[tuple[UUID, int], Head] = {}
    if tags:
        heads[POOL, STANDARD] = Head(tags=tuple(tags), costs=tuple(itertools.accumulate(costs)))
    return Snapshot(
        at=0.0,
        offsets=OFFSETS,
        heads=heads,
        spread=Spread(at=0.0, parts=parts or {}),
        running={POOL: tuple(running)},
        workers={POOL: ((serves, workers),)} if workers else {},
        paused=frozenset({POOL}) if paused else frozenset(),
    )


def test_an_idle_worker_starts_at_once() -> None:
    found = estimate(snapshot(), POOL, STANDARD, 5, 10_000)
    assert (found.position, found.starts_p50_s, found.ends_p50_s) == (0, 0.0, 10.0)
    assert found.ends_p90_s is not None
    assert found.ends_p90_s > 10


def test_what_runs_and_what_is_ahead_is_waited_for() -> None:
    ahead = snapshot([1, 2, 9], [4_000, 6_000, 8_000], running=[3_000])
    found = estimate(ahead, POOL, STANDARD, 5, 10_000)
    assert (found.position, found.starts_p50_s, found.ends_p50_s) == (2, 13.0, 23.0)
    two = estimate(snapshot([1, 2], [4_000, 4_000], running=[3_000], workers=2), POOL, STANDARD, 5, 1_000)
    assert two.starts_p50_s == 4.0


@pytest.mark.parametrize("idle", [snapshot(workers=0), snapshot(paused=True), snapshot(serves=(TenantId(uuid4()),))])
def test_nothing_is_promised_where_nobody_works(idle: Snapshot) -> None:
    found = estimate(idle, POOL, STANDARD, 5, 10_000, tenant_id=TenantId(uuid4()))
    assert (found.starts_p50_s, found.ends_p90_s) == (None, None)


def test_a_job_that_is_to_start_later_does_not_start_before() -> None:
    found = estimate(snapshot(), POOL, STANDARD, 5, 10_000, after_s=3600)
    assert (found.starts_p50_s, found.ends_p50_s) == (3600.0, 3610.0)


def test_more_urgent_work_goes_first_and_less_urgent_work_when_it_is_old_enough() -> None:
    part = Part(low=0, high=10, jobs=4, cost_ms=40_000, oldest_s=1000, newest_s=800)
    urgent = estimate(snapshot(parts={(POOL, 0): (part,)}), POOL, STANDARD, 5, 1_000)
    assert (urgent.position, urgent.starts_p50_s) == (4, 40.0)
    batch = estimate(snapshot(parts={(POOL, 2): (part,)}), POOL, STANDARD, 5, 1_000)
    # Those that came more than 870 s ago: (1000 - 870) of the 200 s in which they came.
    assert batch.position == 3
    assert batch.starts_p50_s == pytest.approx(26, abs=0.5)


def test_jobs_that_this_process_enqueued_since_are_counted() -> None:
    now = estimate(snapshot([1], [1_000]), POOL, STANDARD, 5, 1_000, noted=[(1.0, 2, 5_000), (1.0, 9, 5_000)])
    assert (now.position, now.starts_p50_s) == (2, 6.0)


def test_what_lies_behind_a_full_page_is_told_from_its_spread() -> None:
    limit = estimates.HEAD_LIMIT
    far = Part(low=0, high=10_000, jobs=10_000, cost_ms=10_000_000, oldest_s=10, newest_s=0)
    found = estimate(
        snapshot(range(limit), [1_000] * limit, workers=10, parts={(POOL, STANDARD): (far,)}),
        POOL,
        STANDARD,
        5_000,
        1_000,
    )
    assert found.position == pytest.approx(5_000, rel=0.02)
    assert found.starts_p50_s == pytest.approx(500, rel=0.02)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 100_000), max_size=100), st.integers(1, 8), st.integers(1, 100_000), st.integers(0, 120))
def test_later_places_start_later_and_ninety_percent_is_never_before_fifty(
    costs: list[int], workers: int, cost: int, place: int
) -> None:
    queue = snapshot(range(len(costs)), costs, workers=workers)
    earlier = estimate(queue, POOL, STANDARD, place, cost)
    later = estimate(queue, POOL, STANDARD, place + 1, cost)
    assert later.position >= earlier.position
    for found in (earlier, later):
        assert found.starts_p50_s is not None
        assert found.starts_p90_s is not None
        assert found.ends_p50_s is not None
        assert found.ends_p90_s is not None
        assert 0 <= found.starts_p50_s <= found.starts_p90_s
        assert found.starts_p50_s <= found.ends_p50_s <= found.ends_p90_s
    assert later.starts_p50_s is not None
    assert earlier.starts_p50_s is not None
    # What the longest job before them is shared out over may differ by its own length.
    longest = max(costs, default=0) / 1000 / workers
    assert later.starts_p50_s >= earlier.starts_p50_s - 0.11 - longest


def test_in_a_simulated_farm_the_chances_are_what_they_say() -> None:
    dice, before_p50, before_p90, rounds = random.Random(7), 0, 0, 400
    for _ in range(rounds):
        workers, ahead = dice.randint(1, 8), dice.randint(10, 200)
        costs = [dice.choice([2_000, 10_000, 30_000]) for _ in range(ahead)]
        pace = dice.gauss(1, 0.2)
        free = [0.0] * workers
        for cost in costs:
            heapq.heapreplace(free, free[0] + max(0.1, pace * dice.gauss(1, 0.35)) * cost)
        told = estimate(snapshot(range(ahead), costs, workers=workers), POOL, STANDARD, ahead, 1_000)
        assert told.starts_p50_s is not None
        assert told.starts_p90_s is not None
        before_p50 += free[0] / 1000 <= told.starts_p50_s
        before_p90 += free[0] / 1000 <= told.starts_p90_s
    assert 0.38 < before_p50 / rounds < 0.62
    assert 0.8 < before_p90 / rounds < 0.99


def enqueue(
    database: Database, tenant: TenantScope, *, cost_ms: int = 1_000, urgency: Urgency = Urgency.STANDARD
) -> int:
    with database.farm_work() as session:
        pool = pools.find_pool(session, pools.DEFAULT_POOL, tenant_id=tenant.id)
        asked = jobs.JobAsked(
            job_id=JobId(new_id()), tenant_id=tenant.id, pool_id=pool.id, cost_ms=cost_ms, urgency=urgency
        )
        return jobs.enqueue(session, asked, placed=False).vtag


def test_the_position_is_that_of_the_real_order(
    database: Database, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    tags = [enqueue(database, tenant, cost_ms=1_000) for _ in range(20)]
    mine = enqueue(database, other_tenant, cost_ms=1_000)
    found, _ = read_snapshot(database)
    with database.farm_work() as session:
        pool_id = session.execute(text("select id from pool where name = 'default'")).scalar_one()
        ahead = session.execute(text("select count(*) from ready where vtag < :mine"), {"mine": mine}).scalar_one()
    assert estimate(found, pool_id, STANDARD, mine - 1, 1_000).position == ahead
    assert estimate(found, pool_id, STANDARD, tags[-1] - 1, 1_000).position >= 19


def test_a_long_queue_is_told_without_looking_at_each_job(database: Database, tenant: TenantScope) -> None:
    enqueue(database, tenant)
    with database.farm_work() as session:
        session.execute(
            text("""
            insert into ready (pool_id, class_id, vtag, job_id, model_set, tenant_id, cost_ms, expires_at)
            select r.pool_id, r.class_id, r.vtag + n * 1000, gen_random_uuid(), '', r.tenant_id, 1000, r.expires_at
              from ready r, generate_series(1, 20000) n""")
        )
        pool_id, first = session.execute(text("select pool_id, min(vtag) from ready group by 1")).one()
    found, _ = read_snapshot(database)
    for place in (10, 400, 600, 5_000, 19_990):
        told = estimate(found, pool_id, STANDARD, first + place * 1_000, 1_000).position
        assert told == pytest.approx(place, abs=2, rel=0.05)


def test_what_waits_far_behind_is_read_more_seldom(database: Database, tenant: TenantScope) -> None:
    kept = Estimates()
    first = kept.refresh(database)
    kept._spread_due = first.at + 1_000
    enqueue(database, tenant)
    assert kept.refresh(database).spread is first.spread
    assert kept.refresh(database, whole=True).spread is not first.spread


def test_a_snapshot_is_kept_and_read_anew_when_it_is_old(
    database: Database, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = estimating.snapshot_of(database)
    assert estimating.snapshot_of(database) is first
    monkeypatch.setattr(estimating, "STALE_S", -1.0)
    assert estimating.snapshot_of(database) is not first
