"""Taking workers out of service and back into it: drained for a while, or removed for good."""

from __future__ import annotations

from memoryd.dispatch import telling, tries, waking
from memoryd.dispatch.endings import Endings
from memoryd.dispatch.facts import Cause, WorkerState
from memoryd.dispatch.queries import fleet, retirement
from memoryd.dispatch.states import JobState
from memoryd.dispatch.workers import WorkerNotFound
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAllowed
from memoryd.foundation.ids import TenantId, WorkerId


class NotDraining(Conflict):
    """This worker is not being drained."""


class WorkerShared(NotAllowed):
    """This worker works for other tenants too."""


def drain(session: Session, worker_id: WorkerId, *, tenant_id: TenantId) -> None:
    """Let a worker finish what it has and take nothing new until its next start, or undrain. Raises: WorkerNotFound.

    What it runs keeps its deadline: no lease of a drained worker outlives that.
    """
    if not fleet.update_worker_state(session, worker_id=worker_id, state=WorkerState.DRAINING, tenant_id=tenant_id):
        raise _not_found(worker_id)
    telling.tell_workers(session, "worker.drained", [worker_id])
    waking.change_after_commit(session, worker_id)


def undrain(session: Session, worker_id: WorkerId, *, tenant_id: TenantId) -> None:
    """Let a drained worker take work again. Raises: WorkerNotFound; NotDraining."""
    serving = retirement.lock_worker(session, worker_id=worker_id, tenant_id=tenant_id)
    if serving is None:
        raise _not_found(worker_id)
    if serving.state != WorkerState.DRAINING:
        raise NotDraining(f"it is {serving.state}", hint="start it, if it has left: `memoryd worker`")
    fleet.update_worker_state(session, worker_id=worker_id, state=WorkerState.ACTIVE, tenant_id=tenant_id)
    telling.tell_workers(session, "worker.undrained", [worker_id])
    waking.change_after_commit(session, worker_id)
    waking.wake_after_commit(session)


def remove(session: Session, worker_id: WorkerId, *, tenant_id: TenantId) -> int:
    """Revoke a worker's key for good, and give back what it runs, uncounted; return how many jobs that were.

    What it stated and measured is forgotten with it. Raises: WorkerNotFound; WorkerShared, where it works for others too.
    """
    serving = retirement.lock_worker(session, worker_id=worker_id, tenant_id=tenant_id)
    if serving is None:
        raise _not_found(worker_id)
    if list(serving.serves) != [tenant_id]:
        raise WorkerShared(f"worker {serving.label!r}", hint="drain it, or ask whoever runs the server")
    retirement.lock_leases(session, worker_id=worker_id)
    # Again: a report that the first look waited for may have brought another job.
    ended = retirement.lock_leases(session, worker_id=worker_id)
    retirement.remove_worker(session, worker_id=worker_id)
    telling.tell_workers(session, "worker.removed", [worker_id])
    brought = Endings()
    for row in ended:
        tries.end_try(
            session,
            {"job_id": row.job_id, "fence": row.fence},
            cause=Cause.INFRA,
            error={"kind": "worker-removed", "message": "its worker was removed"},
            then=JobState.READY,
            brought=brought,
        )
    brought.settle(session)
    waking.change_after_commit(session, worker_id)
    if ended:
        waking.wake_after_commit(session)
    return len(ended)


def _not_found(worker_id: WorkerId) -> WorkerNotFound:
    return WorkerNotFound(f"worker {worker_id}", hint="`memoryd workers list` shows them")
