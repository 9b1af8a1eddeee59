"""How many jobs of a scope run at once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import text

from memoryd.dispatch import caps, jobs, leases, pools, tending
from memoryd.dispatch.facts import Grant, LeaseKey, PoolView, WorkerIdentity
from memoryd.dispatch.states import HeldBy, JobState
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import CapId, JobId, PersonId, ProjectId, new_id
from tests.dispatch.conftest import add_worker, ask

Put = Callable[..., JobId]
PROJECT, OTHER_PROJECT = ProjectId(new_id()), ProjectId(new_id())
PERSON, OTHER_PERSON = PersonId(new_id()), PersonId(new_id())


def claim_all(farm: Session, worker: WorkerIdentity) -> list[Grant]:
    """Claim until there is nothing more."""
    grants = []
    while (grant := leases.claim(farm, worker, loaded=())) is not None:
        grants.append(grant)
    return grants


def complete(farm: Session, worker: WorkerIdentity, grant: Grant) -> None:
    leases.complete(farm, worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))


def test_no_more_of_a_tenant_run_at_once_than_its_cap_and_then_the_next_in_order(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    caps.put(farm, tenant_id=tenant.id, max_running=2)
    mine = [enqueue() for _ in range(5)]
    first = claim_all(farm, worker)
    assert [grant.job_id for grant in first] == mine[:2]
    held = jobs.find_standing(farm, mine[2])
    assert (held.state, held.held_by) == (JobState.HELD, HeldBy.CAP)
    complete(farm, worker, first[0])
    second = claim_all(farm, worker)
    assert [grant.job_id for grant in second] == [mine[2]]
    complete(farm, worker, first[1])
    complete(farm, worker, second[0])
    assert [grant.job_id for grant in claim_all(farm, worker)] == mine[3:]


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ({"project_id": PROJECT}, {"project_id": PROJECT}, {"project_id": OTHER_PROJECT}),
        ({"person_id": PERSON}, {"person_id": PERSON, "project_id": PROJECT}, {"person_id": OTHER_PERSON}),
        (
            {"project_id": PROJECT, "person_id": PERSON},
            {"project_id": PROJECT, "person_id": PERSON},
            {"project_id": PROJECT, "person_id": OTHER_PERSON},
        ),
    ],
)
def test_a_cap_counts_its_scope_and_no_other(
    farm: Session,
    worker: WorkerIdentity,
    tenant: TenantScope,
    enqueue: Put,
    scope: dict[str, object],
    inside: dict[str, object],
    outside: dict[str, object],
) -> None:
    caps.put(farm, tenant_id=tenant.id, max_running=1, **scope)  # type: ignore[arg-type]
    for _ in range(3):
        enqueue(**inside)
        enqueue(**outside)
    assert len(claim_all(farm, worker)) == 4


def test_a_cap_of_a_pool_counts_that_pool_only(farm: Session, worker: WorkerIdentity, tenant: TenantScope) -> None:
    pools.add_pool(farm, "gpu80", tenant_id=tenant.id)
    big = add_worker(farm, tenant.id, "big", pool="gpu80")
    both = dataclasses.replace(big, pool_ids=(*big.pool_ids, *worker.pool_ids))
    caps.put(farm, tenant_id=tenant.id, max_running=1, pool="gpu80")
    for name in ("gpu80", "default"):
        pool = pools.find_pool(farm, name, tenant_id=tenant.id)
        for _ in range(2):
            jobs.enqueue(farm, ask(tenant.id, pool))
    assert len(claim_all(farm, both)) == 3


def test_a_cap_for_everybody_closes_the_pool_when_it_is_full(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    farm.execute(
        text("insert into cap (id, pool_id, max_running) values (:id, :pool_id, 2)"),
        {"id": uuid4(), "pool_id": pool.id},
    )
    mine = [enqueue() for _ in range(3)]
    first = claim_all(farm, worker)
    assert len(first) == 2
    assert jobs.find_standing(farm, mine[2]).state is JobState.READY
    assert [cap.running for cap in caps.list_caps(farm, tenant_id=tenant.id)] == [2]
    complete(farm, worker, first[0])
    assert len(claim_all(farm, worker)) == 1


def test_what_a_cap_holds_back_goes_on_when_the_cap_is_raised_or_gone(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    cap_id = caps.put(farm, tenant_id=tenant.id, max_running=0)
    for _ in range(3):
        enqueue()
    assert claim_all(farm, worker) == []
    assert caps.put(farm, tenant_id=tenant.id, max_running=1) == cap_id
    from memoryd.dispatch import holds

    holds.step(farm)
    assert len(claim_all(farm, worker)) == 1
    caps.remove(farm, cap_id, tenant_id=tenant.id)
    holds.step(farm)
    assert len(claim_all(farm, worker)) == 2


def test_one_tenants_cap_is_not_anothers(
    farm: Session, tenant: TenantScope, other_tenant: TenantScope, enqueue: Put
) -> None:
    cap_id = caps.put(farm, tenant_id=tenant.id, max_running=3)
    assert caps.list_caps(farm, tenant_id=other_tenant.id) == []
    with pytest.raises(caps.CapNotFound):
        caps.remove(farm, cap_id, tenant_id=other_tenant.id)
    with pytest.raises(caps.CapNotFound):
        caps.remove(farm, CapId(new_id()), tenant_id=tenant.id)
    with pytest.raises(caps.BadCap):
        caps.put(farm, tenant_id=tenant.id, max_running=-1)


def test_a_flood_at_its_cap_is_moved_aside_once_and_not_looked_at_again(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView
) -> None:
    everybody = dataclasses.replace(worker, serves=())
    caps.put(farm, tenant_id=tenant.id, max_running=1)
    jobs.enqueue_many(farm, [ask(tenant.id, pool) for _ in range(500)])
    jobs.enqueue_many(farm, [ask(other_tenant.id, pool) for _ in range(50)])
    grants = [leases.claim(farm, everybody, loaded=()) for _ in range(51)]
    assert all(grant is not None for grant in grants)
    aside = farm.execute(text("select count(*) from held where reason = 'cap'")).scalar_one()
    assert aside % caps.PARK_LIMIT in (0, 1)
    assert 0 < aside <= 200


def test_jobs_that_a_cap_holds_back_share_fairly_when_there_is_room(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView
) -> None:
    everybody = dataclasses.replace(worker, serves=())
    caps.put(farm, tenant_id=tenant.id, max_running=3)
    jobs.enqueue_many(farm, [ask(tenant.id, pool, cost_ms=1000) for _ in range(60)])
    jobs.enqueue_many(farm, [ask(other_tenant.id, pool, cost_ms=1000) for _ in range(60)])
    # Four GPUs: the capped tenant may have three of them, and its fair part are two.
    running = [leases.claim(farm, everybody, loaded=()) for _ in range(4)]
    capped = 0
    for _ in range(60):
        grant = running.pop(0)
        assert grant is not None
        farm.execute(
            text("update lease set leased_at = clock_timestamp() - interval '1 s' where job_id = :id"),
            {"id": grant.job_id},
        )
        capped += grant.tenant_id == tenant.id
        complete(farm, everybody, grant)
        running.append(leases.claim(farm, everybody, loaded=()))
    assert 26 <= capped <= 34


def test_claims_at_the_same_moment_do_not_exceed_a_cap(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        workers = [add_worker(session, tenant.id, f"gpu-{n}") for n in range(6)]
        caps.put(session, tenant_id=tenant.id, max_running=2)
        jobs.enqueue_many(session, [ask(tenant.id, pool) for _ in range(20)])
    gate, most, faults = threading.Barrier(6), list[int](), list[BaseException]()

    def work(worker: WorkerIdentity) -> None:
        gate.wait()
        try:
            for _ in range(15):
                with served.farm_work() as session:
                    grant = leases.claim(session, worker, loaded=())
                with served.farm_work() as session:
                    most.append(session.execute(text("select count(*) from lease")).scalar_one())
                    if grant is not None:
                        complete(session, worker, grant)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert max(most) == 2
    tending.tend_once(served)
    with served.farm_work() as session:
        left = session.execute(text("select count(*) from job where state in ('ready', 'held')")).scalar_one()
        done = session.execute(text("select count(*) from result")).scalar_one()
    assert left + done == 20
    assert done > 2
