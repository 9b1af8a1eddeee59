"""When a job that is in the queue already starts and ends."""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.dispatch.estimating import P90, RUN_SPREAD, Estimate, estimate, estimates_of
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import JobId, PoolId
from memoryd.submission import queries


def estimate_of(session: Session, database: Database, job_id: JobId, *, scope: TenantScope) -> Estimate | None:
    """Return when a job starts and ends; None for one that has ended, is held, or is not there.

    `session` is a unit of work of `scope`, and is one again afterwards.
    """
    return list_estimates(session, database, [job_id], scope=scope).get(job_id)


def list_estimates(
    session: Session, database: Database, job_ids: Sequence[JobId], *, scope: TenantScope
) -> dict[JobId, Estimate]:
    """Return when jobs start and end; those are left out that have ended, are held, or are not there. Session as above."""
    take_farm(session)
    rows = {job_id: queries.find_in_queue(session, job_id=job_id) for job_id in job_ids}
    take_tenant(session, scope)
    found = {job_id: _estimate(database, row, scope) for job_id, row in rows.items()}
    return {job_id: one for job_id, one in found.items() if one is not None}


def _estimate(database: Database, row: queries.Found | None, scope: TenantScope) -> Estimate | None:
    if row is None or row.tenant_id != scope.id:
        return None
    if row.state == JobState.LEASED:
        left = row.left_ms / 1000
        return Estimate(
            position=0,
            starts_p50_s=0.0,
            starts_p90_s=0.0,
            ends_p50_s=round(left, 1),
            ends_p90_s=round(left + P90 * RUN_SPREAD * row.cost_ms / 1000, 1),
        )
    if row.state not in (JobState.READY, JobState.DELAYED):
        return None
    return estimate(
        estimates_of(database).current(database),
        PoolId(row.pool_id),
        row.class_id,
        # What has its own tag goes behind it, so that it does not count itself.
        row.vtag - 1 if row.state == JobState.READY else row.vtag,
        row.cost_ms,
        tenant_id=scope.id,
        after_s=row.wait_s,
    )
