"""Canaries as people see them: the runs, the workers in doubt, and the picture of the whole."""

from __future__ import annotations

import dataclasses

from memoryd.access import projects
from memoryd.access.facts import Caller, Sees
from memoryd.dispatch import doubts
from memoryd.dispatch.doubts import Doubt, OthersDoubt
from memoryd.foundation.database import Session, take_farm, take_tenant
from memoryd.foundation.ids import AssetId, CanaryRunId, DoubtId, ProjectId, ReproductionId, TenantId, WorkerId
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size
from memoryd.reproduction.canaries import policies, queries
from memoryd.reproduction.canaries.facts import CanaryRun, Outcome, Policy, Reason, RunState

STANDING_LIMIT = 500
"""Workers and assets whose newest run one look shows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Who keeps canaries, which workers are in doubt, and the newest run of each worker and asset.

    `others`: workers that serve this caller and that somebody else doubts, another tenant or an unseen project.
    """

    policies: tuple[Policy, ...]
    doubts: tuple[Doubt, ...]
    others: tuple[OthersDoubt, ...]
    runs: tuple[CanaryRun, ...]


def look(session: Session, caller: Caller) -> Overview:
    """Return the whole as a caller may see it. `session` is a unit of work of the tenant, and is one again afterwards."""
    own, others = in_doubt(session, caller)
    return Overview(
        policies=tuple(policies.list_policies(session, caller.sees)),
        doubts=tuple(own),
        others=tuple(others),
        runs=tuple(run_of(row) for row in queries.list_standing(session, sees=caller.sees, limit=STANDING_LIMIT)),
    )


def in_doubt(
    session: Session, caller: Caller, *, worker_id: WorkerId | None = None, standing: bool = True
) -> tuple[list[Doubt], list[OthersDoubt]]:
    """Return the doubts that a caller may read, and of the others the workers alone; only of one worker if given.

    `session` is a unit of work of the tenant, and is one again afterwards.
    """
    tenant_id = TenantId(caller.tenant.id)
    take_farm(session)
    own = doubts.list_doubts(session, tenant_id=tenant_id, projects=caller.sees, worker_id=worker_id, standing=standing)
    others = doubts.list_others(session, tenant_id=tenant_id, projects=caller.sees)
    take_tenant(session, caller.tenant)
    return own, [one for one in others if worker_id in (None, one.worker_id)]


def find_doubt(session: Session, caller: Caller, doubt_id: DoubtId) -> Doubt:
    """Return a doubt of a project that the caller sees. Raises: DoubtNotFound, also for another tenant's."""
    take_farm(session)
    found = doubts.find_doubt(session, doubt_id, tenant_id=TenantId(caller.tenant.id))
    take_tenant(session, caller.tenant)
    if caller.sees is not None and found.project_id not in caller.sees:
        raise doubts.DoubtNotFound(f"doubt {doubt_id}", hint="`memoryd canaries list` shows them")
    return found


def list_runs(
    session: Session,
    sees: Sees,
    *,
    project: str | None = None,
    worker_id: WorkerId | None = None,
    asset_id: AssetId | None = None,
    doubt_id: DoubtId | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[CanaryRun]:
    """Return a page of the runs that a caller may see, newest first. Raises: ProjectNotFound, BadCursor, BadPageSize."""
    size = page_size(limit)
    rows = queries.list_runs(
        session,
        sees=sees,
        project_id=projects.find_project(session, project, sees) if project is not None else None,
        worker_id=worker_id,
        asset_id=asset_id,
        doubt_id=doubt_id,
        before=decode_id(cursor),
        limit=size + 1,
    )
    runs = [run_of(row) for row in rows[:size]]
    return Page(rows=runs, next_cursor=encode_cursor(str(runs[-1].id)) if len(rows) > size else None)


def run_of(row: queries.Found) -> CanaryRun:
    """Return a stored run as a value."""
    return CanaryRun(
        id=CanaryRunId(row.id),
        project_id=ProjectId(row.project_id),
        project=row.project,
        asset_id=AssetId(row.asset_id),
        worker_id=WorkerId(row.worker_id),
        worker=row.worker,
        reason=Reason(row.reason),
        state=RunState(row.state),
        reproduction_id=ReproductionId(row.reproduction_id),
        outcome=Outcome(row.outcome) if row.outcome else None,
        verdict=row.verdict,
        made_asset_id=AssetId(row.made_asset_id) if row.made_asset_id else None,
        made_sha256=row.made_sha256,
        baseline_sha256=row.baseline_sha256,
        is_baseline=row.is_baseline,
        environment=row.environment,
        measures=row.measures,
        causes=tuple(row.causes),
        doubt_id=DoubtId(row.doubt_id) if row.doubt_id else None,
        at=row.at,
        ended_at=row.ended_at,
    )
