"""Every statement about leases while they live. The guard stands in the statement that changes the row (INV-4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Double, Row, Text, bindparam, text

from memoryd.foundation.database import Session
from memoryd.foundation.lean_statements import Lean

Found = Row[Any]
_DOUBLE: Double[float] = Double()
_TEXT = Text()


def extend_lease(session: Session, values: Mapping[str, object]) -> Found | None:
    """Extend a lease by its class's visibility, but past neither its deadline nor the limit without progress.

    Returns whether the job is to be cancelled, and whether this is its run's first sign of life: cancel, first; None
    where the lease is lost.
    """
    return session.execute(
        text("""
        update lease l
           set progress = :progress, phase = :phase, node = :node,
               progressed_at = case when (l.progress, l.phase, l.node) is distinct from (:progress, :phase, :node)
                                    then clock_timestamp() else l.progressed_at end,
               expires_at = least(clock_timestamp() + make_interval(secs => k.visibility_s), l.deadline_at,
                                  case when (l.progress, l.phase, l.node) is distinct from (:progress, :phase, :node)
                                       then l.deadline_at
                                       else l.progressed_at + make_interval(secs => p.no_progress_limit_s) end)
          from job_class k, pool p, lease b
         where l.job_id = :job_id and l.fence = :fence and l.token_hash = :token_hash and l.worker_id = :worker_id
           and b.job_id = l.job_id and k.id = l.class_id and p.id = l.pool_id
        returning (select j.cancel_requested from job j where j.id = l.job_id) as cancel,
                  b.phase is null as first""").bindparams(
            bindparam("progress", type_=_DOUBLE), bindparam("phase", type_=_TEXT), bindparam("node", type_=_TEXT)
        ),
        dict(values),
    ).first()


_FIND_LEASE = Lean("""
    select l.job_id, l.tenant_id from lease l
     where l.job_id = :job_id and l.fence = :fence and l.token_hash = :token_hash and l.worker_id = :worker_id""")


def find_lease(session: Session, values: Mapping[str, object]) -> Any | None:
    """The lease that job, fence, token and worker name: job_id, tenant_id."""
    return _FIND_LEASE.first(session, values)
