"""Workers, zombies, cancels and the leader all at once, each in its own transactions: no deadlock, each result once."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import random
import threading
import time

from sqlalchemy import text

from memoryd.dispatch import jobs, leases, pools, tending
from memoryd.dispatch.facts import Cause, Completion, Enqueued, LeaseKey, PoolView, WorkerIdentity
from memoryd.dispatch.queries import upkeep
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import JobId
from tests.dispatch.conftest import LONG_AGO, add_worker, ask

SECONDS = 2.5
WORKERS = 4
ZOMBIES_OF_100 = 15
LATE_S = 0.2
"""After which a zombie reports: its lease was ended after 0.1 s, if the leader came by."""


@dataclasses.dataclass
class Told:
    """What the threads saw."""

    answers: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    recorded: collections.Counter[JobId] = dataclasses.field(default_factory=collections.Counter)
    enqueued: list[JobId] = dataclasses.field(default_factory=list)
    faults: list[BaseException] = dataclasses.field(default_factory=list)


class Farm:
    """Everybody at once."""

    def __init__(self, database: Database, tenant: TenantScope, pool: PoolView) -> None:
        self.database, self.tenant, self.pool = database, tenant, pool
        self.told, self.until = Told(), time.monotonic() + SECONDS

    def going(self) -> bool:
        return time.monotonic() < self.until and not self.told.faults

    def guarded(self, act: object, *told: object) -> None:
        try:
            act(*told)  # type: ignore[operator]
        except BaseException as fault:
            self.told.faults.append(fault)

    def submit(self, seed: int) -> None:
        dice = random.Random(seed)
        while self.going():
            with self.database.farm_work() as session:
                asked = ask(self.tenant.id, self.pool, cost_ms=dice.randint(1, 5000), model_set=dice.choice("ab"))
                enqueued = jobs.enqueue(session, asked).job_id
            # Told only when it is committed: nobody else can know of it before.
            self.told.enqueued.append(enqueued)
            if dice.random() < 0.1:
                with self.database.farm_work() as session:
                    jobs.cancel(session, dice.choice(self.told.enqueued[-20:]), tenant_id=self.tenant.id)

    def work(self, worker: WorkerIdentity, seed: int) -> None:
        dice, late = random.Random(seed), list[tuple[float, LeaseKey]]()
        while self.going():
            with self.database.farm_work() as session:
                grant = leases.claim(session, worker, loaded=(dice.choice("ab"),))
            if grant is not None:
                lease = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
                if dice.randrange(100) < ZOMBIES_OF_100:
                    late.append((time.monotonic(), lease))
                else:
                    self.report(worker, lease, dice)
            if late and late[0][0] < time.monotonic() - LATE_S:
                self.report(worker, late.pop(0)[1], dice)

    def report(self, worker: WorkerIdentity, lease: LeaseKey, dice: random.Random) -> None:
        for _ in range(2 if dice.random() < 0.1 else 1):
            with self.database.farm_work() as session:
                if dice.random() < 0.1:
                    answer = leases.fail(session, worker, lease, cause=Cause.JOB, error={"kind": "x"})
                else:
                    answer = leases.complete(session, worker, lease)
                    if answer is Completion.RECORDED:
                        self.told.recorded[lease.job_id] += 1
            self.told.answers[answer.value] += 1

    def tend(self) -> None:
        while self.going():
            with self.database.farm_work() as session:
                session.execute(
                    text("""update lease set expires_at = clock_timestamp() - interval '1 s' where job_id in (
                                select job_id from lease where leased_at < clock_timestamp() - interval '100 ms'
                                   for update skip locked)""")
                )
            with self.database.farm_work() as session:
                tending.reap(session, calm_since=LONG_AGO)
            with self.database.farm_work() as session:
                session.execute(text("update delayed set run_at = clock_timestamp()"))
                tending.promote(session)
            for class_id in pools.CLASS_IDS.values():
                with self.database.farm_work() as session:
                    upkeep.advance_mark(session, pool_id=self.pool.id, class_id=class_id)
            time.sleep(0.02)


def test_everybody_at_once_ends_without_deadlock_and_with_each_result_once(
    served: Database, tenant: TenantScope
) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        workers = [add_worker(session, tenant.id, f"gpu-{n}") for n in range(WORKERS)]
    farm = Farm(served, tenant, pool)
    threads = [threading.Thread(target=farm.guarded, args=(farm.submit, n)) for n in range(2)]
    threads += [threading.Thread(target=farm.guarded, args=(farm.work, w, n)) for n, w in enumerate(workers)]
    threads += [threading.Thread(target=farm.guarded, args=(farm.tend,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert farm.told.faults == []
    with served.farm_work() as session:
        results = session.execute(text("select job_id from result")).scalars().all()
        wrong = session.execute(
            text("""select j.id, j.state from job j where
                    (select count(*) from ready where job_id = j.id) <> (j.state = 'ready')::int
                 or (select count(*) from lease where job_id = j.id) <> (j.state = 'leased')::int
                 or (select count(*) from delayed where job_id = j.id) <> (j.state = 'delayed')::int
                 or (select count(*) from dead where job_id = j.id) <> (j.state = 'dead')::int
                 or (j.state = 'succeeded') <> exists (select from result where job_id = j.id)""")
        ).all()
        assert wrong == []
        assert upkeep.list_strays(session, limit=1) == []
    assert set(farm.told.recorded.values()) <= {1}
    assert set(results) == set(farm.told.recorded)
    assert farm.told.answers["recorded"] > 0
    assert farm.told.answers["stale"] > 0


def test_two_workers_never_claim_one_job(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        workers = [add_worker(session, tenant.id, f"gpu-{n}") for n in range(2)]
        for _ in range(3):
            jobs.enqueue(session, ask(tenant.id, pool))
    with contextlib.ExitStack() as open_transactions:
        first = open_transactions.enter_context(served.farm_work())
        second = open_transactions.enter_context(served.farm_work())
        one, other = leases.claim(first, workers[0], loaded=()), leases.claim(second, workers[1], loaded=())
        assert one is not None
        assert other is not None
        assert one.job_id != other.job_id


def test_one_key_sent_twice_at_once_is_one_job(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
    gate, answers = threading.Barrier(2), list[Enqueued]()

    def send() -> None:
        gate.wait()
        with served.farm_work() as session:
            answers.append(jobs.enqueue(session, ask(tenant.id, pool, key="k", body_sha256=b"b" * 32)))

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.job_id for answer in answers}) == 1
    assert sorted(answer.known for answer in answers) == [False, True]


def test_an_enqueue_under_way_is_not_overtaken_by_the_watermark(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
    with served.farm_work() as slow:
        early = jobs.enqueue(slow, ask(tenant.id, pool)).job_id
        with served.farm_work() as leader:
            for class_id in pools.CLASS_IDS.values():
                upkeep.advance_mark(leader, pool_id=pool.id, class_id=class_id)
    with served.farm_work() as session:
        grant = leases.claim(session, worker, loaded=())
    assert grant is not None
    assert grant.job_id == early
