"""Canaries over HTTP: who keeps them, what they showed, and deciding about workers in doubt."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from memoryd.access import projects
from memoryd.access.guards import Administrator, Reader, Submitter
from memoryd.catalog.looking_up import find_asset
from memoryd.foundation.ids import DoubtId, WorkerId
from memoryd.reproduction.canaries import decisions, due, policies, showing, wire

router = APIRouter(tags=["canaries"])


@router.get("/canaries")
def show_canaries(work: Reader) -> wire.OverviewShape:
    """Which projects keep canaries, which workers are in doubt, and the newest run of each worker and asset."""
    return wire.OverviewShape.of(showing.look(work.session, work.caller))


@router.put("/canaries/policies/{project}")
def set_policy(project: str, asked: wire.PolicyRequest, work: Administrator) -> wire.PolicyShape:
    """Let a project keep canaries so from now on."""
    policy = policies.set_policy(
        work.session,
        work.caller,
        project,
        every_s=asked.every_s,
        after_change=asked.after_change,
        assets=asked.assets,
        collection=asked.collection,
        keep_out=asked.keep_out,
    )
    return wire.PolicyShape.of(policy)


@router.delete("/canaries/policies/{project}", status_code=204)
def drop_policy(project: str, work: Administrator) -> Response:
    """Let a project keep no canaries any more."""
    policies.drop_policy(work.session, work.caller, project)
    return Response(status_code=204)


@router.get("/canaries/runs")
def list_runs(
    work: Reader,
    project: str | None = None,
    worker_id: UUID | None = None,
    asset: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> wire.CanaryRuns:
    """Runs of canaries, newest first."""
    page = showing.list_runs(
        work.session,
        work.caller.sees,
        project=project,
        worker_id=WorkerId(worker_id) if worker_id is not None else None,
        asset_id=find_asset(work.session, asset, work.caller.sees) if asset is not None else None,
        cursor=cursor,
        limit=limit,
    )
    return wire.CanaryRuns(items=[wire.CanaryRunShape.of(one) for one in page.rows], next_cursor=page.next_cursor)


@router.post("/canaries/runs", status_code=202)
def run_now(asked: wire.RunRequest, work: Submitter) -> wire.RunsAsked:
    """Let a project's canaries run now, each worker one at a time."""
    project_id = projects.find_project(work.session, asked.project, work.caller.sees)
    worker = WorkerId(asked.worker_id) if asked.worker_id is not None else None
    return wire.RunsAsked(due=due.ask_now(work.session, work.caller, project_id, worker))


@router.get("/canaries/doubts")
def list_doubts(work: Reader, worker_id: UUID | None = None, standing: bool = True) -> wire.Doubts:
    """Workers in doubt; with `standing` false also those that were decided about."""
    worker = WorkerId(worker_id) if worker_id is not None else None
    own, others = showing.in_doubt(work.session, work.caller, worker_id=worker, standing=standing)
    return wire.Doubts(
        items=[wire.DoubtShape.of(one) for one in own], others=[wire.OthersDoubtShape.of(one) for one in others]
    )


@router.get("/canaries/doubts/{doubt_id}")
def show_doubt(doubt_id: UUID, work: Reader) -> wire.DoubtPage:
    """A worker in doubt: since when, after which change, and the runs that showed it."""
    doubt = showing.find_doubt(work.session, work.caller, DoubtId(doubt_id))
    page = showing.list_runs(work.session, work.caller.sees, doubt_id=doubt.id)
    runs = [wire.CanaryRunShape.of(one) for one in page.rows]
    return wire.DoubtPage(**wire.DoubtShape.of(doubt).model_dump(), runs=runs)


@router.post("/canaries/doubts/{doubt_id}/decision")
def decide(doubt_id: UUID, asked: wire.DecisionRequest, work: Administrator) -> wire.DoubtShape:
    """Decide about a worker in doubt: accept what it makes now, keep it out, or clear it."""
    return wire.DoubtShape.of(
        decisions.decide(work.session, work.caller, DoubtId(doubt_id), asked.decision, asked.note)
    )
