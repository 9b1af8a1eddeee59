"""The order's invariants on real SQL: bounded overtaking, fair service, how long a class waits, floods, drains.

Numbers in brackets are those of docs/queue.md. Longer with MEMORYD_TEST_LONG=1 (`make invariants`).
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session as SqlSession

from memoryd.dispatch import jobs, leases, pools, retiring, weights, workers
from memoryd.dispatch.facts import Grant, LeaseKey, PoolView, Urgency, WorkerIdentity
from memoryd.dispatch.queries import upkeep
from memoryd.foundation.database import Database, Session, TenantScope, take_farm
from memoryd.foundation.ids import JobId, ProjectId, TenantId
from tests.dispatch.conftest import add_worker, ask
from tests.thoroughness import tries

EXAMPLES = tries(6, long=500)
OFTEN = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, database=None
)
MODELS = ("a", "b", "c", "d")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A queue that is rolled back in the end."""

    farm: Session
    pool: PoolView
    tenant_ids: tuple[TenantId, ...]
    worker: WorkerIdentity

    def enqueue(self, who: int, cost_s: int, **asked: Any) -> JobId:
        """Queue a job."""
        return jobs.enqueue(self.farm, ask(self.tenant_ids[who], self.pool, cost_ms=cost_s * 1000, **asked)).job_id

    def claim(self, *loaded: str) -> Grant | None:
        """Claim the next job."""
        return leases.claim(self.farm, self.worker, loaded=loaded)

    def finish(self, grant: Grant, took_s: float) -> None:
        """End a run that took so long."""
        self.farm.execute(
            text("update lease set leased_at = clock_timestamp() - make_interval(secs => :s) where job_id = :i"),
            {"s": took_s, "i": grant.job_id},
        )
        leases.complete(self.farm, self.worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))

    def advance(self) -> None:
        """Move the watermark."""
        for class_id in pools.CLASS_IDS.values():
            upkeep.advance_mark(self.farm, pool_id=self.pool.id, class_id=class_id)

    def tags(self) -> dict[JobId, int]:
        """The tags of all that wait."""
        return {JobId(row.job_id): row.vtag for row in self.farm.execute(text("select job_id, vtag from ready"))}


@contextlib.contextmanager
def an_order(database: Database, tenants: Sequence[TenantScope]) -> Iterator[Order]:
    """An empty queue."""
    with database.engine.connect() as connection:
        outer = connection.begin()
        with SqlSession(connection, join_transaction_mode="create_savepoint") as farm:
            take_farm(farm)
            pools.ensure_defaults(farm)
            pool = pools.find_pool(farm, "default", tenant_id=tenants[0].id)
            worker = add_worker(farm, tenants[0].id)
            farm.execute(text("update worker set serves = '{}' where id = :id"), {"id": worker.worker_id})
            worker = workers.current(farm, worker.worker_id)
            yield Order(farm=farm, pool=pool, tenant_ids=tuple(one.id for one in tenants), worker=worker)
        outer.rollback()


a_job = st.tuples(st.integers(0, 1), st.integers(1, 8), st.sampled_from(MODELS))


@OFTEN
@given(first=st.lists(a_job, min_size=5, max_size=40), later=st.lists(a_job, max_size=30), data=st.data())
def test_a_job_is_overtaken_by_no_more_than_the_bonus_allows(
    shared_database: Database,
    tenant: TenantScope,
    other_tenant: TenantScope,
    first: list[tuple[int, int, str]],
    later: list[tuple[int, int, str]],
    data: st.DataObject,
) -> None:
    with an_order(shared_database, (tenant, other_tenant)) as order:
        bonus = order.farm.execute(
            text("select (affinity * 8 * 1000)::bigint from job_class where id = 1")
        ).scalar_one()
        for who, cost_s, model in first:
            order.enqueue(who, cost_s, model_set=model)
        overtaken: collections.Counter[JobId] = collections.Counter()
        loaded, coming = "a", iter(later)
        while tags := order.tags():
            head = min(tags.items(), key=lambda item: (item[1], item[0]))
            grant = order.claim(loaded)
            assert grant is not None  # (8)
            tag = tags[grant.job_id]
            # (6) Either it is the head, or it is warm and within the bonus.
            assert grant.job_id == head[0] or (grant.model_set == loaded and tag <= head[1] + bonus)
            overtaken.update(other for other, its in tags.items() if (its, other) < (tag, grant.job_id))
            loaded = grant.model_set
            order.finish(grant, data.draw(st.integers(0, 8)))
            if data.draw(st.booleans()):
                order.advance()
            for who, cost_s, model in [job for job in [next(coming, None)] if job is not None]:
                order.enqueue(who, cost_s, model_set=model)
        least_ms = 1000 * min(cost_s for _, cost_s, _ in [*first, *later])
        assert max(overtaken.values(), default=0) <= 2 * (bonus // least_ms + 1)


@OFTEN
@given(
    costs=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=30, max_size=30),
    share=st.sampled_from([1.0, 2.0, 3.0]),
    lie=st.booleans(),
)
def test_tenants_that_always_have_work_are_served_by_their_weights(
    shared_database: Database,
    tenant: TenantScope,
    other_tenant: TenantScope,
    costs: list[tuple[int, int]],
    share: float,
    lie: bool,
) -> None:
    with an_order(shared_database, (tenant, other_tenant)) as order:
        weights.weigh_tenant(order.farm, tenant.id, share)
        took = {}
        for mine, others in costs:
            for who, cost_s in ((0, mine), (1, others)):
                # Who says less than it takes is charged for what it took as soon as it has ended.
                took[order.enqueue(who, 1 if lie and who == 0 else cost_s)] = cost_s
        served, biggest = [0.0, 0.0], 8
        left = [len(costs), len(costs)]
        while min(left) > 0:
            grant = order.claim()
            assert grant is not None
            who = order.tenant_ids.index(grant.tenant_id)
            order.finish(grant, took[grant.job_id])
            served[who] += took[grant.job_id] / (share if who == 0 else 1.0)
            left[who] -= 1
            if not lie:
                assert abs(served[0] - served[1]) <= 2 * biggest  # (7)


@OFTEN
@given(
    entered=st.lists(st.tuples(st.sampled_from(list(Urgency)), st.integers(0, 2_400)), min_size=3, max_size=25),
    advances=st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_a_class_gives_way_to_newer_work_for_its_offset_and_no_longer(
    shared_database: Database, tenant: TenantScope, entered: list[tuple[Urgency, int]], advances: list[bool]
) -> None:
    offsets = {Urgency.REALTIME: 0, Urgency.STANDARD: 30, Urgency.BATCH: 900}
    with an_order(shared_database, (tenant,)) as order:
        waiting: dict[JobId, tuple[Urgency, int]] = {}
        for urgency, at in sorted(entered, key=lambda one: one[1]):
            job_id = order.enqueue(0, 1, urgency=urgency)
            waiting[job_id] = (urgency, at)
            order.farm.execute(
                text(
                    "update ready set enqueued_at = now() - interval '1 h' + make_interval(secs => :at) where job_id = :i"
                ),
                {"at": at, "i": job_id},
            )
        for moved in advances:
            grant = order.claim()
            if grant is None:
                break
            urgency, at = waiting.pop(grant.job_id)
            heads = {
                kind: min((when for one, when in waiting.values() if one is kind), default=None) for kind in Urgency
            }
            # (9) Nothing waits that came so much earlier than this that its offset is over.
            assert all(when is None or at + offsets[urgency] <= when + offsets[kind] for kind, when in heads.items())
            if moved:
                order.advance()
        assert not waiting


@OFTEN
@given(
    flood=st.integers(5, 40), projects=st.integers(1, 4), started=st.integers(0, 20), data=st.data(), warm=st.booleans()
)
def test_a_flood_of_many_projects_delays_another_tenants_first_job_by_what_the_bonus_allows(
    shared_database: Database,
    tenant: TenantScope,
    other_tenant: TenantScope,
    flood: int,
    projects: int,
    started: int,
    data: st.DataObject,
    warm: bool,
) -> None:
    with an_order(shared_database, (tenant, other_tenant)) as order:
        ids = [ProjectId(uuid4()) for _ in range(projects)]
        for number in range(flood):
            order.enqueue(0, 10, project_id=ids[number % projects], model_set="a")
        for _ in range(min(started, flood - 3)):
            grant = order.claim()
            assert grant is not None
            order.finish(grant, 10)
        wanted, before = order.enqueue(1, 10, model_set="b"), 0
        while (grant := order.claim(*(["a"] if warm else []))) is not None and grant.job_id != wanted:
            before += 1
            if data.draw(st.booleans()):
                order.advance()
        assert grant is not None
        # Cold: the one job that stands at the present already. Warm: as many of a bonus of 20 s as jobs of 10 s fit.
        assert before <= (3 if warm else 1)


@OFTEN
@given(running=st.integers(0, 4), waiting=st.integers(1, 4))
def test_a_draining_worker_takes_nothing_and_its_start_anew_does(
    shared_database: Database, tenant: TenantScope, running: int, waiting: int
) -> None:
    with an_order(shared_database, (tenant,)) as order:
        for _ in range(running + waiting):
            order.enqueue(0, 1)
        grants = [order.claim() for _ in range(running)]
        retiring.drain(order.farm, order.worker.worker_id, tenant_id=tenant.id)
        assert order.claim() is None  # (11)
        for grant in grants:
            assert grant is not None
            order.finish(grant, 1)
        assert order.claim() is None
        retiring.undrain(order.farm, order.worker.worker_id, tenant_id=tenant.id)
        assert order.claim() is not None
