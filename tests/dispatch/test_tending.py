"""The leader's rounds, a server's start, and wake-ups."""

from __future__ import annotations

import asyncio
import threading
from uuid import uuid4

from sqlalchemy import text

from memoryd.dispatch import jobs, leases, pools, tending, waking
from memoryd.dispatch.facts import Completion, LeaseKey
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Database, TenantScope
from tests.dispatch.conftest import add_worker, ask


def test_one_process_leads_and_the_next_takes_over_when_it_resigns(database: Database) -> None:
    first, second = uuid4(), uuid4()
    assert tending.tend_once(database, holder=first).leading
    assert not tending.tend_once(database, holder=second).leading
    assert tending.tend_once(database, holder=first).leading
    tending.resign(database, holder=first)
    assert tending.tend_once(database, holder=second).leading


def test_the_first_round_of_a_new_database_makes_the_defaults(database: Database, tenant: TenantScope) -> None:
    tending.tend_once(database)
    with database.farm_work() as session:
        assert [pool.name for pool in pools.list_pools(session, tenant_id=tenant.id)] == ["default"]


def test_a_restored_copy_ends_all_leases_and_no_old_fence_counts(served: Database, tenant: TenantScope) -> None:
    assert not tending.begin(served)
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        job_id = jobs.enqueue(session, ask(tenant.id, pool)).job_id
        grant = leases.claim(session, worker, loaded=())
        assert grant is not None
    assert not tending.begin(served)
    with served.farm_work() as session:
        session.execute(text("update restore_epoch set system_identifier = 1"))
    assert tending.begin(served)
    assert not tending.begin(served)
    with served.farm_work() as session:
        standing = jobs.find_standing(session, job_id)
        assert (standing.state, standing.attempt) == (JobState.READY, 0)
        lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
        assert leases.complete(session, worker, lease) is Completion.STALE


def test_a_fence_that_is_handed_out_again_is_refused_by_its_token(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        jobs.enqueue(session, ask(tenant.id, pool))
        before = leases.claim(session, worker, loaded=())
        assert before is not None
        leases.release(
            session, worker, LeaseKey(job_id=before.job_id, fence=before.fence, token=before.token), reason="x"
        )
        again = leases.claim(session, worker, loaded=())
        assert again is not None
        # A restored sequence hands the later fence out to a lease that the earlier holder knows nothing of.
        forged = LeaseKey(job_id=again.job_id, fence=again.fence, token=before.token)
        assert leases.complete(session, worker, forged) is Completion.STALE


def test_a_waiter_is_woken_by_a_commit_and_not_by_a_rollback(served: Database, tenant: TenantScope) -> None:
    waker = waking.waker_of(served)
    assert waking.waker_of(served) is waker
    woken: list[str] = []

    def enqueue(*, fail: bool) -> None:
        try:
            with served.farm_work() as session:
                pool = pools.find_pool(session, "default", tenant_id=tenant.id)
                jobs.enqueue(session, ask(tenant.id, pool))
                if fail:
                    raise KeyError
        except KeyError:
            pass

    waker._waiters.add(lambda: woken.append("waiter"))
    enqueue(fail=True)
    assert woken == []
    enqueue(fail=False)
    assert woken == ["waiter"]


def test_a_long_poll_ends_as_soon_as_it_is_woken(served: Database) -> None:
    waker = waking.waker_of(served)

    async def poll() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        loop.call_later(0.01, waker.wake_here)
        await waker.wait(0.9)
        return loop.time() - started

    assert asyncio.run(poll()) < 0.9
    assert waker._waiters == set()


def test_other_processes_hear_of_work(served: Database) -> None:
    here, there = waking.Waker(), waking.Waker()
    heard = threading.Event()
    here.start(served)
    there.start(served)
    try:
        for _ in range(50):
            with there._lock:
                there._waiters.add(heard.set)
            here.wake()
            if heard.wait(0.1):
                break
        assert heard.is_set()
    finally:
        here.stop()
        there.stop()
