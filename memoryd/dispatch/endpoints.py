"""The queue over HTTP: pools and depths. The workers' own addresses, and those about them, are in `dispatch.fleet`."""

from __future__ import annotations

from fastapi import APIRouter

from memoryd.access import audit
from memoryd.access.guards import Administrator, Reader
from memoryd.dispatch import pools, shown, workers
from memoryd.dispatch.fleet import endpoints as fleet
from memoryd.foundation.database import take_farm

router = APIRouter(tags=["dispatch"])
router.include_router(fleet.router)


@router.get("/pools")
def list_pools(work: Reader) -> shown.Pools:
    """The pools that jobs may name."""
    take_farm(work.session)
    found = pools.list_pools(work.session, tenant_id=work.caller.tenant.id)
    return shown.Pools(items=[shown.show_pool(pool) for pool in found])


@router.post("/pools", status_code=201)
def add_pool(work: Administrator, asked: shown.NewPool) -> shown.Pool:
    """Make a pool for this tenant's jobs."""
    audit.note(work.session, work.caller, "pool.add", f"pool:{asked.name}", {"warm_up_s": asked.warm_up_s})
    take_farm(work.session)
    made = pools.add_pool(work.session, asked.name, tenant_id=work.caller.tenant.id, warm_up_s=asked.warm_up_s)
    return shown.show_pool(made)


@router.get("/queue")
def show_queue(work: Reader) -> shown.Queue:
    """How busy each pool is now, and who works."""
    take_farm(work.session)
    tenant_id = work.caller.tenant.id
    depths = pools.list_depths(work.session, pools.list_pools(work.session, tenant_id=tenant_id))
    present = workers.list_workers(work.session, tenant_id=tenant_id)
    return shown.Queue(
        pools=[shown.show_depth(depth) for depth in depths],
        workers=[shown.show_worker(one) for one in present if one.online or one.running],
    )
