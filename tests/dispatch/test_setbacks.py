"""Failures of the farm: they do not count, they wait, and a job that needs more memory goes where there is more."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from memoryd.dispatch import jobs, leases, pools
from memoryd.dispatch.facts import Cause, Grant, LeaseKey, PoolView, WorkerIdentity
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import add_worker

Put = Callable[..., JobId]
OUT_OF_MEMORY = {"kind": "out-of-memory", "message": "CUDA out of memory"}


def claim(farm: Session, worker: WorkerIdentity) -> tuple[Grant, LeaseKey]:
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    return grant, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)


def fail(farm: Session, worker: WorkerIdentity, kind: str = "engine-crash") -> None:
    _, lease = claim(farm, worker)
    leases.fail(farm, worker, lease, cause=Cause.INFRA, error={"kind": kind})


def test_a_job_that_needs_more_memory_goes_to_the_bigger_pool_uncounted(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    bigger = pools.add_pool(farm, "gpu80", tenant_id=tenant.id)
    big = add_worker(farm, tenant.id, "big", pool="gpu80")
    job_id = enqueue(bigger_pools=(bigger.id,))
    _, lease = claim(farm, worker)
    leases.fail(farm, worker, lease, cause=Cause.INFRA, error=OUT_OF_MEMORY, move=True)
    standing = jobs.find_standing(farm, job_id)
    assert (standing.state, standing.pool, standing.attempt) == (JobState.READY, "gpu80", 0)
    assert leases.claim(farm, worker, loaded=()) is None
    grant, lease = claim(farm, big)
    assert (grant.job_id, grant.attempt) == (job_id, 1)
    # There is nothing bigger: now it counts.
    leases.fail(farm, big, lease, cause=Cause.INFRA, error=OUT_OF_MEMORY, move=True)
    standing = jobs.find_standing(farm, job_id)
    assert (standing.state, standing.attempt) == (JobState.DELAYED, 1)
    assert [failure["error"] for failure in standing.failures] == [OUT_OF_MEMORY, OUT_OF_MEMORY]
    assert farm.execute(text("select count(*) from setback")).scalar_one() == 0


def test_a_worker_whose_runs_fail_waits_longer_each_time(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    for _ in range(3):
        enqueue()
    fail(farm, worker)
    fail(farm, worker)
    assert leases.claim(farm, worker, loaded=()) is None
    other = add_worker(farm, tenant.id, "gpu-2")
    assert leases.claim(farm, other, loaded=()) is not None


def test_a_pool_backs_off_where_several_workers_meet_the_same_and_a_success_ends_it(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    workers = [worker, *(add_worker(farm, tenant.id, f"gpu-{n}") for n in (2, 3))]
    for _ in range(8):
        enqueue()
    _, running = claim(farm, workers[2])
    for one in (workers[0], workers[1], workers[0], workers[1]):
        farm.execute(text("update setback set until = clock_timestamp()"))
        fail(farm, one)
    assert pools.find_pool(farm, "default", tenant_id=tenant.id).backs_off_until is not None
    newcomer = add_worker(farm, tenant.id, "gpu-4")
    assert leases.claim(farm, newcomer, loaded=()) is None
    leases.complete(farm, workers[2], running)
    assert pools.find_pool(farm, "default", tenant_id=tenant.id).backs_off_until is None
    assert leases.claim(farm, newcomer, loaded=()) is not None


def test_a_job_that_is_given_back_says_nothing_about_the_next(
    farm: Session, worker: WorkerIdentity, enqueue: Put
) -> None:
    for _ in range(3):
        enqueue()
    for kind in ("released", "worker-stopped", "foreign-interrupt"):
        _, lease = claim(farm, worker)
        leases.release(farm, worker, lease, reason="drain", kind=kind)
    assert farm.execute(text("select count(*) from setback")).scalar_one() == 0


def test_a_job_that_avoids_a_worker_is_taken_by_it_where_no_other_would(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, enqueue: Put
) -> None:
    job_id = enqueue()
    _, lease = claim(farm, worker)
    leases.release(farm, worker, lease, reason="x")
    # Another that is online, and serves another tenant only, is no other.
    stranger = add_worker(farm, other_tenant.id, "theirs")
    assert leases.claim(farm, stranger, loaded=()) is None
    assert claim(farm, worker)[0].job_id == job_id


def test_what_each_try_cost_is_written_down(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    enqueue(model_set="sdxl")
    fail(farm, worker, kind="engine-crash")
    farm.execute(text("update delayed set run_at = clock_timestamp()"))
    from memoryd.dispatch import tending

    tending.promote(farm)
    _, lease = claim(farm, worker)
    leases.complete(farm, worker, lease)
    rows = farm.execute(text("select outcome, kind, model_set, waited_ms >= 0 from run_figure order by fence")).all()
    assert [tuple(row) for row in rows] == [("lost", "engine-crash", "sdxl", True), ("succeeded", None, "sdxl", True)]
