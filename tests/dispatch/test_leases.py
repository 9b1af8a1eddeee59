"""The right to do a job: INV-4."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from sqlalchemy import text

from memoryd.dispatch import dead_letters, jobs, leases, pools, tending, tries
from memoryd.dispatch.facts import (
    Cancellation,
    Cause,
    Completion,
    Grant,
    LeaseKey,
    PoolView,
    SignOfLife,
    Urgency,
    WorkerIdentity,
)
from memoryd.dispatch.states import JobState
from memoryd.dispatch.wire import LeaseState
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import LONG_AGO, add_worker, ask

Put = Callable[..., JobId]


def key(grant: Grant) -> LeaseKey:
    return LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)


def claim(farm: Session, worker: WorkerIdentity, *loaded: str) -> Grant:
    grant = leases.claim(farm, worker, loaded=loaded)
    assert grant is not None
    return grant


def let_it_run_out(farm: Session, grant: Grant) -> None:
    farm.execute(
        text("update lease set expires_at = clock_timestamp() - interval '1 s' where job_id = :id"),
        {"id": grant.job_id},
    )


def state(farm: Session, job_id: JobId) -> JobState:
    return jobs.find_standing(farm, job_id).state


def test_a_job_is_claimed_once_and_recorded_once(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    job_id = enqueue()
    grant = claim(farm, worker)
    assert grant.job_id == job_id
    assert grant.attempt == 1
    assert leases.claim(farm, worker, loaded=()) is None
    assert leases.complete(farm, worker, key(grant)) is Completion.RECORDED
    assert state(farm, job_id) is JobState.SUCCEEDED
    assert leases.complete(farm, worker, key(grant)) is Completion.DUPLICATE


def test_a_late_worker_is_refused(farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put) -> None:
    job_id = enqueue()
    zombie = claim(farm, worker)
    let_it_run_out(farm, zombie)
    assert tending.reap(farm, calm_since=LONG_AGO) == 1
    assert state(farm, job_id) is JobState.DELAYED
    farm.execute(text("update delayed set run_at = clock_timestamp()"))
    assert tending.promote(farm) == 1
    other = add_worker(farm, tenant.id, "gpu-2")
    second = claim(farm, other)
    assert second.fence > zombie.fence
    assert leases.complete(farm, worker, key(zombie)) is Completion.STALE
    beats = leases.heartbeat(farm, worker, [SignOfLife(lease=key(zombie), progress=0.5, phase="running", node=None)])
    assert beats == {job_id: LeaseState.LOST}
    assert leases.complete(farm, other, key(second)) is Completion.RECORDED
    assert leases.complete(farm, worker, key(zombie)) is Completion.STALE


def test_fence_and_token_and_worker_must_all_be_the_leases(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    enqueue()
    grant = claim(farm, worker)
    right = key(grant)
    other = add_worker(farm, tenant.id, "gpu-2")
    assert leases.complete(farm, worker, dataclasses.replace(right, token="guessed")) is Completion.STALE
    assert leases.complete(farm, worker, dataclasses.replace(right, fence=right.fence + 1)) is Completion.STALE
    assert leases.complete(farm, other, right) is Completion.STALE
    with pytest.raises(leases.LeaseLost):
        leases.tenant_of(farm, worker, dataclasses.replace(right, token=""))
    assert leases.tenant_of(farm, worker, right) == tenant.id
    assert leases.complete(farm, worker, right) is Completion.RECORDED


def test_a_lease_that_ran_out_and_was_not_reaped_is_still_its_holders(
    farm: Session, worker: WorkerIdentity, enqueue: Put
) -> None:
    enqueue()
    grant = claim(farm, worker)
    let_it_run_out(farm, grant)
    assert leases.complete(farm, worker, key(grant)) is Completion.RECORDED


def test_nothing_is_reaped_before_the_queue_was_calm_for_a_whole_visibility(
    farm: Session, worker: WorkerIdentity, enqueue: Put
) -> None:
    enqueue()
    let_it_run_out(farm, claim(farm, worker))
    now = farm.execute(text("select clock_timestamp()")).scalar_one()
    assert tending.reap(farm, calm_since=now) == 0
    assert tending.reap(farm, calm_since=LONG_AGO) == 1


def test_two_counted_failures_end_among_the_dead_letters_with_both_errors(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    job_id = enqueue()
    for message in ("first", "second"):
        farm.execute(text("update delayed set run_at = clock_timestamp()"))
        tending.promote(farm)
        error = {"kind": "execution-error", "message": message}
        assert leases.fail(farm, worker, key(claim(farm, worker)), cause=Cause.JOB, error=error) is Completion.RECORDED
    assert state(farm, job_id) is JobState.DEAD
    (letter,) = dead_letters.list_dead(farm, tenant_id=tenant.id, before=None, limit=10)
    assert letter.reason == "second"
    assert [failure["error"] for failure in letter.failures] == [
        {"kind": "execution-error", "message": "first"},
        {"kind": "execution-error", "message": "second"},
    ]
    assert dead_letters.replay(farm, job_id, tenant_id=tenant.id).ahead == 0
    assert dead_letters.list_dead(farm, tenant_id=tenant.id, before=None, limit=10) == []
    assert claim(farm, worker).attempt == 1


def test_a_failure_that_is_reported_twice_is_a_duplicate(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    enqueue()
    grant = claim(farm, worker)
    for answer in (Completion.RECORDED, Completion.DUPLICATE):
        assert leases.fail(farm, worker, key(grant), cause=Cause.JOB, error={"kind": "x"}) is answer


def test_a_release_is_not_counted_but_not_endless(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    job_id = enqueue()
    for turn in range(tries.INFRA_ATTEMPTS_LIMIT):
        farm.execute(text("update delayed set run_at = clock_timestamp()"))
        assert tending.promote(farm) == int(turn > tries.RELEASES_AT_ONCE)
        grant = claim(farm, worker)
        assert grant.attempt == 1
        leases.release(farm, worker, key(grant), reason="draining")
    assert state(farm, job_id) is JobState.DEAD


def test_the_worker_that_failed_a_job_leaves_the_second_try_to_another(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    other = add_worker(farm, tenant.id, "gpu-2")
    job_id = enqueue()
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    leases.fail(farm, worker, key(grant), cause=Cause.JOB, error={"kind": "x"})
    farm.execute(text("update delayed set run_at = clock_timestamp()"))
    tending.promote(farm)
    assert leases.claim(farm, worker, loaded=()) is None
    assert claim(farm, other).job_id == job_id


def test_a_cancelled_job_that_waits_never_runs(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    job_id = enqueue()
    assert jobs.cancel(farm, job_id, tenant_id=tenant.id) is Cancellation.CANCELLED
    assert leases.claim(farm, worker, loaded=()) is None
    assert jobs.cancel(farm, job_id, tenant_id=tenant.id) is Cancellation.ENDED


def test_a_running_job_hears_of_its_cancellation_with_the_next_heartbeat(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    job_id = enqueue()
    grant = claim(farm, worker)
    assert jobs.cancel(farm, job_id, tenant_id=tenant.id) is Cancellation.REQUESTED
    sign = SignOfLife(lease=key(grant), progress=0.25, phase="running", node="3")
    assert leases.heartbeat(farm, worker, [sign]) == {job_id: LeaseState.CANCEL}
    assert jobs.find_standing(farm, job_id).progress == 0.25
    assert leases.complete(farm, worker, key(grant), cancelled=True) is Completion.RECORDED
    assert state(farm, job_id) is JobState.CANCELLED


def test_another_tenants_job_cannot_be_cancelled_or_seen(
    farm: Session, other_tenant: TenantScope, enqueue: Put
) -> None:
    job_id = enqueue()
    with pytest.raises(jobs.JobNotFound):
        jobs.cancel(farm, job_id, tenant_id=other_tenant.id)
    with pytest.raises(jobs.JobNotFound):
        jobs.find_standing(farm, job_id, tenant_id=other_tenant.id)
    with pytest.raises(dead_letters.NotDead):
        dead_letters.replay(farm, job_id, tenant_id=other_tenant.id)


def test_a_worker_is_never_given_a_job_of_a_tenant_it_does_not_serve(
    farm: Session, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    foreign = add_worker(farm, other_tenant.id, "gpu-9")
    enqueue()
    assert leases.claim(farm, foreign, loaded=()) is None
    theirs = jobs.enqueue(farm, ask(other_tenant.id, pool)).job_id
    assert claim(farm, foreign).job_id == theirs


def test_a_silent_run_is_not_extended_beyond_the_limit_without_progress(
    farm: Session, worker: WorkerIdentity, enqueue: Put
) -> None:
    job_id = enqueue()
    grant = claim(farm, worker)
    sign = SignOfLife(lease=key(grant), progress=0.1, phase="running", node="3")
    leases.heartbeat(farm, worker, [sign])
    farm.execute(text("update lease set progressed_at = clock_timestamp() - interval '2 h'"))
    leases.heartbeat(farm, worker, [sign])
    assert tending.reap(farm, calm_since=LONG_AGO) == 1
    assert state(farm, job_id) is JobState.DELAYED


def test_a_warm_worker_takes_a_job_whose_model_it_has_loaded_but_only_within_the_bonus(
    farm: Session, worker: WorkerIdentity, enqueue: Put
) -> None:
    cold = enqueue(model_set="checkpoints/a", cost_ms=1_000)
    warm = enqueue(model_set="checkpoints/b", cost_ms=1_000)
    enqueue(model_set="checkpoints/a", cost_ms=60_000)
    far = enqueue(model_set="checkpoints/b", cost_ms=1_000)
    assert claim(farm, worker, "checkpoints/b").job_id == warm
    # 62 s of others' work lies before it, the bonus is 2.5 loading times of 8 s.
    assert claim(farm, worker, "checkpoints/b").job_id == cold
    assert claim(farm, worker, "checkpoints/b").job_id != far


def test_a_tenant_with_few_jobs_does_not_wait_behind_one_with_many(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView
) -> None:
    for _ in range(20):
        jobs.enqueue(farm, ask(tenant.id, pool))
    theirs = {jobs.enqueue(farm, ask(other_tenant.id, pool)).job_id for _ in range(3)}
    everybody = dataclasses.replace(worker, serves=())
    first = [claim(farm, everybody).job_id for _ in range(7)]
    assert theirs <= set(first)


def test_batch_work_gives_way_to_realtime_and_not_for_ever(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    batch = enqueue(urgency=Urgency.BATCH)
    urgent = enqueue(urgency=Urgency.REALTIME)
    assert claim(farm, worker).job_id == urgent
    farm.execute(text("update ready set enqueued_at = enqueued_at - interval '16 min'"))
    enqueue(urgency=Urgency.REALTIME)
    assert claim(farm, worker).job_id == batch


def test_jobs_enqueued_after_the_watermark_moved_are_found(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    from memoryd.dispatch.queries import upkeep

    for _ in range(3):
        enqueue()
    for _ in range(3):
        leases.complete(farm, worker, key(claim(farm, worker)))
    for class_id in pools.CLASS_IDS.values():
        upkeep.advance_mark(farm, pool_id=pool.id, class_id=class_id)
    assert tending.rescue_strays(farm) == 0
    late = jobs.enqueue(farm, ask(other_tenant.id, pool, cost_ms=1)).job_id
    assert claim(farm, dataclasses.replace(worker, serves=())).job_id == late


def test_a_job_that_nobody_started_in_time_expires(farm: Session, worker: WorkerIdentity, enqueue: Put) -> None:
    job_id = enqueue(expires_in_s=-1)
    assert leases.claim(farm, worker, loaded=()) is None
    assert tending.expire(farm) == 1
    assert state(farm, job_id) is JobState.EXPIRED
