"""Dead letters: jobs that were given up. They wait for somebody to look, and are replayed or discarded."""

from __future__ import annotations

from memoryd.dispatch import telling, waking
from memoryd.dispatch.entering import let_in
from memoryd.dispatch.facts import DeadFilter, DeadLetter, Place, Urgency
from memoryd.dispatch.jobs import EXPIRES_IN_S, find_place, shown_failures
from memoryd.dispatch.pools import CLASS_IDS
from memoryd.dispatch.queries import grouping
from memoryd.dispatch.queries import letters as statements
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import JobId, TenantId

STEP_LIMIT = 500
"""Jobs that one call moves: whoever calls goes on, in a transaction of its own, while there are more."""


class NotDead(Conflict):
    """This job is not among the dead letters."""


def list_dead(
    session: Session,
    *,
    tenant_id: TenantId,
    before: JobId | None,
    limit: int,
    only: DeadFilter | None = None,
) -> list[DeadLetter]:
    """Return a tenant's given-up jobs that fit, newest first, before a job's id."""
    rows = statements.list_dead(session, tenant_id=tenant_id, only=only or DeadFilter(), before=before, limit=limit)
    return [
        DeadLetter(
            job_id=JobId(row.job_id), pool=row.pool, reason=row.reason, at=row.at, failures=shown_failures(row.failures)
        )
        for row in rows
    ]


def replay(session: Session, job_id: JobId, *, tenant_id: TenantId) -> Place:
    """Let a given-up job be tried again with a new budget of tries: the same job, a new fence. Raises: NotDead."""
    if not statements.is_dead(session, tenant_id=tenant_id, job_id=job_id):
        raise _not_dead(job_id)
    renewed = grouping.renew_jobs(session, job_ids=[job_id], expires_in_s=EXPIRES_IN_S)
    if not renewed:
        raise _not_dead(job_id)
    let_in(session, renewed)
    waking.wake_after_commit(session)
    return find_place(session, job_id)


def replay_all(session: Session, only: DeadFilter, *, tenant_id: TenantId) -> list[JobId]:
    """Let given-up jobs that fit be tried again as batch work, so that they flood nobody; STEP_LIMIT at most.

    Returns which; call it again, in another transaction, until there are none.
    """
    rows = statements.list_dead(session, tenant_id=tenant_id, only=only, before=None, limit=STEP_LIMIT)
    renewed = grouping.renew_jobs(
        session,
        job_ids=[row.job_id for row in rows],
        expires_in_s=EXPIRES_IN_S,
        class_id=CLASS_IDS[Urgency.BATCH],
    )
    let_in(session, renewed)
    again = [JobId(job_id) for job_id in renewed]
    telling.tell_jobs(session, "job.replayed", again)
    waking.wake_after_commit(session)
    return again


def discard(session: Session, job_id: JobId, *, tenant_id: TenantId, by: str) -> None:
    """Give a job up for good: it is cancelled, and says by whom. Raises: NotDead."""
    if not statements.discard(session, job_ids=[job_id], tenant_id=tenant_id, by=by):
        raise _not_dead(job_id)


def discard_all(session: Session, only: DeadFilter, *, tenant_id: TenantId, by: str) -> list[JobId]:
    """Give up for good the jobs that fit, STEP_LIMIT at most; return which. Call it again until there are none."""
    rows = statements.list_dead(session, tenant_id=tenant_id, only=only, before=None, limit=STEP_LIMIT)
    gone = statements.discard(session, job_ids=[row.job_id for row in rows], tenant_id=tenant_id, by=by)
    discarded = [JobId(job_id) for job_id in gone]
    telling.tell_jobs(session, "job.discarded", discarded)
    return discarded


def _not_dead(job_id: JobId) -> NotDead:
    return NotDead(f"job {job_id}", hint="`memoryd jobs dead` lists those that were given up")
