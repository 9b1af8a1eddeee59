"""Workers that ask at the same moment are served by one transaction, as if one after the other had asked."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from sqlalchemy import text

from memoryd.dispatch import caps, jobs, leases, pools
from memoryd.dispatch.facts import Completion, Grant, LeaseKey, PoolView, Urgency, WorkerIdentity
from memoryd.dispatch.leases import Alone
from memoryd.dispatch.pools import PoolEdit
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import add_worker, ask

Put = Callable[..., JobId]
Asks = list[tuple[WorkerIdentity, tuple[str, ...]]]


def granted(found: list[Grant | Alone | None]) -> list[Grant]:
    assert all(isinstance(one, Grant) for one in found), found
    return [one for one in found if isinstance(one, Grant)]


@pytest.mark.parametrize("seed", range(12))
def test_it_is_as_if_one_after_the_other_had_asked(
    farm: Session, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView, seed: int
) -> None:
    dice = random.Random(seed)
    small = pools.add_pool(farm, "small", tenant_id=tenant.id, edit=PoolEdit(vram_mb=8_000))
    asks: Asks = []
    for number in range(6):
        of = dice.choice([tenant, other_tenant])
        where = dice.choice(["default", "small"]) if of is tenant else "default"
        worker = add_worker(farm, of.id, f"gpu-{number}", pool=where)
        asks.append((worker, tuple(f"m{n}" for n in range(4) if dice.random() < 0.4)))
    for _ in range(dice.randrange(3, 25)):
        of = dice.choice([tenant, other_tenant])
        into = dice.choice([pool, small]) if of is tenant else pool
        jobs.enqueue(
            farm,
            ask(
                of.id,
                into,
                model_set=dice.choice(["", "m0", "m1", "m2", "m3"]),
                cost_ms=dice.randrange(1, 9_000),
                urgency=dice.choice(list(Urgency)),
            ),
        )
    aside = farm.begin_nested()
    one_by_one = [leases.claim(farm, worker, loaded=loaded) for worker, loaded in asks]
    aside.rollback()
    together = leases.claim_each(farm, asks)
    assert [one and one.job_id for one in one_by_one] == [
        one.job_id if isinstance(one, Grant) else one for one in together
    ]


def test_each_lease_is_its_own(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    workers = [add_worker(farm, tenant.id, f"gpu-{number}") for number in range(3)]
    asked_for = [enqueue() for _ in range(2)]
    *grants, nothing = leases.claim_each(farm, [(worker, ()) for worker in workers])
    one, two = granted(grants)
    assert nothing is None
    assert [one.job_id, two.job_id] == asked_for
    assert one.fence < two.fence
    assert one.token != two.token
    swapped = LeaseKey(job_id=two.job_id, fence=two.fence, token=two.token)
    assert leases.complete(farm, workers[0], swapped) is Completion.STALE
    assert leases.complete(farm, workers[1], swapped) is Completion.RECORDED


def test_who_is_not_there_any_more_gets_nothing(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    workers = [add_worker(farm, tenant.id, f"gpu-{number}") for number in range(2)]
    enqueue()
    farm.execute(text("update worker set state = 'draining' where id = :id"), {"id": workers[0].worker_id})
    first, second = leases.claim_each(farm, [(worker, ()) for worker in workers])
    assert first is None
    assert isinstance(second, Grant)


def test_what_a_cap_may_hold_back_is_asked_for_alone(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    workers = [add_worker(farm, tenant.id, f"gpu-{number}") for number in range(2)]
    enqueue(), enqueue()
    caps.put(farm, tenant_id=tenant.id, max_running=1)
    assert leases.claim_each(farm, [(worker, ()) for worker in workers]) == [Alone.ASK_ALONE] * 2
    assert leases.claim(farm, workers[0], loaded=()) is not None
    assert leases.claim(farm, workers[1], loaded=()) is None


def test_what_was_cancelled_in_hand_is_asked_for_alone(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    workers = [add_worker(farm, tenant.id, f"gpu-{number}") for number in range(2)]
    job_id, _ = enqueue(), enqueue()
    farm.execute(text("update job set cancel_requested = true where id = :id"), {"id": job_id})
    assert leases.claim_each(farm, [(worker, ()) for worker in workers])[0] is Alone.ASK_ALONE
    assert leases.claim(farm, workers[0], loaded=()) is not None


def test_a_job_that_somebody_changes_is_not_waited_for(served: Database, tenant: TenantScope) -> None:
    """Whoever holds one job and waits for another could be waited for by who holds that."""
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        held = jobs.enqueue(session, ask(tenant.id, pool)).job_id
    with served.farm_work() as holder:
        holder.execute(text("select 1 from job where id = :id for no key update"), {"id": held})
        with served.farm_work() as session:
            session.execute(text("set local lock_timeout = '100ms'"))
            assert leases.claim_each(session, [(worker, ()), (worker, ())]) == [Alone.ASK_ALONE] * 2
    with served.farm_work() as session:
        assert leases.claim(session, worker, loaded=()) is not None
