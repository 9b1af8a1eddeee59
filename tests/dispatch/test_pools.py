"""Which pool a worker of several tries first, and what many jobs at once cost."""

from __future__ import annotations

import dataclasses

from memoryd.dispatch import jobs, leases, pools
from memoryd.dispatch.facts import Urgency, WorkerIdentity
from memoryd.dispatch.pools import PoolEdit
from memoryd.foundation.database import Session, TenantScope
from tests.dispatch.conftest import add_worker, ask


def two_pools(farm: Session, tenant: TenantScope, small: PoolEdit, big: PoolEdit) -> WorkerIdentity:
    """Two pools with a job each, the small one's waiting longer; a worker of both."""
    found = []
    for name, edit in (("small", small), ("big", big)):
        pool = pools.add_pool(farm, name, tenant_id=tenant.id, edit=edit)
        jobs.enqueue(farm, ask(tenant.id, pool, urgency=Urgency.REALTIME if name == "small" else Urgency.BATCH))
        found.append(pool)
    worker = add_worker(farm, tenant.id, pool="small")
    return dataclasses.replace(worker, pool_ids=tuple(pool.id for pool in found))


def first_pool(farm: Session, worker: WorkerIdentity) -> str:
    grant = leases.claim(farm, worker, loaded=())
    assert grant is not None
    return jobs.find_standing(farm, grant.job_id).pool


def test_a_worker_tries_its_own_size_first(farm: Session, tenant: TenantScope) -> None:
    worker = two_pools(farm, tenant, PoolEdit(vram_mb=8_000), PoolEdit(vram_mb=80_000))
    assert first_pool(farm, worker) == "big"
    assert first_pool(farm, worker) == "small"


def test_a_rank_goes_before_size(farm: Session, tenant: TenantScope) -> None:
    worker = two_pools(farm, tenant, PoolEdit(vram_mb=8_000, rank=1), PoolEdit(vram_mb=80_000))
    assert first_pool(farm, worker) == "small"


def test_pools_that_are_alike_are_tried_by_how_long_their_jobs_wait(farm: Session, tenant: TenantScope) -> None:
    worker = two_pools(farm, tenant, PoolEdit(), PoolEdit())
    assert first_pool(farm, worker) == "small"
