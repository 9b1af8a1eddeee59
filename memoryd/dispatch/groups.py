"""Groups: jobs that were asked for together. One progress, one pause, one cancel, and a resume of what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.dispatch import endings, holds, jobs, telling, waking
from memoryd.dispatch.entering import let_in
from memoryd.dispatch.facts import Cancellation, GroupProgress, GroupView
from memoryd.dispatch.jobs import GroupCancelled
from memoryd.dispatch.queries import entering
from memoryd.dispatch.queries import grouping as statements
from memoryd.dispatch.states import ENDED, WAITING, HeldBy, JobState
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.ids import GroupId, JobId, PersonId, ProjectId, TenantId, new_id
from memoryd.foundation.texts import storable

TOTAL_LIMIT = 100_000
"""Jobs of one group."""
NAME_LIMIT = 200
"""Characters."""
STEP_LIMIT = 1_000
"""Jobs that one call cancels or renews: whoever calls goes on, in a transaction of its own, while there are more."""

MISSING = frozenset({JobState.DEAD, JobState.CANCELLED, JobState.EXPIRED})
"""States of items that have no result and will have none."""


class GroupNotFound(NotFound):
    """There is no such group."""


class BadGroup(NotAcceptable):
    """A group cannot be asked for like this."""


def make(
    session: Session,
    *,
    tenant_id: TenantId,
    name: str,
    total: int,
    project_id: ProjectId | None = None,
    person_id: PersonId | None = None,
) -> GroupId:
    """Make a group of `total` jobs, and return its id, which they then name. Raises: BadGroup."""
    if not 1 <= total <= TOTAL_LIMIT:
        raise BadGroup(f"{total} jobs", hint=f"1 to {TOTAL_LIMIT} (TOTAL_LIMIT); make several groups")
    group_id = GroupId(new_id())
    values: dict[str, object] = {"id": group_id, "tenant_id": tenant_id, "total": total}
    values |= {"name": storable(name)[0].strip()[:NAME_LIMIT], "project_id": project_id, "person_id": person_id}
    statements.insert_group(session, values)
    return group_id


def find(session: Session, group_id: GroupId, *, tenant_id: TenantId) -> GroupView:
    """Return a group. Raises: GroupNotFound, also for another tenant's."""
    row = statements.find_group(session, group_id=group_id, tenant_id=tenant_id)
    if row is None:
        raise _not_found(group_id)
    return _view(row)


def list_groups(
    session: Session,
    *,
    tenant_id: TenantId,
    projects: Sequence[ProjectId] | None,
    person_id: PersonId | None = None,
    before: GroupId | None = None,
    limit: int = 100,
) -> list[GroupView]:
    """Return a tenant's groups, newest first, before one: all (`projects` None), or of these projects or this person."""
    rows = statements.list_groups(
        session, tenant_id=tenant_id, projects=projects, person_id=person_id, before=before, limit=limit
    )
    return [_view(row) for row in rows]


def progress(session: Session, group_id: GroupId, *, tenant_id: TenantId) -> GroupProgress:
    """Return how far a group is. Costs what its jobs are many. Raises: GroupNotFound."""
    group = find(session, group_id, tenant_id=tenant_id)
    rows = statements.list_counts(session, group_id=group_id)
    counts = {JobState(row.state): int(row.jobs) for row in rows}
    cost = {JobState(row.state): int(row.cost_ms) for row in rows}
    whole = sum(cost.values())
    left = sum(ms for state, ms in cost.items() if state not in ENDED)
    workers = statements.count_workers(session, group_id=group_id) if left and group.paused_at is None else 0
    return GroupProgress(
        counts=counts,
        done=cost.get(JobState.SUCCEEDED, 0) / whole if whole else 0.0,
        missing=sum(counts.get(state, 0) for state in MISSING),
        ends_in_s=round(left / workers / 1000, 1) if workers else None,
    )


def pause(session: Session, group_id: GroupId, *, tenant_id: TenantId) -> bool:
    """Let a group's jobs wait; what runs goes on. False where it is paused already. Raises: GroupNotFound, GroupCancelled."""
    changed = _change(session, group_id, tenant_id, paused=True)
    holds.hold_group(session, group_id)
    return changed


def resume(session: Session, group_id: GroupId, *, tenant_id: TenantId) -> bool:
    """Let a group's jobs go on; False where it is not paused. Raises: GroupNotFound, GroupCancelled."""
    changed = _change(session, group_id, tenant_id, paused=False)
    holds.let_go(session, HeldBy.GROUP, group_id)
    return changed


def cancel(session: Session, group_id: GroupId, *, tenant_id: TenantId) -> int:
    """Cancel what of a group has not ended, STEP_LIMIT jobs at most; return how many that were, and how many are left.

    Call it again, in another transaction, until it answers 0. What runs stops with its worker's next heartbeat.
    Raises: GroupNotFound.
    """
    find(session, group_id, tenant_id=tenant_id)
    # What runs is told first, then what waits is ended, and the group's own row comes last, as wherever jobs end or enter.
    ended = [
        job_id
        for job_id in _of_state(session, group_id, [JobState.LEASED], STEP_LIMIT)
        if jobs.cancel(session, job_id, tenant_id=tenant_id) is Cancellation.CANCELLED
    ]
    waiting = jobs.cancel_waiting(session, _of_state(session, group_id, sorted(WAITING), STEP_LIMIT))
    telling.tell_jobs(session, "job.cancelled", waiting, cause="group")
    statements.set_cancelled(session, group_id=group_id, tenant_id=tenant_id)
    # Whoever was entering it has done so by now, or will be refused.
    left = _of_state(session, group_id, sorted(WAITING), STEP_LIMIT)
    return len(ended) + len(waiting) + len(left)


def retry_missing(session: Session, group_id: GroupId, *, tenant_id: TenantId) -> int:
    """Give the items that ended without a result a fresh budget, STEP_LIMIT at most; return how many that were.

    Nothing that succeeded is done again. Call it again until it answers 0: each item is renewed once.
    Raises: GroupNotFound.
    """
    find(session, group_id, tenant_id=tenant_id)
    renewed = statements.renew_jobs(
        session, job_ids=_of_state(session, group_id, sorted(MISSING), STEP_LIMIT), expires_in_s=jobs.EXPIRES_IN_S
    )
    # The jobs that they follow before the group's own row, as wherever jobs end or enter.
    befores = {row.after_job_id for row in entering.lock_entrants(session, job_ids=renewed) if row.after_job_id}
    if befores:
        entering.lock_predecessors(session, job_ids=sorted(befores))
    statements.revive(session, group_id=group_id, tenant_id=tenant_id)
    let = let_in(session, renewed)
    endings.settle_ended(session, let.of_state(JobState.CANCELLED), JobState.CANCELLED)
    telling.tell_jobs(session, "job.replayed", [JobId(job_id) for job_id in renewed])
    waking.wake_after_commit(session)
    return len(renewed)


def _of_state(session: Session, group_id: GroupId, states: Sequence[JobState], limit: int) -> list[JobId]:
    words = [state.value for state in states]
    rows = statements.list_of_state(session, group_id=group_id, states=words, after=None, limit=limit)
    return [JobId(row) for row in rows]


def _change(session: Session, group_id: GroupId, tenant_id: TenantId, *, paused: bool) -> bool:
    changed = statements.set_paused(session, group_id=group_id, tenant_id=tenant_id, paused=paused)
    if not changed and find(session, group_id, tenant_id=tenant_id).cancelled_at is not None:
        raise GroupCancelled(f"group {group_id}", hint="`memoryd groups retry` lets what is missing run after all")
    return changed


def _view(row: statements.Found) -> GroupView:
    return GroupView(
        id=GroupId(row.id),
        project_id=ProjectId(row.project_id) if row.project_id else None,
        person_id=PersonId(row.person_id) if row.person_id else None,
        name=row.name,
        total=row.total,
        paused_at=row.paused_at,
        cancelled_at=row.cancelled_at,
        created_at=row.created_at,
    )


def _not_found(group_id: GroupId) -> GroupNotFound:
    return GroupNotFound(f"group {group_id}", hint="`memoryd groups list` shows yours")
