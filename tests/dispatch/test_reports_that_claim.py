"""A report that brings the next job: the end as ever, and the job that a claim right after it would have found."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import text

from memoryd.dispatch import caps, holds, jobs, leases, pools, retiring, workers
from memoryd.dispatch.facts import Completion, Grant, LeaseKey, PoolView, Urgency, WorkerIdentity
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import JobId, ProjectId
from tests.dispatch.conftest import add_worker, ask

Put = Callable[..., JobId]


def key(grant: Grant) -> LeaseKey:
    return LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)


def claim(farm: Session, worker: WorkerIdentity) -> Grant:
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    return grant


def report(
    farm: Session, worker: WorkerIdentity, grant: Grant, *loaded: str, cancelled: bool = False
) -> tuple[Completion, Grant | None]:
    assert worker.incarnation is not None
    return leases.complete_and_claim(
        farm, worker, key(grant), incarnation=worker.incarnation, loaded=loaded, cancelled=cancelled
    )


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_job_ends_and_the_next_is_leased(
    farm: Session, worker: WorkerIdentity, enqueue: Put, cancelled: bool
) -> None:
    first, second = enqueue(), enqueue()
    grant = claim(farm, worker)
    answer, brought = report(farm, worker, grant, cancelled=cancelled)
    assert answer is Completion.RECORDED
    assert brought is not None
    assert (brought.job_id, brought.attempt) == (second, 1)
    assert brought.fence > grant.fence
    assert jobs.find_standing(farm, first).state is (JobState.CANCELLED if cancelled else JobState.SUCCEEDED)
    assert report(farm, worker, brought) == (Completion.RECORDED, None)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_a_claim_right_after_would_have_found(
    farm: Session, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView, seed: int
) -> None:
    dice = random.Random(seed)
    worker = add_worker(farm, tenant.id)
    if dice.random() < 0.5:
        farm.execute(text("update worker set serves = '{}' where id = :id"), {"id": worker.worker_id})
    jobs.enqueue(farm, ask(tenant.id, pool))
    grant = claim(farm, worker)
    for _ in range(dice.randrange(12)):
        jobs.enqueue(
            farm,
            ask(
                dice.choice([tenant, other_tenant]).id,
                pool,
                model_set=dice.choice(["", "a", "b"]),
                cost_ms=dice.randrange(1, 9_000),
                urgency=dice.choice(list(Urgency)),
            ),
        )
    loaded = tuple(name for name in ("a", "b") if dice.random() < 0.5)
    worker = workers.current(farm, worker.worker_id)
    aside = farm.begin_nested()
    leases.complete(farm, worker, key(grant))
    after = leases.claim(farm, worker, loaded=loaded)
    aside.rollback()
    _, brought = report(farm, worker, grant, *loaded)
    assert (brought and brought.job_id) == (after and after.job_id)


def test_a_report_that_is_sent_again_brings_nothing(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    enqueue(), enqueue(), enqueue()
    grant = claim(farm, worker)
    assert report(farm, worker, grant)[1] is not None
    assert report(farm, worker, grant) == (Completion.DUPLICATE, None)


def test_a_late_report_brings_nothing(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    enqueue(), enqueue()
    grant = claim(farm, worker)
    forged = LeaseKey(job_id=grant.job_id, fence=grant.fence, token="forged")
    assert worker.incarnation is not None
    answer = leases.complete_and_claim(farm, worker, forged, incarnation=worker.incarnation, loaded=())
    assert answer == (Completion.STALE, None)


def test_a_start_that_has_not_claimed_yet_is_given_nothing(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    """What earlier starts left over is put away where it asks for itself."""
    enqueue(), enqueue()
    grant = claim(farm, worker)
    fresh = uuid4()
    farm.execute(text("update worker set incarnation = :i where id = :id"), {"i": fresh, "id": worker.worker_id})
    answer = leases.complete_and_claim(farm, worker, key(grant), incarnation=fresh, loaded=())
    assert answer == (Completion.RECORDED, None)


def test_an_earlier_start_is_given_nothing(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    enqueue(), enqueue()
    grant = claim(farm, worker)
    farm.execute(text("update worker set incarnation = :i where id = :id"), {"i": uuid4(), "id": worker.worker_id})
    assert report(farm, worker, grant) == (Completion.RECORDED, None)


def test_a_drained_worker_is_given_nothing(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, enqueue: Put
) -> None:
    enqueue(), enqueue()
    grant = claim(farm, worker)
    retiring.drain(farm, worker.worker_id, tenant_id=tenant.id)
    assert report(farm, worker, grant) == (Completion.RECORDED, None)


def test_under_a_cap_the_worker_asks_for_itself(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, enqueue: Put
) -> None:
    enqueue(), enqueue()
    caps.put(farm, tenant_id=tenant.id, max_running=1)
    grant = claim(farm, worker)
    assert report(farm, worker, grant) == (Completion.RECORDED, None)
    claim(farm, worker)


def test_a_paused_project_and_a_paused_pool_bring_nothing(
    farm: Session, tenant: TenantScope, worker: WorkerIdentity, pool: PoolView, enqueue: Put
) -> None:
    project = ProjectId(uuid4())
    enqueue(), enqueue(project_id=project)
    grant = claim(farm, worker)
    holds.pause_project(farm, project, tenant_id=tenant.id)
    enqueue(project_id=project)
    assert report(farm, worker, grant) == (Completion.RECORDED, None)
    enqueue(), enqueue()
    grant = claim(farm, worker)
    farm.execute(text("update pool set paused_at = clock_timestamp() where id = :id"), {"id": pool.id})
    assert report(farm, worker, grant) == (Completion.RECORDED, None)


def test_what_follows_has_its_place_before_anybody_claims(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    first = enqueue()
    second = enqueue(after_job_id=first)
    assert report(farm, worker, claim(farm, worker)) == (Completion.RECORDED, None)
    assert claim(farm, worker).job_id == second


def test_a_more_urgent_job_comes_first(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    enqueue(), enqueue()
    grant = claim(farm, worker)
    urgent = enqueue(urgency=Urgency.REALTIME)
    farm.execute(
        text("update ready set enqueued_at = enqueued_at - interval '10 s' where job_id = :id"), {"id": urgent}
    )
    _, brought = report(farm, worker, grant)
    assert brought is not None
    assert brought.job_id == urgent


def test_a_job_that_somebody_changes_is_not_waited_for(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        jobs.enqueue(session, ask(tenant.id, pool))
        grant = claim(session, worker)
        held = jobs.enqueue(session, ask(tenant.id, pool)).job_id
    with served.farm_work() as holder:
        holder.execute(text("select 1 from job where id = :id for no key update"), {"id": held})
        with served.farm_work() as session:
            session.execute(text("set local lock_timeout = '100ms'"))
            assert report(session, worker, grant) == (Completion.RECORDED, None)
    with served.farm_work() as session:
        assert claim(session, worker).job_id == held


def test_a_removed_worker_keeps_nothing_that_a_report_brought_meanwhile(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        for _ in range(2):
            jobs.enqueue(session, ask(tenant.id, pool))
        grant = claim(session, worker)

    def remove() -> None:
        with served.farm_work() as session:
            retiring.remove(session, worker.worker_id, tenant_id=tenant.id)

    remover = threading.Thread(target=remove)
    with served.farm_work() as session:
        assert report(session, worker, grant)[1] is not None
        remover.start()
        # It waits for the lease that this report ends.
        waits = text(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        for _ in range(500):
            with served.farm_work() as watcher:
                if watcher.execute(waits).scalar_one():
                    break
    remover.join(10)
    with served.farm_work() as session:
        assert session.execute(text("select count(*) from lease")).scalar_one() == 0
