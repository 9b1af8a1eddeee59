"""The queue's invariants under any sequence of all that can be done to it, on real SQL: jobs, groups, pauses, caps, chains.

Numbers in brackets are those of docs/queue.md. Longer with MEMORYD_TEST_LONG=1 (`make invariants`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from typing import Any
from uuid import UUID, uuid4

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

from memoryd.dispatch import (
    approvals,
    caps,
    dead_letters,
    groups,
    holds,
    jobs,
    leases,
    pools,
    reordering,
    tending,
    workers,
)
from memoryd.dispatch.facts import (
    Cancellation,
    Cause,
    Completion,
    Grant,
    LeaseKey,
    Urgency,
    WorkerIdentity,
    WorkerState,
)
from memoryd.dispatch.queries import upkeep
from memoryd.foundation.database import Database, TenantScope, take_farm
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import CapId, GroupId, JobId, ProjectId
from tests.dispatch.conftest import LONG_AGO, add_worker, ask
from tests.thoroughness import LONG

EXAMPLES, STEPS = (1_000, 60) if LONG else (20, 30)
WORKERS = 3
PLACES = st.integers(0, 999)
"""Which of several, counted round: what a step may choose among depends on clocks and fences, and what is drawn must not."""
MODELS = ("", "a", "b")
ERROR = {"kind": "x", "message": "y"}

OUT_OF_PLACE = """
    select j.id, j.state from job j where
        (select count(*) from ready where job_id = j.id) <> (j.state = 'ready')::int
     or (select count(*) from held where job_id = j.id) <> (j.state = 'held')::int
     or (select count(*) from lease where job_id = j.id) <> (j.state = 'leased')::int
     or (select count(*) from delayed where job_id = j.id) <> (j.state = 'delayed')::int
     or (select count(*) from dead where job_id = j.id) <> (j.state = 'dead')::int
     or (select count(*) from result where job_id = j.id) > 1
     or (j.state = 'succeeded') <> exists (select from result where job_id = j.id and outcome = 'succeeded')
     or j.attempt > j.max_attempts"""

HELD_BACK = """
    exists (select from approval_hold a where a.id = j.approval_id)
 or exists (select from paused_project q where q.tenant_id = j.tenant_id and q.project_id = j.project_id)
 or exists (select from job_group g where g.id = j.group_id and g.paused_at is not null)
 or exists (select from cap c where (c.tenant_id is null or c.tenant_id = j.tenant_id)
       and (c.project_id is null or c.project_id = j.project_id) and (c.pool_id is null or c.pool_id = j.pool_id)
       and (select count(*) from lease l where (c.tenant_id is null or l.tenant_id = c.tenant_id)
               and (c.project_id is null or l.project_id = c.project_id)
               and (c.pool_id is null or l.pool_id = c.pool_id)) >= c.max_running)"""
"""Said once more in plain words, and slowly: what a claim must not take now."""

TAKEABLE = f"""
    select count(*) from ready r join job j on j.id = r.job_id join pool p on p.id = r.pool_id
     where p.id = any(:pools) and p.paused_at is null
       and (cardinality(cast(:serves as uuid[])) = 0 or r.tenant_id = any(:serves))
       and r.expires_at > clock_timestamp() and not ({HELD_BACK})
       and (r.avoid_worker is distinct from :worker or not exists (
            select from worker o join worker_pool x on x.worker_id = o.id
             where x.pool_id = p.id and o.id <> :worker and o.state = 'active'
               and (cardinality(o.serves) = 0 or r.tenant_id = any(o.serves))))"""


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
            self.pools = [
                pools.find_pool(self.farm, "default", tenant_id=tenants[0].id),
                pools.add_pool(self.farm, "big", tenant_id=tenants[0].id),
            ]
            self.workers = [add_worker(self.farm, tenants[0].id, f"gpu-{n}") for n in range(WORKERS)]
            # The first serves one tenant only, the last both pools.
            self.workers[1:] = [self._serving_all(worker) for worker in self.workers[1:]]
            self.workers[-1] = self._with_pool(self.workers[-1], self.pools[1].id)
            self.projects = [[ProjectId(uuid4()) for _ in range(2)] for _ in tenants]
            self.groups: list[tuple[int, GroupId]] = []
            self.caps: list[tuple[int, CapId]] = []
            self.approvals: list[tuple[int, UUID]] = []
            self.grants: list[tuple[int, Grant]] = []
            self.jobs: list[tuple[int, JobId]] = []
            self.live: dict[JobId, int] = {}
            self.fence = 0
            self.reported: dict[tuple[JobId, int], bool] = {}
            self.cancelled: set[JobId] = set()

        def _serving_all(self, worker: WorkerIdentity) -> WorkerIdentity:
            self.farm.execute(text("update worker set serves = '{}' where id = :id"), {"id": worker.worker_id})
            return dataclasses.replace(worker, serves=())

        def _with_pool(self, worker: WorkerIdentity, pool_id: UUID) -> WorkerIdentity:
            values = {"w": worker.worker_id, "p": pool_id}
            self.farm.execute(text("insert into worker_pool (worker_id, pool_id) values (:w, :p)"), values)
            return workers.current(self.farm, worker.worker_id)

        def teardown(self) -> None:
            if hasattr(self, "connection"):
                self.farm.close()
                self.outer.rollback()
                self.connection.close()

        # --- what people do

        @rule(data=st.data(), who=st.integers(0, 1), urgency=st.sampled_from(Urgency), model=st.sampled_from(MODELS))
        def enqueue(self, data: st.DataObject, who: int, urgency: Urgency, model: str) -> None:
            asked: dict[str, Any] = {
                "urgency": urgency,
                "model_set": model,
                "cost_ms": data.draw(st.integers(1, 5)) * 1000,
            }
            asked["project_id"] = data.draw(st.sampled_from([None, *self.projects[who]]))
            own = [job_id for owner, job_id in self.jobs if owner == who]
            follows, after = data.draw(st.booleans()), data.draw(PLACES)
            if own and follows:
                asked["after_job_id"] = own[after % len(own)]
            if data.draw(st.integers(0, 5)) == 0:
                asked["starts_after"] = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
            if data.draw(st.booleans()):
                asked["bigger_pools"] = (self.pools[1].id,)
            self._may_wait_for_approval(data, who, asked)
            with contextlib.suppress(jobs.PredecessorEnded), self.farm.begin_nested():
                self.jobs.append((who, jobs.enqueue(self.farm, ask(tenants[who].id, self.pools[0], **asked)).job_id))

        def _may_wait_for_approval(self, data: st.DataObject, who: int, asked: dict[str, Any]) -> None:
            """A new approval, or one that others of this tenant wait for already; what was answered takes no new jobs."""
            if data.draw(st.integers(0, 2)):
                return
            # What was given is asked about no more: whoever asks looks, and holds the answer off, before.
            awaited = set(self._ids("select id from approval_hold where refused is null"))
            open_ = [one for owner, one in self.approvals if owner == who and one in awaited]
            which = data.draw(PLACES) % (len(open_) + 1)
            asked["approval_id"] = uuid4() if which == len(open_) else open_[which]
            approvals.begin(self.farm, asked["approval_id"], tenant_id=tenants[who].id)
            if (who, asked["approval_id"]) not in self.approvals:
                self.approvals.append((who, asked["approval_id"]))

        @rule(which=PLACES, act=st.sampled_from(["give", "give", "refuse", "foreign"]))
        def decide(self, which: int, act: str) -> None:
            """By whoever may, for the first time or again, before or after a cancel, an expiry, a pause."""
            if not self.approvals:
                return
            who, approval_id = self.approvals[which % len(self.approvals)]
            there = set(self._ids("select id from approval_hold where id = :a", a=approval_id))
            match act:
                case "give":
                    approvals.give(self.farm, approval_id, tenant_id=tenants[who].id)
                    stays = "select job_id from held where reason = 'approval' and waits_for = :a"
                    assert not self._ids(stays, a=approval_id)
                    assert approvals.give(self.farm, approval_id, tenant_id=tenants[who].id) == 0
                case "refuse":
                    approvals.refuse(self.farm, approval_id, "no", tenant_id=tenants[who].id)
                    ended = "select id from job where approval_id = :a and state = 'cancelled'"
                    if there:
                        assert not self._ids(
                            "select id from job where approval_id = :a and state = 'held'", a=approval_id
                        )
                        self.cancelled |= set(self._ids(ended, a=approval_id))
                case _:
                    assert approvals.give(self.farm, approval_id, tenant_id=tenants[1 - who].id) == 0
                    assert approvals.refuse(self.farm, approval_id, "no", tenant_id=tenants[1 - who].id) == 0

        @rule(which=PLACES)
        def expire(self, which: int) -> None:
            """The time to live of a job ends, wherever it waits."""
            if not self.jobs:
                return
            _, job_id = self.jobs[which % len(self.jobs)]
            for table, key in (("job", "id"), ("ready", "job_id"), ("held", "job_id")):
                late = f"update {table} set expires_at = clock_timestamp() - interval '1 s' where {key} = :i"
                self.farm.execute(text(late), {"i": job_id})
            waited = self._ids("select id from job where id = :i and state in ('ready', 'held', 'delayed')", i=job_id)
            tending.expire(self.farm)
            assert not waited or self._ids("select id from job where id = :i and state = 'expired'", i=job_id)

        @rule(data=st.data(), who=st.integers(0, 1), count=st.integers(1, 4))
        def enqueue_group(self, data: st.DataObject, who: int, count: int) -> None:
            project_id = data.draw(st.sampled_from(self.projects[who]))
            group_id = groups.make(self.farm, tenant_id=tenants[who].id, name="g", total=count, project_id=project_id)
            asked = [
                ask(tenants[who].id, self.pools[0], group_id=group_id, project_id=project_id, cost_ms=1000)
                for _ in range(count)
            ]
            self.jobs += [(who, one.job_id) for one in jobs.enqueue_many(self.farm, asked)]
            self.groups.append((who, group_id))

        @rule(which=PLACES)
        def cancel(self, which: int) -> None:
            if not self.jobs:
                return
            who, job_id = self.jobs[which % len(self.jobs)]
            if jobs.cancel(self.farm, job_id, tenant_id=tenants[who].id) is Cancellation.CANCELLED:
                self.cancelled.add(job_id)

        @rule(which=PLACES, act=st.sampled_from(["pause", "resume", "cancel", "retry", "progress"]))
        def touch_group(self, which: int, act: str) -> None:
            if not self.groups:
                return
            who, group_id = self.groups[which % len(self.groups)]
            tenant_id = tenants[who].id
            with contextlib.suppress(Conflict), self.farm.begin_nested():
                match act:
                    case "pause":
                        groups.pause(self.farm, group_id, tenant_id=tenant_id)
                    case "resume":
                        groups.resume(self.farm, group_id, tenant_id=tenant_id)
                    case "cancel":
                        groups.cancel(self.farm, group_id, tenant_id=tenant_id)
                    case "retry":
                        groups.retry_missing(self.farm, group_id, tenant_id=tenant_id)
                        self.cancelled -= set(self._ids("select id from job where group_id = :g", g=group_id))
                    case _:
                        counted = groups.progress(self.farm, group_id, tenant_id=tenant_id).counts
                        assert sum(counted.values()) == len(
                            self._ids("select id from job where group_id = :g", g=group_id)
                        )

        @rule(who=st.integers(0, 1), which=st.integers(0, 1), pause=st.booleans())
        def touch_project(self, who: int, which: int, pause: bool) -> None:
            act = holds.pause_project if pause else holds.resume_project
            act(self.farm, self.projects[who][which], tenant_id=tenants[who].id)

        @rule(pause=st.booleans())
        def touch_pool(self, pause: bool) -> None:
            (pools.pause if pause else pools.resume)(self.farm, "big", tenant_id=tenants[0].id)

        @rule(who=st.integers(0, 1), which=st.sampled_from([None, 0, 1]), most=st.integers(0, 2))
        def cap(self, who: int, which: int | None, most: int) -> None:
            project_id = None if which is None else self.projects[who][which]
            made = caps.put(self.farm, tenant_id=tenants[who].id, project_id=project_id, max_running=most)
            if (who, made) not in self.caps:
                self.caps.append((who, made))

        @rule(which=PLACES)
        def uncap(self, which: int) -> None:
            if not self.caps:
                return
            who, cap_id = self.caps.pop(which % len(self.caps))
            caps.remove(self.farm, cap_id, tenant_id=tenants[who].id)

        @rule(which=PLACES, where=PLACES)
        def move(self, which: int, where: int) -> None:
            if not self.jobs:
                return
            who, job_id = self.jobs[which % len(self.jobs)]
            own = [None, *(other for owner, other in self.jobs if owner == who and other != job_id)]
            before = own[where % len(own)]
            there = self.places()
            with contextlib.suppress(Conflict), self.farm.begin_nested():
                reordering.move(self.farm, job_id, before=before, tenant_id=tenants[who].id, person_id=None)
            here = self.places()
            # Nobody else's place changed; one's own were exchanged, where two had one by as little as keeps them apart.
            others = {job: place for job, place in there.items() if place[0] != tenants[who].id}
            assert {job: place for job, place in here.items() if place[0] != tenants[who].id} == others
            assert here.keys() == there.keys()
            for old, new in zip(sorted(there.values()), sorted(here.values()), strict=True):
                assert old[:3] == new[:3]
                assert old[3] <= new[3] <= old[3] + len(there)

        def places(self) -> dict[Any, tuple[Any, ...]]:
            """Where each waiting job lies: tenant, pool, class and tag."""
            found = self.farm.execute(text("select job_id, tenant_id, pool_id, class_id, vtag from ready")).all()
            return {row.job_id: (row.tenant_id, row.pool_id, row.class_id, row.vtag) for row in found}

        # --- what workers do

        @rule(n=st.integers(0, WORKERS - 1), loaded=st.sampled_from([(), ("a",), ("b",)]))
        def claim(self, n: int, loaded: tuple[str, ...]) -> None:
            worker = self.workers[n]
            asks = {"pools": list(worker.pool_ids), "serves": list(worker.serves), "worker": worker.worker_id}
            takeable = self.farm.execute(text(TAKEABLE), asks).scalar_one()
            willing = workers.current(self.farm, worker.worker_id).state is WorkerState.ACTIVE
            blocked = "select j.id from job j where " + HELD_BACK
            forbidden = set(self._ids(blocked))
            grant = leases.claim(self.farm, worker, loaded=loaded)
            assert (grant is not None) == (takeable > 0 and willing)  # (8), (11)
            if grant is None:
                return
            assert grant.fence > self.fence  # (3)
            assert grant.job_id not in self.cancelled | forbidden  # (10)
            assert grant.attempt <= jobs.MAX_ATTEMPTS  # (4)
            self.fence, self.live[grant.job_id] = grant.fence, grant.fence
            self.grants.append((n, grant))

        @rule(
            which=PLACES,
            way=st.sampled_from(["ok", "ok", "cancelled", "fail", "infra", "memory", "release", "forge"]),
        )
        def report(self, which: int, way: str) -> None:
            """By a holder or by a zombie, for the first time or again, or under a forged token."""
            if not self.grants:
                return
            n, grant = self.grants[which % len(self.grants)]
            token = "forged" if way == "forge" else grant.token
            lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=token)
            before = self._row(grant.job_id)
            answer = self._end(self.workers[n], lease, way)
            held = way != "forge" and self.live.get(grant.job_id) == grant.fence
            assert (answer is Completion.RECORDED) == held
            if held:
                del self.live[grant.job_id]
                self.reported[grant.job_id, grant.fence] = True
            else:
                assert self._row(grant.job_id) == before  # (3): who comes late changes nothing
                again = way != "forge" and (grant.job_id, grant.fence) in self.reported
                assert answer is (Completion.DUPLICATE if again else Completion.STALE)  # (5)

        @rule(which=PLACES, cancelled=st.booleans(), loaded=st.sampled_from([(), ("a",), ("b",)]))
        def report_and_claim(self, which: int, cancelled: bool, loaded: tuple[str, ...]) -> None:
            """By a holder or by a zombie: the end, and the next job by the same commit."""
            if not self.grants:
                return
            n, grant = self.grants[which % len(self.grants)]
            worker = self.workers[n]
            asks = {"pools": list(worker.pool_ids), "serves": list(worker.serves), "worker": worker.worker_id}
            takeable = set(self._ids(TAKEABLE.replace("count(*)", "r.job_id", 1), **asks))
            willing = workers.current(self.farm, worker.worker_id).state is WorkerState.ACTIVE
            before = self._row(grant.job_id)
            assert worker.incarnation is not None
            answer, brought = leases.complete_and_claim(
                self.farm,
                worker,
                LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token),
                incarnation=worker.incarnation,
                loaded=loaded,
                cancelled=cancelled,
            )
            held = self.live.get(grant.job_id) == grant.fence
            assert (answer is Completion.RECORDED) == held
            if not held:
                assert brought is None
                assert self._row(grant.job_id) == before  # (3), (5)
                return
            del self.live[grant.job_id]
            self.reported[grant.job_id, grant.fence] = True
            if brought is not None:
                assert willing  # (11)
                assert brought.job_id in takeable - self.cancelled  # what is held back is not; (10)
                assert brought.fence > self.fence  # (3)
                assert brought.attempt <= jobs.MAX_ATTEMPTS  # (4)
                self.fence, self.live[brought.job_id] = brought.fence, brought.fence
                self.grants.append((n, brought))

        def _end(self, worker: WorkerIdentity, lease: LeaseKey, way: str) -> Completion:
            match way:
                case "ok" | "cancelled" | "forge":
                    return leases.complete(self.farm, worker, lease, cancelled=way == "cancelled")
                case "release":
                    return leases.release(self.farm, worker, lease, reason="drain")
                case _:
                    cause = Cause.JOB if way == "fail" else Cause.INFRA
                    return leases.fail(self.farm, worker, lease, cause=cause, error=dict(ERROR), move=way == "memory")

        @rule(n=st.integers(0, WORKERS - 1), back=st.booleans())
        def drain(self, n: int, back: bool) -> None:
            state = "active" if back else "draining"
            values = {"state": state, "id": self.workers[n].worker_id}
            self.farm.execute(text("update worker set state = :state where id = :id"), values)

        # --- what the leader does

        @rule()
        def reap(self) -> None:
            values = "expires_at = clock_timestamp() - interval '1 s', deadline_at = clock_timestamp() - interval '1 s'"
            self.farm.execute(text(f"update lease set {values} where fence % 2 = 0"))
            tending.reap(self.farm, calm_since=LONG_AGO)
            self.live = {job_id: fence for job_id, fence in self.live.items() if fence % 2}
            assert not self._ids("select job_id from lease where deadline_at < clock_timestamp()")  # (11)

        @rule()
        def promote(self) -> None:
            self.farm.execute(text("update delayed set run_at = clock_timestamp()"))
            self.farm.execute(text("update job set starts_after = null where state = 'delayed'"))
            self.farm.execute(text("delete from setback"))
            tending.promote(self.farm)

        @rule()
        def advance(self) -> None:
            for pool in self.pools:
                for class_id in pools.CLASS_IDS.values():
                    upkeep.advance_mark(self.farm, pool_id=pool.id, class_id=class_id)

        @rule()
        def step(self) -> None:
            while holds.step(self.farm):
                pass
            paused = f"j.state = 'ready' and ({HELD_BACK.partition(' or exists (select from cap')[0]})"
            assert not self._ids(f"select j.id from job j where {paused}")
            idle = "j.state = 'held' and h.reason in ('group', 'project', 'approval')"
            assert not self._ids(
                f"select j.id from job j join held h on h.job_id = j.id where {idle} and not ({HELD_BACK})"
            )

        @rule(discard=st.booleans())
        def dead(self, discard: bool) -> None:
            for who, job_id in self.jobs:
                if self._ids("select job_id from dead where job_id = :i", i=job_id):
                    if discard:
                        dead_letters.discard(self.farm, job_id, tenant_id=tenants[who].id, by="somebody")
                        self.cancelled.add(job_id)
                    else:
                        dead_letters.replay(self.farm, job_id, tenant_id=tenants[who].id)
                    return

        # --- what always holds

        @invariant()
        def each_job_lies_in_exactly_the_place_of_its_state(self) -> None:
            if hasattr(self, "farm"):
                assert self.farm.execute(text(OUT_OF_PLACE)).all() == []  # (1), (2), (4)
                assert upkeep.list_strays(self.farm, limit=1) == []

        @invariant()
        def what_was_cancelled_never_succeeds(self) -> None:
            if hasattr(self, "farm"):
                done = self._ids("select id from job where state in ('succeeded', 'leased', 'ready')")
                assert not self.cancelled & set(done)  # (10)

        @invariant()
        def nothing_runs_that_nobody_approved(self) -> None:
            if hasattr(self, "farm"):
                unasked = """select j.id from job j join approval_hold a on a.id = j.approval_id
                              where j.state in ('ready', 'leased', 'succeeded')"""
                assert not self._ids(unasked)

        @invariant()
        def nothing_runs_before_what_it_comes_after(self) -> None:
            if hasattr(self, "farm"):
                early = """select j.id from job j join job b on b.id = j.after_job_id
                            where j.state in ('ready', 'leased', 'succeeded') and b.state <> 'succeeded'"""
                assert not self._ids(early)

        def _ids(self, statement: str, **values: object) -> list[Any]:
            return list(self.farm.execute(text(statement), values).scalars().all())

        def _row(self, job_id: JobId) -> object:
            tables = ("job", "lease", "result", "ready", "delayed", "held", "dead")
            key = {"job": "id"}
            parts = [
                f"(select md5(string_agg(x::text, '|')) from {name} x where x.{key.get(name, 'job_id')} = :i)"
                for name in tables
            ]
            return self.farm.execute(text(f"select {', '.join(parts)}"), {"i": job_id}).one()

    return Queue


def test_the_queue_keeps_all_its_promises_whatever_is_done_to_it(
    shared_database: Database, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    run_state_machine_as_test(
        machine(shared_database, (tenant, other_tenant)),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
