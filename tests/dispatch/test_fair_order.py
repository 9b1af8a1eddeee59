"""How tenants and their projects share a pool."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.dispatch import jobs, leases, weights
from memoryd.dispatch.facts import LeaseKey, PoolView, WorkerIdentity
from memoryd.dispatch.fair_order import FlowState, place_back, place_new
from memoryd.dispatch.queries import entering
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import JobId, ProjectId, new_id
from tests.dispatch.conftest import ask

Put = Callable[..., JobId]

flows = st.builds(
    FlowState,
    present=st.integers(2, 10**9),
    last_finish=st.integers(0, 10**9),
    last_back=st.integers(0, 10**9),
    tenant_weight=st.sampled_from([0.25, 1.0, 3.0]),
    project_weight=st.sampled_from([0.5, 1.0, 2.0]),
    others=st.sampled_from([0.0, 1.0, 2.5]),
)
costs = st.lists(st.integers(1, 10**6), min_size=1, max_size=20)


@settings(max_examples=50)
@given(flow=flows, costs=costs)
def test_tags_of_a_flow_never_go_back_and_never_lie_before_the_present(flow: FlowState, costs: list[int]) -> None:
    last = flow.present
    for cost in costs:
        vtag, flow = place_new(flow, cost)
        assert last <= vtag <= flow.last_finish
        last = vtag


@settings(max_examples=50)
@given(flow=flows, costs=costs)
def test_what_comes_back_together_does_not_stand_at_one_place(flow: FlowState, costs: list[int]) -> None:
    tags = []
    for cost in costs:
        vtag, flow = place_back(flow, 1, cost)
        tags.append(vtag)
    assert tags == sorted(tags)
    expected = max(flow.present, tags[0]) + sum(int(cost / flow.share) for cost in costs[:-1])
    assert abs(tags[-1] - expected) <= len(costs)
    assert flow.last_finish >= tags[-1]


def test_a_job_that_comes_back_in_time_keeps_its_tag() -> None:
    flow = FlowState(present=10, last_finish=50, last_back=0, tenant_weight=1, project_weight=1, others=0)
    assert place_back(flow, 30, 5) == (30, flow)


@settings(max_examples=20)
@given(projects=st.integers(1, 40))
def test_many_projects_with_a_job_each_have_what_one_project_with_many_jobs_has(projects: int) -> None:
    tags = []
    for place in range(projects):
        flow = FlowState(present=1, last_finish=0, last_back=0, tenant_weight=1, project_weight=1, others=float(place))
        tags.append(place_new(flow, 1000)[0])
    assert tags == [1 + 1000 * place for place in range(projects)]


def test_the_statement_and_the_recipe_place_alike(farm: Session, tenant: TenantScope, pool: PoolView) -> None:
    projects = [ProjectId(new_id()) for _ in range(3)]
    weights.weigh_tenant(farm, tenant.id, 2.0)
    weights.weigh_project(farm, projects[1], 3.0, tenant_id=tenant.id)
    for cost, project_id in (
        (700, projects[0]),
        (900, projects[1]),
        (501, projects[2]),
        (333, projects[1]),
        (77, None),
    ):
        entering.lock_order_shared(farm, pool.id, 1)
        before = entering.lock_flow(farm, pool_id=pool.id, class_id=1, tenant_id=tenant.id, project_id=project_id)
        expected, _ = place_new(FlowState(**before._mapping), cost)
        placed = jobs.enqueue(farm, ask(tenant.id, pool, cost_ms=cost, project_id=project_id))
        assert placed.vtag == expected


def served_in_turn(farm: Session, worker: WorkerIdentity, count: int) -> Counter[ProjectId | None]:
    """Do jobs one after another, each of exactly its estimated cost; count them by project."""
    served: Counter[ProjectId | None] = Counter()
    for _ in range(count):
        grant = leases.claim(farm, worker, loaded=())
        assert grant is not None
        farm.execute(text("update lease set leased_at = clock_timestamp() - interval '1 s'"))
        served[farm.execute(text("select project_id from job where id = :id"), {"id": grant.job_id}).scalar_one()] += 1
        leases.complete(farm, worker, LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token))
    return served


def test_projects_share_what_their_tenant_gets_by_weight(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, enqueue: Put
) -> None:
    light, heavy = ProjectId(new_id()), ProjectId(new_id())
    weights.weigh_project(farm, heavy, 3.0, tenant_id=tenant.id)
    enqueue(project_id=light, cost_ms=1000)
    for _ in range(40):
        enqueue(project_id=heavy, cost_ms=1000)
        enqueue(project_id=light, cost_ms=1000)
    served = served_in_turn(farm, worker, 40)
    assert 26 <= served[heavy] <= 33


def test_a_tenants_share_does_not_grow_with_its_projects(
    farm: Session,
    worker: WorkerIdentity,
    tenant: TenantScope,
    other_tenant: TenantScope,
    pool: PoolView,
    enqueue: Put,
) -> None:
    everybody = dataclasses.replace(worker, serves=())
    for _ in range(30):
        enqueue(project_id=ProjectId(new_id()), cost_ms=1000)
    for _ in range(30):
        jobs.enqueue(farm, ask(other_tenant.id, pool, cost_ms=1000))
    grants = [leases.claim(farm, everybody, loaded=()) for _ in range(20)]
    theirs = sum(grant is not None and grant.tenant_id == other_tenant.id for grant in grants)
    assert 9 <= theirs <= 11


def test_a_flood_delays_anothers_first_job_by_no_more_than_one(
    farm: Session, worker: WorkerIdentity, other_tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    everybody = dataclasses.replace(worker, serves=())
    for _ in range(100):
        enqueue()
    first = jobs.enqueue(farm, ask(other_tenant.id, pool)).job_id
    grants = [leases.claim(farm, everybody, loaded=()) for _ in range(2)]
    assert first in {grant.job_id for grant in grants if grant is not None}


def test_a_heavier_tenant_gets_more(
    farm: Session, worker: WorkerIdentity, tenant: TenantScope, other_tenant: TenantScope, pool: PoolView, enqueue: Put
) -> None:
    everybody = dataclasses.replace(worker, serves=())
    weights.weigh_tenant(farm, other_tenant.id, 3.0)
    for _ in range(40):
        enqueue(cost_ms=1000)
        jobs.enqueue(farm, ask(other_tenant.id, pool, cost_ms=1000))
    grants = [leases.claim(farm, everybody, loaded=()) for _ in range(40)]
    theirs = sum(grant is not None and grant.tenant_id == other_tenant.id for grant in grants)
    assert 28 <= theirs <= 32
