"""Pauses of pools, projects and groups; what waits meanwhile, and how it comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from memoryd.dispatch import groups, holds, jobs, leases, pools, tending
from memoryd.dispatch.facts import Cancellation, LeaseKey, PoolView, WorkerIdentity
from memoryd.dispatch.states import HeldBy, JobState
from memoryd.foundation.database import Database, DatabaseDown, Session, TenantScope
from memoryd.foundation.ids import JobId, ProjectId, TenantId, new_id
from tests.dispatch.conftest import add_worker, ask

Put = Callable[..., JobId]
PROJECT = ProjectId(new_id())


def state(farm: Session, job_id: JobId) -> JobState:
    return jobs.find_standing(farm, job_id).state


def test_nothing_of_a_paused_project_is_claimed_and_it_comes_back_in_its_order(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    mine = [enqueue(project_id=PROJECT) for _ in range(3)]
    assert holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    assert not holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    assert PROJECT in holds.list_paused_projects(farm, tenant_id=tenant.id)
    assert {state(farm, job_id) for job_id in mine} == {JobState.HELD}
    assert jobs.find_standing(farm, mine[0]).held_by is HeldBy.PROJECT
    other = enqueue()
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    assert grant.job_id == other
    assert leases.claim(farm, worker, loaded=()) is None
    assert holds.resume_project(farm, PROJECT, tenant_id=tenant.id)
    assert not holds.resume_project(farm, PROJECT, tenant_id=tenant.id)
    again = [leases.claim(farm, worker, loaded=()) for _ in mine]
    assert [grant.job_id for grant in again if grant] == mine


def test_a_job_that_is_enqueued_while_its_project_is_paused_is_held_at_once(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    job_id = enqueue(project_id=PROJECT)
    assert state(farm, job_id) is JobState.HELD
    holds.resume_project(farm, PROJECT, tenant_id=tenant.id)
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    assert grant.job_id == job_id


def test_a_pause_of_one_tenants_project_does_not_touch_another_tenant(
    farm: Session, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView
) -> None:
    theirs = jobs.enqueue(farm, ask(other_tenant.id, pool, project_id=PROJECT)).job_id
    holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    assert state(farm, theirs) is JobState.READY


def test_what_runs_when_its_project_is_paused_goes_on_and_its_retry_is_held(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    job_id = enqueue(project_id=PROJECT)
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    assert state(farm, job_id) is JobState.LEASED
    lease = LeaseKey(job_id=job_id, fence=grant.fence, token=grant.token)
    leases.release(farm, worker, lease, reason="drain")
    assert state(farm, job_id) is JobState.HELD


def test_a_job_that_is_held_is_cancelled_at_once(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    job_id = enqueue(project_id=PROJECT)
    assert jobs.cancel(farm, job_id, tenant_id=tenant.id) is Cancellation.CANCELLED
    assert farm.execute(text("select count(*) from held")).scalar_one() == 0


def test_a_job_that_is_held_expires(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    job_id = enqueue(project_id=PROJECT, expires_in_s=-1)
    assert tending.expire(farm) == 1
    assert state(farm, job_id) is JobState.EXPIRED


def test_a_thousand_jobs_that_come_back_delay_anothers_first_job_by_no_more_than_one(
    farm: Session,
    worker: WorkerIdentity,
    tenant: TenantScope,
    other_tenant: TenantScope,
    pool: PoolView,
) -> None:
    asked = [ask(tenant.id, pool, project_id=PROJECT, cost_ms=1000) for _ in range(300)]
    jobs.enqueue_many(farm, asked)
    holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    everybody = add_worker(farm, other_tenant.id, "theirs")
    # Others work meanwhile: the present goes far beyond the tags of what is held.
    for _ in range(5):
        jobs.enqueue(farm, ask(other_tenant.id, pool, cost_ms=10_000_000))
        grant = leases.claim(farm, everybody, loaded=())
        assert grant is not None
    holds.resume_project(farm, PROJECT, tenant_id=tenant.id)
    theirs = jobs.enqueue(farm, ask(other_tenant.id, pool, cost_ms=1000)).vtag
    ahead = farm.execute(text("select count(*) from ready where vtag < :vtag"), {"vtag": theirs}).scalar_one()
    spread = farm.execute(text("select count(distinct vtag) from ready")).scalar_one()
    assert spread >= 300
    assert ahead <= 300
    newcomer = jobs.enqueue(farm, ask(add_tenant_row(farm), pool, cost_ms=1000)).vtag
    before = farm.execute(text("select count(*) from ready where vtag < :vtag"), {"vtag": newcomer}).scalar_one()
    assert before <= 1


def add_tenant_row(farm: Session) -> TenantId:
    """A tenant that never had a job."""
    made: TenantId = farm.execute(
        text("""insert into tenant (id, slug, name, schema, role, state) select gen_random_uuid(), 'new', 'new',
                'new', 'new', state from tenant limit 1 returning id""")
    ).scalar_one()
    return made


def test_nothing_is_claimed_from_a_paused_pool_and_jobs_are_still_taken(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    _pause(farm, paused=True)
    job_id = enqueue()
    assert state(farm, job_id) is JobState.READY
    assert leases.claim(farm, worker, loaded=()) is None
    _pause(farm, paused=False)
    assert leases.claim(farm, worker, loaded=()) is not None


def _pause(farm: Session, *, paused: bool) -> None:
    farm.execute(text("update pool set paused_at = case when :p then clock_timestamp() end"), {"p": paused})


def test_a_group_is_paused_and_resumed_as_one(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    group_id = groups.make(farm, tenant_id=tenant.id, name="grid", total=3)
    mine = [enqueue(group_id=group_id) for _ in range(2)]
    assert groups.pause(farm, group_id, tenant_id=tenant.id)
    assert not groups.pause(farm, group_id, tenant_id=tenant.id)
    mine.append(enqueue(group_id=group_id))
    assert {state(farm, job_id) for job_id in mine} == {JobState.HELD}
    assert leases.claim(farm, worker, loaded=()) is None
    assert groups.resume(farm, group_id, tenant_id=tenant.id)
    again = [leases.claim(farm, worker, loaded=()) for _ in mine]
    assert [grant.job_id for grant in again if grant] == mine


def test_what_is_held_by_group_and_project_waits_for_both(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    group_id = groups.make(farm, tenant_id=tenant.id, name="grid", total=1, project_id=PROJECT)
    job_id = enqueue(group_id=group_id, project_id=PROJECT)
    groups.pause(farm, group_id, tenant_id=tenant.id)
    holds.pause_project(farm, PROJECT, tenant_id=tenant.id)
    groups.resume(farm, group_id, tenant_id=tenant.id)
    assert jobs.find_standing(farm, job_id).held_by is HeldBy.PROJECT
    holds.resume_project(farm, PROJECT, tenant_id=tenant.id)
    assert state(farm, job_id) is JobState.READY


# --- two at once


def test_a_job_whose_enqueuing_outlasts_the_pause_is_not_claimed(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
    with served.farm_work() as slow:
        job_id = jobs.enqueue(slow, ask(tenant.id, pool, project_id=PROJECT)).job_id
        with served.farm_work() as session:
            holds.pause_project(session, PROJECT, tenant_id=tenant.id)
    with served.farm_work() as session:
        assert leases.claim(session, worker, loaded=()) is None
        assert jobs.find_standing(session, job_id).held_by is HeldBy.PROJECT


def test_whoever_tends_the_queue_moves_what_a_pause_left(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
    with served.farm_work() as slow:
        job_id = jobs.enqueue(slow, ask(tenant.id, pool, project_id=PROJECT)).job_id
        with served.farm_work() as session:
            holds.pause_project(session, PROJECT, tenant_id=tenant.id)
    tending.tend_once(served)
    with served.farm_work() as session:
        assert jobs.find_standing(session, job_id).state is JobState.HELD
        session.execute(text("delete from paused_project"))
    tending.tend_once(served)
    with served.farm_work() as session:
        assert jobs.find_standing(session, job_id).state is JobState.READY


def resume_hurriedly(served: Database, tenant: TenantScope) -> None:
    """Resume the project, and wait for nobody."""
    with served.farm_work() as session:
        session.execute(text("set local lock_timeout = '50ms'"))
        holds.resume_project(session, PROJECT, tenant_id=tenant.id)


def test_a_resume_waits_for_whoever_is_just_held_and_lets_it_go(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        holds.pause_project(session, PROJECT, tenant_id=tenant.id)
    with served.farm_work() as slow:
        job_id = jobs.enqueue(slow, ask(tenant.id, pool, project_id=PROJECT)).job_id
        with pytest.raises(DatabaseDown, match="lock"):
            resume_hurriedly(served, tenant)
    with served.farm_work() as session:
        holds.resume_project(session, PROJECT, tenant_id=tenant.id)
        assert jobs.find_standing(session, job_id).state is JobState.READY
