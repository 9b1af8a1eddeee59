"""What an administrator changes of the farm, from wherever: noted in the tenant's audit trail, then done as the farm.

Each takes a session that has taken the tenant's role, and gives it back so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.dispatch import model_descriptions, pools, retiring
from memoryd.dispatch.facts import PoolView
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.ids import WorkerId

NAME_NOTED = 80
"""Characters of a pool's name in the trail: a wrong one may be of any length."""


def drain_worker(session: Session, caller: Caller, worker_id: WorkerId) -> None:
    """As retiring.drain."""
    with _noted(session, caller, "worker.drain", f"worker:{worker_id}"):
        retiring.drain(session, worker_id, tenant_id=caller.tenant.id)


def undrain_worker(session: Session, caller: Caller, worker_id: WorkerId) -> None:
    """As retiring.undrain."""
    with _noted(session, caller, "worker.undrain", f"worker:{worker_id}"):
        retiring.undrain(session, worker_id, tenant_id=caller.tenant.id)


def remove_worker(session: Session, caller: Caller, worker_id: WorkerId) -> int:
    """As retiring.remove: return how many jobs it gave back."""
    with _noted(session, caller, "worker.remove", f"worker:{worker_id}"):
        given_back = retiring.remove(session, worker_id, tenant_id=caller.tenant.id)
        model_descriptions.forget(session, worker_id)
        return given_back


def pause_pool(session: Session, caller: Caller, name: str) -> PoolView:
    """As pools.pause."""
    with _noted(session, caller, "pool.pause", f"pool:{name[:NAME_NOTED]}"):
        return pools.pause(session, name, tenant_id=caller.tenant.id)


def resume_pool(session: Session, caller: Caller, name: str) -> PoolView:
    """As pools.resume."""
    with _noted(session, caller, "pool.resume", f"pool:{name[:NAME_NOTED]}"):
        return pools.resume(session, name, tenant_id=caller.tenant.id)


@contextlib.contextmanager
def _noted(session: Session, caller: Caller, action: str, subject: str) -> Iterator[None]:
    audit.note(session, caller, action, subject, {})
    take_farm(session)
    yield
    take_tenant(session, caller.tenant)
