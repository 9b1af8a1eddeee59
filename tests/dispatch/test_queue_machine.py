"""The queue's invariants under arbitrary sequences of what workers, people and the leader do, on real SQL."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.orm import Session as SqlSession

from memoryd.dispatch import dead_letters, jobs, leases, pools, tending
from memoryd.dispatch.facts import Cancellation, Cause, Completion, Grant, LeaseKey, Urgency
from memoryd.dispatch.queries import upkeep
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Database, TenantScope, take_farm
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import LONG_AGO, add_worker, ask

WORKERS = 3
PLACES = st.integers(0, 999)
"""Which of several, counted round: how many there are depends on clocks and fences, and what is drawn must not."""


def machine(database: Database, tenants: tuple[TenantScope, TenantScope]) -> type[RuleBasedStateMachine]:
    """The machine over one database; each run is a transaction that is rolled back."""

    class Queue(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.connection = database.engine.connect()
            self.outer = self.connection.begin()
            self.farm = SqlSession(self.connection, join_transaction_mode="create_savepoint")
            take_farm(self.farm)
            pools.ensure_defaults(self.farm)
            self.pool = pools.find_pool(self.farm, "default", tenant_id=tenants[0].id)
            self.workers = [
                dataclasses.replace(add_worker(self.farm, tenants[0].id, f"gpu-{n}"), serves=()) for n in range(WORKERS)
            ]
            self.grants: list[tuple[int, Grant]] = []
            self.live: dict[JobId, int] = {}
            self.fences: list[int] = []
            self.recorded: dict[JobId, int] = {}
            self.cancelled: set[JobId] = set()
            self.jobs: list[JobId] = []

        def teardown(self) -> None:
            if hasattr(self, "connection"):
                self.farm.close()
                self.outer.rollback()
                self.connection.close()

        @rule(
            who=st.integers(0, 1),
            urgency=st.sampled_from(Urgency),
            cost=st.integers(1, 5),
            model=st.sampled_from(["", "a", "b"]),
        )
        def enqueue(self, who: int, urgency: Urgency, cost: int, model: str) -> None:
            asked = ask(tenants[who].id, self.pool, urgency=urgency, cost_ms=cost * 1000, model_set=model)
            self.jobs.append(jobs.enqueue(self.farm, asked).job_id)

        @rule(n=st.integers(0, WORKERS - 1), loaded=st.sampled_from([(), ("a",), ("b",)]))
        def claim(self, n: int, loaded: tuple[str, ...]) -> None:
            waiting = self.farm.execute(
                text("select count(*) from ready where avoid_worker is distinct from :id"),
                {"id": self.workers[n].worker_id},
            ).scalar_one()
            grant = leases.claim(self.farm, self.workers[n], loaded=loaded)
            assert (grant is not None) == (waiting > 0)
            if grant is not None:
                assert not self.fences or grant.fence > self.fences[-1]
                assert grant.job_id not in self.cancelled
                assert grant.attempt <= jobs.MAX_ATTEMPTS
                self.fences.append(grant.fence)
                self.live[grant.job_id] = grant.fence
                self.grants.append((n, grant))

        @rule(which=PLACES, way=st.sampled_from(["ok", "cancelled", "fail", "infra", "release"]))
        def report(self, which: int, way: str) -> None:
            """By a holder or by a zombie, for the first time or again."""
            if not self.grants:
                return
            n, grant = self.grants[which % len(self.grants)]
            lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
            worker = self.workers[n]
            error = {"kind": "x", "message": "y"}
            match way:
                case "ok" | "cancelled":
                    answer = leases.complete(self.farm, worker, lease, cancelled=way == "cancelled")
                case "fail" | "infra":
                    cause = Cause.JOB if way == "fail" else Cause.INFRA
                    answer = leases.fail(self.farm, worker, lease, cause=cause, error=error)
                case _:
                    answer = leases.release(self.farm, worker, lease, reason="drain")
            held = self.live.get(grant.job_id) == grant.fence
            assert (answer is Completion.RECORDED) == held
            if held:
                del self.live[grant.job_id]
                if way in ("ok", "cancelled"):
                    assert grant.job_id not in self.recorded
                    self.recorded[grant.job_id] = grant.fence
            elif self.recorded.get(grant.job_id) == grant.fence:
                assert answer is Completion.DUPLICATE

        @rule(which=PLACES)
        def cancel(self, which: int) -> None:
            if not self.jobs:
                return
            job_id = self.jobs[which % len(self.jobs)]
            owner = jobs.find_standing(self.farm, job_id).tenant_id
            if jobs.cancel(self.farm, job_id, tenant_id=owner) is Cancellation.CANCELLED:
                self.cancelled.add(job_id)

        @rule()
        def reap(self) -> None:
            self.farm.execute(
                text("update lease set expires_at = clock_timestamp() - interval '1 s' where fence % 2 = 0")
            )
            tending.reap(self.farm, calm_since=LONG_AGO)
            for job_id, fence in list(self.live.items()):
                if fence % 2 == 0:
                    del self.live[job_id]

        @rule()
        def promote(self) -> None:
            self.farm.execute(text("update delayed set run_at = clock_timestamp()"))
            tending.promote(self.farm)

        @rule()
        def advance(self) -> None:
            for class_id in pools.CLASS_IDS.values():
                upkeep.advance_mark(self.farm, pool_id=self.pool.id, class_id=class_id)

        @rule(which=PLACES)
        def replay(self, which: int) -> None:
            if not self.jobs:
                return
            job_id = self.jobs[which % len(self.jobs)]
            standing = jobs.find_standing(self.farm, job_id)
            if standing.state is JobState.DEAD:
                dead_letters.replay(self.farm, job_id, tenant_id=standing.tenant_id)

        @invariant()
        def each_job_lies_in_exactly_the_place_of_its_state(self) -> None:
            if not hasattr(self, "farm"):
                return
            wrong = self.farm.execute(
                text("""
                select j.id, j.state from job j where
                    (select count(*) from ready where job_id = j.id) <> (j.state = 'ready')::int
                 or (select count(*) from lease where job_id = j.id) <> (j.state = 'leased')::int
                 or (select count(*) from delayed where job_id = j.id) <> (j.state = 'delayed')::int
                 or (select count(*) from dead where job_id = j.id) <> (j.state = 'dead')::int
                 or (select count(*) from result where job_id = j.id) > 1
                 or (j.state = 'succeeded' and not exists (select from result where job_id = j.id))
                 or j.attempt > j.max_attempts""")
            ).all()
            assert wrong == []

        @invariant()
        def no_waiting_job_lies_below_its_watermark(self) -> None:
            if hasattr(self, "farm"):
                assert upkeep.list_strays(self.farm, limit=1) == []

        @invariant()
        def what_was_cancelled_has_no_result_of_success(self) -> None:
            if hasattr(self, "farm"):
                ended = self.farm.execute(text("select job_id from result where outcome = 'succeeded'")).scalars().all()
                assert not self.cancelled & set(ended)

    return Queue


def test_the_queue_keeps_its_promises_whatever_comes(
    shared_database: Database, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    run_state_machine_as_test(
        machine(shared_database, (tenant, other_tenant)),
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
