"""Letting jobs in: those that enter for the first time by a longer way, and those that come back after a wait.

One rule for all of them says where a job goes: to the cancelled ones if somebody does not want it any more, among the
held while something holds it back, among the delayed before the start it was asked for, else into the fair order.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from memoryd.dispatch import telling
from memoryd.dispatch.fair_order import FlowState, place_back, place_new
from memoryd.dispatch.queries import entering as statements
from memoryd.dispatch.queries import upkeep
from memoryd.dispatch.queries.entering import Found
from memoryd.dispatch.states import HeldBy, JobState
from memoryd.foundation.database import Session
from memoryd.foundation.ids import JobId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LetIn:
    """Where jobs went. `vtags`: the tags of those that are in the order now."""

    states: Mapping[JobId, JobState]
    vtags: Mapping[JobId, int]

    def of_state(self, state: JobState) -> list[JobId]:
        """Return the jobs that went there."""
        return [job_id for job_id, present in self.states.items() if present is state]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a run took beyond its estimate, to be charged to its flow."""

    pool_id: UUID
    class_id: int
    tenant_id: UUID
    project_id: UUID | None
    over_ms: float


def let_in(session: Session, job_ids: Iterable[UUID], *, charges: Sequence[Charge] = (), new: bool = False) -> LetIn:
    """Give each job the place that is right for it now; they were just written, or just taken out of their place.

    `charges` are made in the same breath, since flows are locked in one order. Whoever gets CANCELLED in the answer is
    ended here; what its end brings (its chore, the jobs after it) is the caller's to do. `new`: they enter for the first
    time, and whoever asked for them tells that they are queued.
    """
    rows = statements.lock_entrants(session, job_ids=list(job_ids))
    holding = _Holding(session, rows)
    states: dict[JobId, JobState] = {}
    held: list[tuple[UUID, HeldBy, UUID]] = []
    for row in rows:
        reason = holding.of(row)
        if row.cancel_requested or holding.is_refused(row):
            states[JobId(row.id)] = JobState.CANCELLED
        elif reason is not None:
            states[JobId(row.id)] = JobState.HELD
            held.append((row.id, *reason))
        else:
            states[JobId(row.id)] = JobState.DELAYED if row.early else JobState.READY
    if held:
        statements.insert_held(
            session,
            job_ids=[job_id for job_id, _, _ in held],
            reasons=[reason.value for _, reason, _ in held],
            waits_for=[waits_for for _, _, waits_for in held],
        )
    early = [job_id for job_id, state in states.items() if state is JobState.DELAYED]
    if early:
        statements.insert_early(session, job_ids=early)
    cancelled = [job_id for job_id, state in states.items() if state is JobState.CANCELLED]
    if cancelled:
        upkeep.end_jobs(session, job_ids=cancelled, state=JobState.CANCELLED)
        if holding.refused:
            statements.note_refusals(session, job_ids=cancelled)
    _tell(session, rows, states, held, new=new)
    vtags = _enter(session, [row for row in rows if states[JobId(row.id)] is JobState.READY], charges)
    return LetIn(states=states, vtags=vtags)


def _tell(
    session: Session,
    rows: Sequence[Found],
    states: Mapping[JobId, JobState],
    held: Sequence[tuple[UUID, HeldBy, UUID]],
    *,
    new: bool,
) -> None:
    """Tell who is held and by what, who waits for a worker again after a wait, and who was not wanted any more."""
    for reason in HeldBy:
        waiting = [JobId(job_id) for job_id, why, _ in held if why is reason]
        telling.tell_jobs(session, "job.held", waiting, held_by=reason.value)
    waited = {JobId(row.id) for row in rows if not new and row.state in (JobState.DELAYED, JobState.HELD)}
    back = [job_id for job_id, state in states.items() if state is JobState.READY and job_id in waited]
    telling.tell_jobs(session, "job.let-go", back)
    cancelled = [job_id for job_id, state in states.items() if state is JobState.CANCELLED]
    telling.tell_jobs(session, "job.cancelled", cancelled)


class _Holding:
    """What holds jobs back now, and stays as it is until the commit."""

    def __init__(self, session: Session, rows: Sequence[Found]) -> None:
        groups = {row.group_id for row in rows if row.group_id is not None}
        projects = {row.project_id for row in rows if row.project_id is not None}
        approvals = {row.approval_id for row in rows if row.approval_id is not None}
        befores = {row.after_job_id for row in rows if row.after_job_id is not None}
        self.before = statements.lock_predecessors(session, job_ids=list(befores)) if befores else {}
        self.awaited: set[UUID] = set()
        self.refused: set[UUID] = set()
        for found in statements.lock_approvals(session, approval_ids=list(approvals)) if approvals else ():
            (self.awaited if found.refused is None else self.refused).add(found.id)
        self.paused_groups = (
            {row.id for row in statements.lock_groups(session, group_ids=list(groups)) if row.paused_at is not None}
            if groups
            else set()
        )
        self.paused_projects = (
            {
                (row.tenant_id, row.project_id)
                for row in statements.lock_paused_projects(session, project_ids=list(projects))
            }
            if projects
            else set()
        )

    def is_refused(self, row: Found) -> bool:
        return row.approval_id in self.refused

    def of(self, row: Found) -> tuple[HeldBy, UUID] | None:
        if row.after_job_id is not None and self.before.get(row.after_job_id) != JobState.SUCCEEDED:
            return HeldBy.AFTER, row.after_job_id
        if row.approval_id in self.awaited:
            return HeldBy.APPROVAL, row.approval_id
        if row.group_id in self.paused_groups:
            return HeldBy.GROUP, row.group_id
        if (row.tenant_id, row.project_id) in self.paused_projects:
            return HeldBy.PROJECT, row.project_id
        return None


_Flow = tuple[UUID, int, UUID, UUID | None]


def _enter(session: Session, rows: Sequence[Found], charges: Sequence[Charge]) -> dict[JobId, int]:
    """Put jobs into the fair order, those of a flow in the order they had; return their tags."""
    flows: dict[_Flow, list[Found]] = collections.defaultdict(list)
    for row in rows:
        flows[row.pool_id, row.class_id, row.tenant_id, row.project_id].append(row)
    owed: dict[_Flow, float] = collections.defaultdict(float)
    for charge in charges:
        owed[charge.pool_id, charge.class_id, charge.tenant_id, charge.project_id] += charge.over_ms
    vtags: dict[JobId, int] = {}
    # One order for all: two transactions must not wait for each other's flows in a circle.
    for flow in sorted(flows.keys() | owed.keys(), key=str):
        if flow in owed:
            statements.charge_flow(session, key=_key(flow), over_ms=owed[flow])
        if flow in flows:
            vtags |= _place(session, flow, flows[flow])
    if vtags:
        statements.insert_ready(session, job_ids=list(vtags), vtags=list(vtags.values()))
    return vtags


def _place(session: Session, key: _Flow, rows: Sequence[Found]) -> dict[JobId, int]:
    pool_id, class_id, tenant_id, project_id = key
    statements.lock_order_shared(session, pool_id, class_id)
    found = statements.lock_flow(
        session, pool_id=pool_id, class_id=class_id, tenant_id=tenant_id, project_id=project_id
    )
    flow = FlowState(**found._mapping)
    vtags: dict[JobId, int] = {}
    # First those that had a place, in their order; behind them those that never had one.
    for row in sorted(rows, key=lambda row: (row.vtag == 0, row.vtag, row.id)):
        if row.vtag:
            vtag, flow = place_back(flow, row.vtag, row.cost_ms)
        else:
            vtag, flow = place_new(flow, row.cost_ms)
        vtags[JobId(row.id)] = vtag
    reach = {"last_finish": flow.last_finish, "last_back": flow.last_back, "weight": flow.share}
    statements.update_flow(session, {**_key(key), **reach})
    return vtags


def _key(flow: _Flow) -> dict[str, object]:
    return dict(zip(("pool_id", "class_id", "tenant_id", "project_id"), flow, strict=True))
