"""Two transactions about the same job at the same moment: one of them wins, and the other is told the truth."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from memoryd.dispatch import groups, jobs, leases, pools, tending
from memoryd.dispatch.facts import Cancellation, Completion, Grant, LeaseKey, PoolView, WorkerIdentity
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import LONG_AGO, add_worker, ask

ROUNDS = 15


class Stage:
    """A pool, a worker, and what was read of a job at the end."""

    def __init__(self, database: Database, tenant: TenantScope) -> None:
        self.database, self.tenant = database, tenant
        with database.farm_work() as session:
            self.pool: PoolView = pools.find_pool(session, "default", tenant_id=tenant.id)
            self.worker: WorkerIdentity = add_worker(session, tenant.id)

    def enqueue(self, **asked: object) -> JobId:
        with self.database.farm_work() as session:
            return jobs.enqueue(session, ask(self.tenant.id, self.pool, **asked)).job_id

    def claim(self) -> Grant | None:
        with self.database.farm_work() as session:
            return leases.claim(session, self.worker, loaded=())

    def state(self, job_id: JobId) -> JobState:
        with self.database.farm_work() as session:
            return jobs.find_standing(session, job_id).state

    def both(self, *acts: Callable[[Session], object]) -> list[object]:
        """Do these at the same moment, each in its own transaction; return what each got."""
        gate, got = threading.Barrier(len(acts)), list[object]([None] * len(acts))

        def do(at: int) -> None:
            gate.wait()
            try:
                with self.database.farm_work() as session:
                    got[at] = acts[at](session)
            except BaseException as fault:
                got[at] = fault

        threads = [threading.Thread(target=do, args=(at,)) for at in range(len(acts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in got:
            if isinstance(one, BaseException):
                raise one
        return got

    def check(self) -> None:
        """No job lies in two places, or in another than its state says."""
        with self.database.farm_work() as session:
            wrong = session.execute(
                text("""
                select j.id, j.state from job j where
                    (select count(*) from ready where job_id = j.id) <> (j.state = 'ready')::int
                 or (select count(*) from held where job_id = j.id) <> (j.state = 'held')::int
                 or (select count(*) from lease where job_id = j.id) <> (j.state = 'leased')::int
                 or (select count(*) from delayed where job_id = j.id) <> (j.state = 'delayed')::int
                 or (select count(*) from dead where job_id = j.id) <> (j.state = 'dead')::int""")
            ).all()
            assert wrong == []


@pytest.fixture
def stage(served: Database, tenant: TenantScope) -> Stage:
    return Stage(served, tenant)


def key(grant: Grant) -> LeaseKey:
    return LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)


def test_a_cancel_and_a_claim(stage: Stage) -> None:
    for _ in range(ROUNDS):
        job_id = stage.enqueue()
        cancelled, grant = stage.both(
            partial(jobs.cancel, job_id=job_id, tenant_id=stage.tenant.id),
            partial(leases.claim, worker=stage.worker, loaded=()),
        )
        if cancelled is Cancellation.CANCELLED:
            assert grant is None
        elif isinstance(grant, Grant):
            with stage.database.farm_work() as session:
                assert jobs.find_standing(session, job_id).cancel_requested
                leases.complete(session, stage.worker, key(grant), cancelled=True)
        assert stage.state(job_id) is JobState.CANCELLED
    stage.check()


def test_a_release_and_a_reaper(stage: Stage) -> None:
    for _ in range(ROUNDS):
        job_id = stage.enqueue()
        grant = stage.claim()
        assert grant is not None
        with stage.database.farm_work() as session:
            session.execute(text("update lease set expires_at = clock_timestamp() - interval '1 s'"))
        answer, reaped = stage.both(
            partial(leases.release, worker=stage.worker, lease=key(grant), reason="drain"),
            partial(tending.reap, calm_since=LONG_AGO),
        )
        assert (answer is Completion.RECORDED) == (reaped == 0)
        with stage.database.farm_work() as session:
            assert len(jobs.find_standing(session, job_id).failures) == 1
            jobs.cancel(session, job_id, tenant_id=stage.tenant.id)
    stage.check()


def test_a_completion_and_a_cancel(stage: Stage) -> None:
    for _ in range(ROUNDS):
        job_id = stage.enqueue()
        grant = stage.claim()
        assert grant is not None
        completed, _ = stage.both(
            partial(leases.complete, worker=stage.worker, lease=key(grant)),
            partial(jobs.cancel, job_id=job_id, tenant_id=stage.tenant.id),
        )
        assert completed is Completion.RECORDED
        assert stage.state(job_id) is JobState.SUCCEEDED
    stage.check()


def test_a_completion_twice(stage: Stage) -> None:
    for _ in range(ROUNDS):
        stage.enqueue()
        grant = stage.claim()
        assert grant is not None
        acts = [partial(leases.complete, worker=stage.worker, lease=key(grant))] * 2
        assert sorted(str(one) for one in stage.both(*acts)) == ["duplicate", "recorded"]
    stage.check()


def test_a_pause_of_a_group_and_a_claim_and_a_promotion(stage: Stage) -> None:
    with stage.database.farm_work() as session:
        group_id = groups.make(session, tenant_id=stage.tenant.id, name="g", total=100)
    for _ in range(ROUNDS):
        stage.enqueue(group_id=group_id)
        late = stage.enqueue(group_id=group_id)
        with stage.database.farm_work() as session:
            session.execute(text("delete from ready where job_id = :id"), {"id": late})
            session.execute(text("update job set state = 'delayed' where id = :id"), {"id": late})
            session.execute(text("insert into delayed values (:id, clock_timestamp())"), {"id": late})
        _, grant, _ = stage.both(
            partial(groups.pause, group_id=group_id, tenant_id=stage.tenant.id),
            partial(leases.claim, worker=stage.worker, loaded=()),
            tending.promote,
        )
        # From the pause's commit on there is nothing to be claimed.
        assert stage.claim() is None
        with stage.database.farm_work() as session:
            assert session.execute(text("select count(*) from ready")).scalar_one() == 0
            if isinstance(grant, Grant):
                leases.complete(session, stage.worker, key(grant))
            groups.resume(session, group_id, tenant_id=stage.tenant.id)
        while (grant := stage.claim()) is not None:
            with stage.database.farm_work() as session:
                leases.complete(session, stage.worker, key(grant))
    stage.check()


def test_a_cancel_of_a_group_and_its_completions(stage: Stage) -> None:
    for _ in range(ROUNDS):
        with stage.database.farm_work() as session:
            group_id = groups.make(session, tenant_id=stage.tenant.id, name="g", total=4)
        first = stage.enqueue(group_id=group_id)
        grant = stage.claim()
        assert grant is not None
        for _ in range(3):
            stage.enqueue(group_id=group_id, after_job_id=first)
        stage.both(
            partial(groups.cancel, group_id=group_id, tenant_id=stage.tenant.id),
            partial(leases.complete, worker=stage.worker, lease=key(grant)),
        )
        with stage.database.farm_work() as session:
            groups.cancel(session, group_id, tenant_id=stage.tenant.id)
            counts = groups.progress(session, group_id, tenant_id=stage.tenant.id).counts
        assert counts == {JobState.SUCCEEDED: 1, JobState.CANCELLED: 3}
    stage.check()
