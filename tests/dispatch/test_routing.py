"""Jobs that are meant for particular workers: the nearest first, another when it is not there, and never stuck."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.dispatch import jobs, leases, pools, retiring, routing, tending, workers
from memoryd.dispatch.facts import Cause, Grant, LeaseKey, PoolView, Route, WorkerIdentity
from memoryd.dispatch.routing import AWAY_LIMIT_S, BUSY_LIMIT_S, HOPELESS, Place, Situation, Step, next_step
from memoryd.dispatch.states import ENDED, JobState
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import add_worker, ask

Enqueue = Callable[..., JobId]


def claim(session: Session, worker: WorkerIdentity) -> Grant | None:
    """What a worker gets when it asks, as it is then."""
    assert worker.incarnation is not None
    present, _ = workers.begin_claim(session, worker.worker_id, worker.incarnation)
    return leases.claim(session, present, loaded=())


def silence(session: Session, worker: WorkerIdentity) -> None:
    """A worker that was last heard two minutes ago."""
    session.execute(
        text("update worker set seen_at = clock_timestamp() - interval '2 min' where id = :id"),
        {"id": worker.worker_id},
    )


def back(session: Session, worker: WorkerIdentity, grant: Grant, kind: str) -> None:
    """Give a job back, with the word for why."""
    lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
    leases.release(session, worker, lease, reason="its reason", kind=kind)


@pytest.fixture
def other(farm: Session, tenant: TenantScope) -> WorkerIdentity:
    """A second worker of the same pool."""
    return add_worker(farm, tenant.id, label="gpu-2")


def test_a_routed_job_is_its_workers_alone_and_shows_the_pool_it_was_asked_for(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    job_id = enqueue(route=Route(workers=(worker.worker_id, other.worker_id)))
    assert claim(farm, other) is None
    assert jobs.find_standing(farm, job_id).pool == "default"
    assert [pool.name for pool in pools.list_pools(farm, tenant_id=tenant.id)] == ["default"]
    assert workers.current(farm, worker.worker_id).pools == ("default",)
    grant = claim(farm, worker)
    assert grant is not None
    assert grant.job_id == job_id


def test_a_job_goes_to_the_next_worker_when_its_own_falls_silent_or_drains_and_to_the_pool_in_the_end(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    third = add_worker(farm, tenant.id, label="gpu-3")
    job_id = enqueue(route=Route(workers=(worker.worker_id, other.worker_id)))
    assert routing.step(farm) == 0
    silence(farm, worker)
    assert routing.step(farm) == 1
    assert claim(farm, third) is None
    retiring.drain(farm, other.worker_id, tenant_id=tenant.id)
    assert routing.step(farm) == 1
    assert routing.step(farm) == 0
    grant = claim(farm, third)
    assert grant is not None
    assert grant.job_id == job_id


def test_jobs_of_which_nothing_becomes_now_hold_up_no_others(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    enqueue(route=Route(workers=(other.worker_id,)))
    assert claim(farm, other) is not None
    enqueue(route=Route(workers=()))
    stays = enqueue(route=Route(workers=(worker.worker_id,)))
    silence(farm, worker)
    assert routing.step(farm, limit=1) == 1
    assert jobs.find_standing(farm, stays).pool == "default"
    third = add_worker(farm, tenant.id, label="gpu-3")
    assert {grant.job_id for grant in (claim(farm, third), claim(farm, third)) if grant is not None} >= {stays}


def test_who_is_not_there_when_a_job_comes_is_passed_over(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    silence(farm, worker)
    first = enqueue(route=Route(workers=(worker.worker_id, other.worker_id)))
    grant = claim(farm, other)
    assert grant is not None
    assert grant.job_id == first
    silence(farm, other)
    enqueue(route=Route(workers=(worker.worker_id, other.worker_id)))
    third = add_worker(farm, tenant.id, label="gpu-3")
    assert claim(farm, third) is not None, "nobody is there: the pool's"


def test_a_worker_that_gives_a_job_back_is_not_asked_again_while_there_is_another(
    farm: Session, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    enqueue(route=Route(workers=(worker.worker_id, other.worker_id), only=True))
    grant = claim(farm, worker)
    assert grant is not None
    back(farm, worker, grant, "model-drifted")
    assert routing.step(farm) == 1
    assert claim(farm, worker) is None
    assert claim(farm, other) is not None


@pytest.mark.parametrize("kind", sorted(HOPELESS))
def test_a_job_that_only_one_worker_may_run_ends_with_that_workers_reason(
    kind: str, farm: Session, worker: WorkerIdentity, enqueue: Enqueue
) -> None:
    job_id = enqueue(route=Route(workers=(worker.worker_id,), only=True))
    grant = claim(farm, worker)
    assert grant is not None
    back(farm, worker, grant, kind)
    assert routing.step(farm) == 1
    assert jobs.find_standing(farm, job_id).state is JobState.DEAD
    assert routing.why_it_failed(farm, job_id) == (kind, "worker 'gpu-1' cannot run it: its reason")
    assert routing.step(farm) == 0


def test_a_job_that_every_worker_of_its_pool_refuses_ends_with_the_last_ones_reason(
    farm: Session, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    job_id = enqueue(route=Route(workers=()))
    for one in (worker, other):
        assert routing.step(farm) == 0
        grant = claim(farm, one)
        assert grant is not None
        back(farm, one, grant, "model-drifted")
    assert routing.step(farm) == 1
    assert jobs.find_standing(farm, job_id).state is JobState.DEAD
    found = routing.why_it_failed(farm, job_id)
    assert found is not None
    assert found[0] == "model-drifted"


def test_a_worker_that_dies_in_the_middle_is_waited_for_and_then_the_job_ends_with_the_reason(
    farm: Session, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    job_id = enqueue(route=Route(workers=(worker.worker_id,), only=True))
    grant = claim(farm, worker)
    assert grant is not None
    leases.fail(
        farm,
        worker,
        LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token),
        cause=Cause.CRASH,
        error={"kind": "lease-expired", "message": "silent"},
    )
    silence(farm, worker)
    assert routing.step(farm) == 0
    assert claim(farm, other) is None
    farm.execute(text("update route set away_since = clock_timestamp() - make_interval(secs => :s)"), {"s": 1e4})
    assert routing.step(farm) == 1
    assert jobs.find_standing(farm, job_id).state is JobState.DEAD
    found = routing.why_it_failed(farm, job_id)
    assert found is not None
    assert found[0] == "worker-not-there"


def test_a_job_that_nobody_took_in_time_says_so(farm: Session, worker: WorkerIdentity, enqueue: Enqueue) -> None:
    job_id = enqueue(route=Route(workers=(worker.worker_id,)))
    assert routing.why_it_failed(farm, job_id) is None
    farm.execute(text("update ready set expires_at = clock_timestamp() - interval '1 s'"))
    assert tending.expire(farm) == 1
    assert routing.why_it_failed(farm, job_id) == ("expired", "no worker took it within its time to live")


def test_a_worker_that_comes_back_in_time_gets_its_job(farm: Session, worker: WorkerIdentity, enqueue: Enqueue) -> None:
    enqueue(route=Route(workers=(worker.worker_id,), only=True))
    silence(farm, worker)
    routing.step(farm)
    assert farm.execute(text("select away_since is not null from route")).scalar()
    farm.execute(text("update worker set seen_at = clock_timestamp()"))
    routing.step(farm)
    assert not farm.execute(text("select away_since is not null from route")).scalar()
    assert claim(farm, worker) is not None


def test_a_removed_worker_ends_what_only_it_may_run_at_once(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, enqueue: Enqueue
) -> None:
    job_id = enqueue(route=Route(workers=(worker.worker_id,), only=True))
    retiring.remove(farm, worker.worker_id, tenant_id=tenant.id)
    routing.step(farm)
    assert jobs.find_standing(farm, job_id).state is JobState.DEAD


def test_another_studios_worker_is_no_place_for_a_job(
    farm: Session, other_tenant: TenantScope, worker: WorkerIdentity, enqueue: Enqueue
) -> None:
    theirs = add_worker(farm, other_tenant.id, label="theirs")
    with pytest.raises(jobs.NoSuchWorker):
        enqueue(route=Route(workers=(theirs.worker_id,), only=True))
    enqueue(route=Route(workers=(theirs.worker_id, worker.worker_id)))
    assert claim(farm, theirs) is None
    assert claim(farm, worker) is not None


def test_a_pause_and_a_cap_of_the_pool_hold_for_what_is_routed(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity
) -> None:
    own = pools.add_pool(farm, "own", tenant_id=tenant.id)
    mine = add_worker(farm, tenant.id, label="gpu-9", pool="own")
    route = Route(workers=(mine.worker_id,), only=True)
    jobs.enqueue(farm, ask(tenant.id, own, route=route))
    pools.pause(farm, "own", tenant_id=tenant.id)
    assert claim(farm, mine) is None
    free = jobs.enqueue(farm, ask(tenant.id, own, route=dataclasses.replace(route, only=False)))
    assert jobs.find_standing(farm, free.job_id).pool == "own"
    pools.resume(farm, "own", tenant_id=tenant.id)
    assert claim(farm, mine) is not None


def test_what_waits_too_long_for_a_busy_worker_goes_on(
    farm: Session, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue, pool: PoolView
) -> None:
    enqueue(route=Route(workers=(worker.worker_id,)))
    farm.execute(
        text("update route set since = clock_timestamp() - make_interval(secs => :s)"), {"s": BUSY_LIMIT_S + 1}
    )
    assert routing.step(farm) == 1
    assert claim(farm, other) is not None


def test_too_many_jobs_for_one_worker_spill_over(
    farm: Session, worker: WorkerIdentity, other: WorkerIdentity, enqueue: Enqueue
) -> None:
    for _ in range(routing.WAITING_LIMIT + 1):
        enqueue(route=Route(workers=(worker.worker_id, other.worker_id)))
    assert claim(farm, other) is not None


def test_a_cancelled_routed_job_ends_and_its_route_closes(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, enqueue: Enqueue
) -> None:
    job_id = enqueue(route=Route(workers=(worker.worker_id,), only=True))
    jobs.cancel(farm, job_id, tenant_id=tenant.id)
    routing.step(farm)
    assert not farm.execute(text("select count(*) from route where open")).scalar()


def test_between_a_private_pool_and_the_others_the_job_that_waits_longest_is_next(
    farm: Session, worker: WorkerIdentity, enqueue: Enqueue
) -> None:
    before = enqueue()
    routed = enqueue(route=Route(workers=(worker.worker_id,)))
    after = enqueue()
    got: list[Any] = [claim(farm, worker) for _ in range(3)]
    assert [grant.job_id for grant in got if grant] == [before, routed, after]


@given(
    st.builds(
        Situation,
        state=st.sampled_from(JobState),
        place=st.sampled_from(Place),
        refusers=st.integers(0, 3),
        online=st.integers(0, 3),
        only=st.booleans(),
        others=st.booleans(),
        there=st.booleans(),
        removed=st.booleans(),
        paused=st.booleans(),
        refused=st.booleans(),
        kind=st.sampled_from([None, "lease-expired", *sorted(HOPELESS)]),
        waited_s=st.floats(0, 2 * BUSY_LIMIT_S),
        away_s=st.floats(0, 2 * AWAY_LIMIT_S),
    )
)
def test_no_waiting_job_stays_where_nobody_will_ever_take_it(now: Situation) -> None:
    step = next_step(now)
    if now.state in ENDED or now.place is Place.ELSEWHERE:
        assert step is Step.CLOSE
    elif now.state in (JobState.LEASED, JobState.HELD):
        assert step is Step.STAY
    elif now.place is Place.POOL:
        assert (step is Step.GIVE_UP) == (now.refusers > 0 and now.refusers >= now.online)
    elif not now.there and not now.only:
        assert step is Step.ON
    elif not now.there and not now.others and (now.removed or now.away_s > AWAY_LIMIT_S):
        assert step is Step.GIVE_UP
    if now.only and not now.others:
        assert step is not Step.ON, "none but these"
    if step is Step.GIVE_UP:
        assert now.only or now.place is Place.POOL
