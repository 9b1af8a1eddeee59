"""Groups of jobs, and jobs that follow others."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text

from memoryd.dispatch import groups, holds, jobs, leases, pools, tending
from memoryd.dispatch.facts import Cause, FollowUp, LeaseKey, PoolView, WorkerIdentity
from memoryd.dispatch.states import HeldBy, JobState
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import GroupId, JobId, new_id
from tests.dispatch.conftest import add_worker, ask

Put = Callable[..., JobId]


def state(farm: Session, job_id: JobId) -> JobState:
    return jobs.find_standing(farm, job_id).state


def work_off(farm: Session, worker: WorkerIdentity, *, fail: frozenset[JobId] = frozenset(), limit: int = 100) -> int:
    """Do what there is to do; return how many runs that were."""
    for done in range(limit):
        farm.execute(text("update delayed set run_at = clock_timestamp()"))
        tending.promote(farm)
        grant = leases.claim(farm, worker, loaded=())
        if grant is None:
            return done
        lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
        if grant.job_id in fail:
            leases.fail(farm, worker, lease, cause=Cause.JOB, error={"kind": "x", "message": "broken"})
        else:
            leases.complete(farm, worker, lease)
    raise AssertionError("no end")


@pytest.fixture
def group_id(farm: Session, tenant: TenantScope) -> GroupId:
    return groups.make(farm, tenant_id=tenant.id, name="a grid", total=4)


def test_a_group_tells_one_progress(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put, group_id: GroupId
) -> None:
    ids = [enqueue(group_id=group_id, cost_ms=1000) for _ in range(4)]
    before = groups.progress(farm, group_id, tenant_id=tenant.id)
    assert (before.counts, before.done, before.missing, before.ends_in_s) == ({JobState.READY: 4}, 0.0, 0, 4.0)
    farm.execute(text("update job set max_attempts = 1 where id = :id"), {"id": ids[3]})
    assert work_off(farm, worker, fail=frozenset({ids[3]})) == 4
    after = groups.progress(farm, group_id, tenant_id=tenant.id)
    assert (after.counts, after.done, after.missing, after.ends_in_s) == (
        {JobState.SUCCEEDED: 3, JobState.DEAD: 1},
        0.75,
        1,
        None,
    )


def test_what_is_missing_of_a_group_runs_again_and_nothing_else(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put, group_id: GroupId
) -> None:
    ids = [enqueue(group_id=group_id, max_attempts=1) for _ in range(4)]
    jobs.cancel(farm, ids[0], tenant_id=tenant.id)
    farm.execute(text("update ready set expires_at = '2000-01-01' where job_id = :id"), {"id": ids[1]})
    tending.expire(farm)
    work_off(farm, worker, fail=frozenset({ids[2]}))
    assert [state(farm, job_id) for job_id in ids] == [
        JobState.CANCELLED,
        JobState.EXPIRED,
        JobState.DEAD,
        JobState.SUCCEEDED,
    ]
    assert groups.retry_missing(farm, group_id, tenant_id=tenant.id) == 3
    assert groups.retry_missing(farm, group_id, tenant_id=tenant.id) == 0
    assert work_off(farm, worker) == 3
    assert groups.progress(farm, group_id, tenant_id=tenant.id).counts == {JobState.SUCCEEDED: 4}


def test_a_job_that_was_cancelled_while_it_ran_may_run_again_and_leave_a_result(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put, group_id: GroupId
) -> None:
    job_id = enqueue(group_id=group_id)
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    jobs.cancel(farm, job_id, tenant_id=tenant.id)
    lease = LeaseKey(job_id=job_id, fence=grant.fence, token=grant.token)
    leases.complete(farm, worker, lease, cancelled=True)
    assert groups.retry_missing(farm, group_id, tenant_id=tenant.id) == 1
    work_off(farm, worker)
    assert state(farm, job_id) is JobState.SUCCEEDED


def test_a_group_is_cancelled_in_every_state(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put, group_id: GroupId
) -> None:
    running = enqueue(group_id=group_id)
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    waiting = enqueue(group_id=group_id)
    later = enqueue(group_id=group_id, starts_after=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1))
    after = enqueue(group_id=group_id, after_job_id=waiting)
    assert groups.cancel(farm, group_id, tenant_id=tenant.id) == 3
    assert groups.cancel(farm, group_id, tenant_id=tenant.id) == 0
    assert {state(farm, job_id) for job_id in (waiting, later, after)} == {JobState.CANCELLED}
    assert jobs.find_standing(farm, running).cancel_requested
    with pytest.raises(jobs.GroupCancelled):
        enqueue(group_id=group_id)
    with pytest.raises(jobs.GroupCancelled):
        groups.pause(farm, group_id, tenant_id=tenant.id)


def test_another_tenants_group_is_not_found(
    farm: Session, other_tenant: TenantScope, enqueue: Put, group_id: GroupId
) -> None:
    enqueue(group_id=group_id)
    for act in (groups.find, groups.progress, groups.pause, groups.resume, groups.cancel, groups.retry_missing):
        with pytest.raises(groups.GroupNotFound):
            act(farm, group_id, tenant_id=other_tenant.id)
    assert groups.list_groups(farm, tenant_id=other_tenant.id, projects=None) == []


def test_a_thousand_items_are_one_call(farm: Session, tenant: TenantScope, pool: PoolView, group_id: GroupId) -> None:
    asked = [ask(tenant.id, pool, group_id=group_id, cost_ms=1000) for _ in range(1000)]
    made = jobs.enqueue_many(farm, asked)
    assert [one.job_id for one in made] == [one.job_id for one in asked]
    assert sorted(one.vtag for one in made) == [one.vtag for one in made]
    with pytest.raises(jobs.BadJob):
        jobs.enqueue_many(farm, [*asked, ask(tenant.id, pool)])


def test_a_key_that_is_known_is_answered_among_many(farm: Session, tenant: TenantScope, pool: PoolView) -> None:
    asked = [ask(tenant.id, pool, key=f"k{n}", body_sha256=b"b" * 32) for n in range(3)]
    jobs.enqueue(farm, asked[1])
    made = jobs.enqueue_many(farm, asked)
    assert [one.known for one in made] == [False, True, False]
    assert farm.execute(text("select count(*) from job")).scalar_one() == 3


# --- A, then B


def test_a_job_waits_for_the_success_of_another(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    first = enqueue()
    second = enqueue(after_job_id=first)
    third = enqueue(after_job_id=second)
    standing = jobs.find_standing(farm, second)
    assert (standing.state, standing.held_by, standing.after_job_id) == (JobState.HELD, HeldBy.AFTER, first)
    order = []
    for _ in range(3):
        grant = leases.claim(farm, worker, loaded=())
        assert grant is not None
        assert leases.claim(farm, worker, loaded=()) is None
        order.append(grant.job_id)
        leases.complete(farm, worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))
    assert order == [first, second, third]


@pytest.mark.parametrize("way", ["dead", "cancelled", "expired"])
def test_what_waits_in_vain_is_cancelled_down_the_chain_and_says_why(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put, way: str
) -> None:
    first = enqueue(max_attempts=1)
    follow_up = FollowUp(kind="k", recipe="r", subject=new_id())
    second = enqueue(after_job_id=first)
    third = enqueue(after_job_id=second, follow_up=follow_up)
    match way:
        case "dead":
            work_off(farm, worker, fail=frozenset({first}))
        case "cancelled":
            jobs.cancel(farm, first, tenant_id=tenant.id)
        case _:
            farm.execute(text("update ready set expires_at = '2000-01-01'"))
            tending.expire(farm)
    assert state(farm, first).value == way
    for job_id, before, ended in ((second, first, way), (third, second, "cancelled")):
        standing = jobs.find_standing(farm, job_id)
        assert standing.state is JobState.CANCELLED
        error = standing.failures[-1]["error"]
        assert isinstance(error, dict)
        assert error["kind"] == f"predecessor-{ended}"
        assert str(before) in str(error["message"])
    assert farm.execute(text("select count(*) from chore where kind = 'k'")).scalar_one() == 1


def test_whoever_follows_a_success_need_not_wait_and_a_failure_is_refused(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    good, bad = enqueue(), enqueue()
    jobs.cancel(farm, bad, tenant_id=tenant.id)
    work_off(farm, worker)
    assert state(farm, enqueue(after_job_id=good)) is JobState.READY
    with pytest.raises(jobs.PredecessorEnded):
        enqueue(after_job_id=bad)
    with pytest.raises(jobs.JobNotFound):
        enqueue(after_job_id=JobId(new_id()))
    with pytest.raises(jobs.JobNotFound):
        jobs.enqueue(farm, ask(other_tenant.id, pool, after_job_id=good))


def test_items_of_one_call_may_follow_each_other(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, pool: PoolView
) -> None:
    first = ask(tenant.id, pool)
    second = ask(tenant.id, pool, after_job_id=first.job_id)
    made = jobs.enqueue_many(farm, [first, second])
    assert [one.state for one in made] == [JobState.READY, JobState.HELD]
    assert work_off(farm, worker) == 2


def test_a_job_starts_after_the_time_it_was_asked_for(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=200)
    job_id = enqueue(starts_after=soon)
    standing = jobs.find_standing(farm, job_id)
    assert standing.state is JobState.DELAYED
    assert standing.expires_at is not None
    assert standing.expires_at > soon
    assert tending.promote(farm) == 0
    farm.execute(text("update delayed set run_at = clock_timestamp()"))
    farm.execute(text("update job set starts_after = clock_timestamp()"))
    assert tending.promote(farm) == 1
    assert leases.claim(farm, worker, loaded=()) is not None
    with pytest.raises(jobs.BadJob):
        enqueue(starts_after=datetime.datetime(2030, 1, 1))  # noqa: DTZ001


# --- two at once


def test_a_job_that_ends_while_another_begins_to_follow_it_lets_it_go(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        first = jobs.enqueue(session, ask(tenant.id, pool)).job_id
        grant = leases.claim(session, worker, loaded=())
        assert grant is not None
    lease = LeaseKey(job_id=first, fence=grant.fence, token=grant.token)

    def complete() -> None:
        with served.farm_work() as session:
            leases.complete(session, worker, lease)

    ending = threading.Thread(target=complete)
    with served.farm_work() as session:
        second = jobs.enqueue(session, ask(tenant.id, pool, after_job_id=first)).job_id
        ending.start()
        ending.join(0.1)
        assert ending.is_alive()
    ending.join()
    with served.farm_work() as session:
        assert jobs.find_standing(session, second).state is JobState.READY


def test_a_pause_waits_for_whoever_is_just_entering_its_group(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        group_id = groups.make(session, tenant_id=tenant.id, name="g", total=1)

    def pause() -> None:
        with served.farm_work() as session:
            groups.pause(session, group_id, tenant_id=tenant.id)

    pausing = threading.Thread(target=pause)
    with served.farm_work() as session:
        job_id = jobs.enqueue(session, ask(tenant.id, pool, group_id=group_id)).job_id
        pausing.start()
        pausing.join(0.1)
        assert pausing.is_alive()
    pausing.join()
    with served.farm_work() as session:
        assert jobs.find_standing(session, job_id).state is JobState.HELD


def test_a_stranded_follower_is_rescued(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    first, lost = enqueue(), enqueue()
    second, third = enqueue(after_job_id=first), enqueue(after_job_id=lost)
    farm.execute(text("update job set followed = false"))
    farm.execute(text("update job set state = 'dead' where id = :id"), {"id": lost})
    farm.execute(text("delete from ready where job_id = :id"), {"id": lost})
    work_off(farm, worker)
    assert holds.rescue_stranded(farm) == 2
    assert (state(farm, second), state(farm, third)) == (JobState.READY, JobState.CANCELLED)
