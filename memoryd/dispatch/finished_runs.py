"""Whose job a worker finished: what it may do for that tenant afterwards hangs on it."""

from __future__ import annotations

from memoryd.dispatch.facts import LeaseKey, WorkerIdentity
from memoryd.dispatch.leases import token_hash
from memoryd.dispatch.queries import stated_environments as queries
from memoryd.foundation.database import Session
from memoryd.foundation.ids import TenantId


def tenant_of_finished(session: Session, worker: WorkerIdentity, lease: LeaseKey) -> TenantId | None:
    """Return whose job this worker's own lease ended with a result, None where there is none. `session` took the farm."""
    found = queries.find_tenant_of_result(
        session,
        worker_id=worker.worker_id,
        job_id=lease.job_id,
        fence=lease.fence,
        token_hash=token_hash(lease.token),
    )
    return TenantId(found) if found is not None else None
