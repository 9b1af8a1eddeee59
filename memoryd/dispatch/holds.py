"""Pausing and resuming projects, and letting go what is held.

A pause is a row. From its commit on no claim takes a job of it: the claim looks at its one pick, and moves what is paused
aside. Beyond that, jobs are moved to the held ones in steps, at once the first, the rest by whoever tends the queue; a
job that is enqueued meanwhile is held at once, or found by the next step. Pools are paused in pools.py: nothing moves.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from uuid import UUID

from memoryd.dispatch import endings, telling, waking
from memoryd.dispatch.entering import LetIn, let_in
from memoryd.dispatch.queries import capping, ending, holding
from memoryd.dispatch.states import HeldBy, JobState
from memoryd.foundation.database import Session
from memoryd.foundation.ids import GroupId, JobId, ProjectId, TenantId

STEP_LIMIT = 500
"""Jobs that one transaction moves."""
PAUSED_LATELY_S = 120.0
"""How long after a pause its jobs are still looked for in the order: longer than any transaction that enqueues lasts."""


def pause_project(session: Session, project_id: ProjectId, *, tenant_id: TenantId) -> bool:
    """Let a project's jobs wait; what runs goes on. False where it was paused before."""
    made = holding.insert_paused_project(session, tenant_id=tenant_id, project_id=project_id)
    if made:
        _tell(session, "project.paused", project_id, tenant_id)
    hold_project(session, project_id, tenant_id=tenant_id)
    return made


def resume_project(session: Session, project_id: ProjectId, *, tenant_id: TenantId) -> bool:
    """Let a project's jobs go on; False where it was not paused. Jobs come back in their order, after their old tags."""
    ended = holding.delete_paused_project(session, tenant_id=tenant_id, project_id=project_id)
    if ended:
        _tell(session, "project.resumed", project_id, tenant_id)
    let_go(session, HeldBy.PROJECT, project_id)
    return ended


def list_paused_projects(session: Session, *, tenant_id: TenantId) -> dict[ProjectId, datetime.datetime]:
    """Return a tenant's paused projects, and since when."""
    return {ProjectId(row.project_id): row.at for row in holding.list_paused_projects(session, tenant_id=tenant_id)}


def hold_project(session: Session, project_id: ProjectId, *, tenant_id: TenantId) -> int:
    """Move jobs of a paused project aside, STEP_LIMIT at most; return how many."""
    moved = holding.delete_ready_of_project(session, tenant_id=tenant_id, project_id=project_id, limit=STEP_LIMIT)
    return len(_let_in(session, moved).states)


def hold_group(session: Session, group_id: GroupId) -> int:
    """Move jobs of a paused group aside, STEP_LIMIT at most; return how many."""
    moved = holding.delete_ready_of_group(session, group_id=group_id, limit=STEP_LIMIT)
    return len(_let_in(session, moved).states)


def let_go(session: Session, reason: HeldBy, waits_for: UUID, *, limit: int = STEP_LIMIT) -> int:
    """Let jobs that waited for this enter, or wait for what else holds them back; return how many were moved."""
    moved = holding.delete_held(session, reason=reason.value, waits_for=waits_for, limit=limit)
    _let_in(session, moved)
    return len(moved)


def enter_again(session: Session, taken: Sequence[UUID]) -> int:
    """Give jobs, just taken out of where they waited, the place that is right for them now; return how many."""
    return len(_let_in(session, taken).states)


def step(session: Session) -> int:
    """Do one step of all that pauses and caps leave to be done; return how many jobs were moved. Safe to repeat.

    For whoever tends the queue, in a transaction of its own.
    """
    moved: list[JobId] = []
    for row in holding.list_ended_pauses(session):
        ids = holding.delete_held(session, reason=row.reason, waits_for=row.waits_for, limit=STEP_LIMIT)
        moved += map(JobId, ids)
    for row in capping.list_roomy(session):
        ids = holding.delete_held(
            session, reason=HeldBy.CAP.value, waits_for=row.id, limit=max(0, min(row.room, STEP_LIMIT))
        )
        moved += map(JobId, ids)
    for row in holding.list_unmoved_pauses(session, newer_than_s=PAUSED_LATELY_S):
        if row.reason == HeldBy.GROUP:
            moved += map(JobId, holding.delete_ready_of_group(session, group_id=row.id, limit=STEP_LIMIT))
        else:
            ids = holding.delete_ready_of_project(session, tenant_id=row.tenant_id, project_id=row.id, limit=STEP_LIMIT)
            moved += map(JobId, ids)
    _let_in(session, moved)
    return len(moved)


def rescue_stranded(session: Session) -> int:
    """Let go jobs whose predecessor ended without letting them go; return how many (it should always be none)."""
    rows = holding.delete_stranded(session, limit=STEP_LIMIT)
    if not rows:
        return 0
    in_vain = [row for row in rows if row.state != JobState.SUCCEEDED]
    ending.cancel_followers(
        session,
        job_ids=[row.job_id for row in in_vain],
        befores=[row.waits_for for row in in_vain],
        states=[row.state for row in in_vain],
    )
    endings.settle_ended(session, [JobId(row.job_id) for row in in_vain], JobState.CANCELLED)
    _let_in(session, [JobId(row.job_id) for row in rows if row.state == JobState.SUCCEEDED])
    return len(rows)


def _tell(session: Session, kind: str, project_id: ProjectId, tenant_id: TenantId) -> None:
    telling.tell_tenant(session, kind, project_id, tenant_id=tenant_id, facts={"project_id": str(project_id)})


def _let_in(session: Session, job_ids: Sequence[UUID]) -> LetIn:
    let = let_in(session, job_ids)
    endings.settle_ended(session, let.of_state(JobState.CANCELLED), JobState.CANCELLED)
    if let.vtags:
        waking.wake_after_commit(session)
    return let
