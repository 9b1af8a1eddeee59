"""One's own waiting jobs change places among each other, and nobody else's does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.dispatch import jobs, leases, pools, reordering
from memoryd.dispatch.facts import PoolView, Urgency, WorkerIdentity
from memoryd.foundation.database import Database, Session, TenantScope, take_farm
from memoryd.foundation.ids import JobId, PersonId, ProjectId, new_id
from tests.dispatch.conftest import add_worker, ask

Put = Callable[..., JobId]
ME, OTHER = PersonId(new_id()), PersonId(new_id())


def order(farm: Session) -> list[JobId]:
    return [JobId(one) for one in farm.execute(text("select job_id from ready order by vtag, job_id")).scalars()]


def places(farm: Session, person: PersonId) -> dict[JobId, int]:
    rows = farm.execute(text("select job_id, vtag from ready where person_id = :id"), {"id": person})
    return {JobId(row.job_id): row.vtag for row in rows}


def test_a_job_comes_before_another_or_first(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    mine = [enqueue(person_id=ME) for _ in range(4)]
    assert reordering.move(farm, mine[3], before=mine[1], tenant_id=tenant.id, person_id=ME) == 3
    assert order(farm) == [mine[0], mine[3], mine[1], mine[2]]
    reordering.move(farm, mine[2], before=None, tenant_id=tenant.id, person_id=ME)
    assert order(farm) == [mine[2], mine[0], mine[3], mine[1]]
    reordering.move(farm, mine[2], before=mine[1], tenant_id=tenant.id, person_id=ME)
    assert order(farm) == [mine[0], mine[3], mine[2], mine[1]]


def test_nobody_elses_job_gets_another_place(farm: Session, tenant: TenantScope, enqueue: Put) -> None:
    project = ProjectId(new_id())
    mine, theirs = [], []
    for _ in range(4):
        mine.append(enqueue(person_id=ME))
        theirs.append(enqueue(person_id=OTHER, project_id=project))
    before = places(farm, OTHER)
    tags = sorted(places(farm, ME).values())
    reordering.move(farm, mine[3], before=None, tenant_id=tenant.id, person_id=ME)
    assert places(farm, OTHER) == before
    assert sorted(places(farm, ME).values()) == tags


def test_only_ones_own_waiting_jobs_of_one_order_move(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    first, second = enqueue(person_id=ME), enqueue(person_id=ME)
    theirs, batch = enqueue(person_id=OTHER), enqueue(person_id=ME, urgency=Urgency.BATCH)
    for job_id, before, person in (
        (theirs, first, ME),
        (second, theirs, ME),
        (second, batch, ME),
        (second, None, OTHER),
    ):
        with pytest.raises(reordering.NotMovable):
            reordering.move(farm, job_id, before=before, tenant_id=tenant.id, person_id=person)
    with pytest.raises(jobs.JobNotFound):
        reordering.move(farm, second, before=first, tenant_id=other_tenant.id, person_id=ME)
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    assert grant.job_id == first
    with pytest.raises(reordering.NotMovable):
        reordering.move(farm, second, before=first, tenant_id=tenant.id, person_id=ME)


def test_any_moves_leave_a_permutation_that_the_ask_names(shared_database: Database, tenant: TenantScope) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(moves=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6))
    def check(moves: list[tuple[int, int]]) -> None:
        with shared_database.engine.connect() as connection:
            outer = connection.begin()
            with Session(connection, join_transaction_mode="create_savepoint") as farm:
                take_farm(farm)
                pools.ensure_defaults(farm)
                pool = pools.find_pool(farm, "default", tenant_id=tenant.id)
                asked = [
                    ask(tenant.id, pool, person_id=ME, project_id=ProjectId(new_id()) if n % 2 else None)
                    for n in range(6)
                ]
                expected = [one.job_id for one in asked]
                for one in asked:
                    jobs.enqueue(farm, one)
                expected = order(farm)
                for what, where in moves:
                    job_id, before = asked[what].job_id, asked[where].job_id
                    reordering.move(farm, job_id, before=before, tenant_id=tenant.id, person_id=ME)
                    if job_id != before:
                        expected.remove(job_id)
                        expected.insert(expected.index(before), job_id)
                    assert order(farm) == expected
            outer.rollback()

    check()


def test_claims_and_moves_at_the_same_moment_lose_nothing(served: Database, tenant: TenantScope) -> None:
    with served.farm_work() as session:
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        mine = [jobs.enqueue(session, ask(tenant.id, pool, person_id=ME)).job_id for _ in range(40)]
    claimed, faults = list[JobId](), list[BaseException]()

    def move() -> None:
        for job_id in mine[::-1]:
            try:
                with served.farm_work() as session:
                    reordering.move(session, job_id, before=None, tenant_id=tenant.id, person_id=ME)
            except reordering.NotMovable:
                pass
            except BaseException as fault:
                faults.append(fault)

    moving = threading.Thread(target=move)
    moving.start()
    while len(claimed) < 40 and not faults:
        # Asked first: a claim beside the last move may find all rows in its hands.
        was_moving = moving.is_alive()
        with served.farm_work() as session:
            grant = leases.claim(session, worker, loaded=())
        if grant is not None:
            claimed.append(grant.job_id)
        elif not was_moving:
            break
    moving.join()
    assert faults == []
    assert sorted(claimed) == sorted(mine)
