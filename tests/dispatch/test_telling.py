"""What tenants hear of the queue: their own jobs and the workers that serve them, each thing once."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import text

from memoryd.access.facts import Caller, Scope
from memoryd.access.projects import ensure_project
from memoryd.dispatch import groups, holds, jobs, leases, pools, retiring, telling, tending, workers
from memoryd.dispatch.facts import Cause, LeaseKey, SignOfLife, WorkerIdentity
from memoryd.events import relay
from memoryd.events.streams import read_events
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import ProjectId
from tests.dispatch.conftest import LONG_AGO, add_worker, ask

CALM = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


def heard(database: Database, tenant: TenantScope, sees: frozenset[ProjectId] | None = None) -> list[tuple[str, str]]:
    """What a reader of a tenant was told so far: kind and subject."""
    telling.carry(database)
    relay.relay_once(database, tenant)
    caller = Caller(tenant=tenant, name="ada", scopes=frozenset({Scope.READ}), sees=sees, via="key")
    return [(event.kind, str(event.subject)) for event in read_events(database, caller, 0).events]


def kinds(database: Database, tenant: TenantScope) -> list[str]:
    return [kind for kind, _ in heard(database, tenant)]


def claim(session: Session, worker: WorkerIdentity) -> LeaseKey:
    grant = leases.claim(session, worker, loaded=())
    assert grant is not None
    return LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)


def test_a_tenant_hears_of_its_own_jobs_and_of_workers_that_serve_it(
    served: Database, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        mine = add_worker(session, tenant.id, "mine")
        theirs = add_worker(session, other_tenant.id, "theirs")
        job = jobs.enqueue(session, ask(other_tenant.id, pool)).job_id
        leases.fail(session, theirs, claim(session, theirs), cause=Cause.JOB, error={"kind": "x", "message": "y"})
        retiring.drain(session, theirs.worker_id, tenant_id=other_tenant.id)
        session.execute(text("update job set attempt = max_attempts - 1"))
    assert heard(served, tenant) == [("worker.registered", str(mine.worker_id))]
    assert heard(served, other_tenant) == [
        ("worker.registered", str(theirs.worker_id)),
        ("worker.drained", str(theirs.worker_id)),
    ]
    with served.farm_work() as session:
        session.execute(text("update delayed set run_at = clock_timestamp() - interval '1 s'"))
        tending.promote(session)
        retiring.undrain(session, theirs.worker_id, tenant_id=other_tenant.id)
        leases.fail(session, theirs, claim(session, theirs), cause=Cause.JOB, error={"kind": "x", "message": "y"})
    assert heard(served, other_tenant)[2:] == [
        ("job.let-go", str(job)),
        ("worker.undrained", str(theirs.worker_id)),
        ("job.dead", str(job)),
    ]
    assert kinds(served, tenant) == ["worker.registered"]


def test_a_worker_of_all_tenants_is_told_to_all(
    served: Database, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    with served.farm_work() as session:
        worker = add_worker(session, tenant.id)
        session.execute(text("delete from told"))
        session.execute(text("update worker set serves = '{}'"))
        workers.leave(session, worker, worker.incarnation)  # type: ignore[arg-type]
    assert kinds(served, tenant) == kinds(served, other_tenant) == ["worker.left"]


def test_what_is_told_is_carried_once_and_what_is_rolled_back_never(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        job = jobs.enqueue(session, ask(tenant.id, pool)).job_id
        telling.tell_jobs(session, "job.moved", [job], reason="\u20ac" * 1_000)

    def undone() -> None:
        with served.farm_work() as session:
            telling.tell_jobs(session, "job.dead", [job])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        undone()
    assert telling.carry(served) == 1
    assert telling.carry(served) == 0
    assert heard(served, tenant) == [("job.moved", str(job))]


def test_who_sees_one_project_hears_of_its_jobs_and_of_the_farm(served: Database, tenant: TenantScope) -> None:
    with served.tenant_work(tenant) as session:
        seen, unseen = (ensure_project(session, slug) for slug in ("seen", "unseen"))
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        mine = jobs.enqueue(session, ask(tenant.id, pool, project_id=seen)).job_id
        other = jobs.enqueue(session, ask(tenant.id, pool, project_id=unseen)).job_id
        telling.tell_jobs(session, "job.expired", [mine, other])
    assert heard(served, tenant, frozenset({seen})) == [
        ("worker.registered", str(worker.worker_id)),
        ("job.expired", str(mine)),
    ]


def test_what_the_leader_does_is_told(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        job = jobs.enqueue(session, ask(tenant.id, pool)).job_id
        late = jobs.enqueue(session, ask(tenant.id, pool)).job_id
        lease = claim(session, worker)
        assert lease.job_id == job
        leases.heartbeat(session, worker, [SignOfLife(lease=lease, progress=0.1, phase="sampling", node=None)])
        leases.heartbeat(session, worker, [SignOfLife(lease=lease, progress=0.2, phase="sampling", node=None)])
        session.execute(text("update lease set expires_at = clock_timestamp() - interval '1 s'"))
        session.execute(text("update ready set expires_at = clock_timestamp() - interval '1 s'"))
    with served.farm_work() as session:
        assert tending.reap(session, calm_since=LONG_AGO) == 1
        assert tending.expire(session) == 1
    assert heard(served, tenant)[1:] == [
        ("job.started", str(job)),
        ("job.released", str(job)),
        ("job.expired", str(late)),
    ]


def test_pauses_chains_and_groups_are_told(served: Database, tenant: TenantScope) -> None:
    with served.tenant_work(tenant) as session:
        project = ensure_project(session, "paused")
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        first = jobs.enqueue(session, ask(tenant.id, pool, project_id=project)).job_id
        jobs.enqueue_many(session, [ask(tenant.id, pool, after_job_id=first)])
        holds.pause_project(session, project, tenant_id=tenant.id)
        late = jobs.enqueue(session, ask(tenant.id, pool, project_id=project)).job_id
        holds.resume_project(session, project, tenant_id=tenant.id)
        for job in (first, late):
            jobs.cancel(session, job, tenant_id=tenant.id)
        group = groups.make(session, tenant_id=tenant.id, name="g", total=2)
        jobs.enqueue_many(session, [ask(tenant.id, pool, group_id=group) for _ in range(2)])
        groups.cancel(session, group, tenant_id=tenant.id)
        pools.add_pool(session, "own", tenant_id=tenant.id)
        pools.pause(session, "own", tenant_id=tenant.id)
        pools.resume(session, "own", tenant_id=tenant.id)
    assert kinds(served, tenant) == [
        "job.held",  # the second waits for the first
        "project.paused",
        "job.held",  # the first, which waited already
        "job.held",  # one that came meanwhile
        "project.resumed",
        "job.let-go",
        "job.let-go",
        "job.cancelled",  # the second, in vain; who cancels the first tells of it
        "job.cancelled",
        "job.cancelled",
        "pool.paused",
        "pool.resumed",
    ]


def test_a_worker_that_falls_silent_is_told_once_and_again_when_it_is_back(
    served: Database, tenant: TenantScope
) -> None:
    with served.farm_work() as session:
        worker = add_worker(session, tenant.id)
        session.execute(text("update worker set seen_at = clock_timestamp() - interval '61 s'"))
        now = session.execute(text("select clock_timestamp()")).scalar_one()
        assert telling.tell_silences(session, calm_since=now) == 0, "after an outage every worker looks silent"
        assert telling.tell_silences(session, calm_since=CALM) == 1
        assert telling.tell_silences(session, calm_since=CALM) == 0
        session.execute(text("update worker set seen_at = clock_timestamp()"))
        assert telling.tell_silences(session, calm_since=CALM) == 1
        assert telling.tell_silences(session, calm_since=CALM) == 0
    assert kinds(served, tenant) == ["worker.registered", "worker.silent", "worker.back"]
    assert worker.label == "gpu-1"


def test_what_nobody_takes_is_forgotten(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        add_worker(session, tenant.id)
        session.execute(text("update told set at = at - interval '15 days'"))
        telling.forget_unheard(session)
    assert heard(served, tenant) == []
