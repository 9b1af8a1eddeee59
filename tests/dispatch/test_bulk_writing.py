"""Jobs that benchmarks write in bulk lie in the order as submitted ones do."""

from __future__ import annotations

from sqlalchemy import text

from benchmarks.queue_measures.waiting_jobs import fill
from memoryd.dispatch import jobs, leases, pools
from memoryd.dispatch.facts import LeaseKey
from memoryd.dispatch.queries import upkeep
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.embedded_postgres import Cluster
from tests.dispatch.conftest import add_worker, ask


def test_jobs_written_in_bulk_after_others_lie_above_the_watermark(
    database: Database, database_name: str, cluster: Cluster, tenant: TenantScope
) -> None:
    with database.farm_work() as session:
        pools.ensure_defaults(session)
        pool = pools.find_pool(session, "default", tenant_id=tenant.id)
        worker = add_worker(session, tenant.id)
        jobs.enqueue(session, ask(tenant.id, pool, cost_ms=1_000))
    with database.farm_work() as session:
        grant = leases.claim(session, worker, loaded=())
        assert grant is not None
        key = LeaseKey(job_id=grant.job_id, fence=grant.fence, token=grant.token)
        leases.complete(session, worker, key)
    with database.farm_work() as session:
        upkeep.advance_mark(session, pool_id=pool.id, class_id=1)
    fill(cluster.superuser_url(database_name), count=50, pool_id=pool.id, tenants=1)
    with database.farm_work() as session:
        assert upkeep.list_strays(session, limit=100) == []
        assert session.execute(text("select count(*) from ready where vtag = 0")).scalar_one() == 0
