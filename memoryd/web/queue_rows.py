"""Jobs, groups and workers as the queue's pages show them: how they stand, and how far they are at this moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from memoryd.access.facts import Caller
from memoryd.catalog.asset_view import Face
from memoryd.catalog.faces import list_faces
from memoryd.dispatch import overview
from memoryd.dispatch.estimating import Estimate
from memoryd.dispatch.live_runs import live_runs_of
from memoryd.dispatch.overview import Overview, WorkerSeen
from memoryd.dispatch.states import WAITING, JobState
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, take_farm, take_tenant
from memoryd.foundation.ids import JobId, parse_id
from memoryd.submission import estimating_jobs, viewing
from memoryd.submission.facts import JobView
from memoryd.submission.grouping import viewing as grouping
from memoryd.submission.grouping.facts import GroupShown

ESTIMATED_LIMIT = 20
"""Jobs of a page of which is told when they start: each is looked up by itself."""

SHOWN_GROUPS = 10
RUNNING_LIMIT = 500
"""Runs that a page shows beside their workers."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as a page shows it. `progress` 0 to 1; `picture` numbers its newest preview, None without one.

    `own`: the caller asked for it.
    """

    view: JobView
    own: bool
    progress: float | None = None
    phase: str | None = None
    node: str | None = None
    picture: int | None = None
    estimate: Estimate | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker with what it runs. `hidden`: runs of projects, or of tenants, that the caller does not see."""

    seen: WorkerSeen
    jobs: Sequence[JobRow]
    hidden: int


def job_row(database: Database, view: JobView, caller: Caller, estimate: Estimate | None = None) -> JobRow:
    """Return a job as it stands at this moment, as far as this process hears of it."""
    now = view.standing
    own = caller.person_id is not None and view.person_id == caller.person_id
    live = live_runs_of(database).find(view.job_id) if now.state is JobState.LEASED else None
    if live is None:
        return JobRow(view=view, own=own, progress=now.progress, phase=now.phase, node=now.node, estimate=estimate)
    return JobRow(
        view=view,
        own=own,
        progress=live.progress if live.phase is not None else now.progress,
        phase=live.phase or now.phase,
        node=live.node or now.node,
        picture=live.picture.number if live.picture is not None else None,
        estimate=estimate,
    )


def job_rows(session: Session, database: Database, views: Sequence[JobView], caller: Caller) -> list[JobRow]:
    """Return jobs as they stand, the first ESTIMATED_LIMIT that wait with when they start. Session as in viewing."""
    waiting = [view.job_id for view in views if view.standing.state in WAITING][:ESTIMATED_LIMIT]
    starts = estimating_jobs.list_estimates(session, database, waiting, scope=caller.tenant) if waiting else {}
    return [job_row(database, view, caller, starts.get(view.job_id)) for view in views]


def read_farm(session: Session, database: Database, caller: Caller) -> tuple[Overview, list[WorkerRow]]:
    """Return the farm at one look, and its workers with what they run of what the caller sees. Session as in viewing."""
    take_farm(session)
    seen = overview.read(session, tenant_id=caller.tenant.id)
    take_tenant(session, caller.tenant)
    ids = [job_id for worker in seen.workers for job_id in worker.job_ids][:RUNNING_LIMIT]
    views = viewing.list_these(session, ids, scope=caller.tenant, sees=caller.sees)
    rows = {view.job_id: job_row(database, view, caller) for view in views}
    present = [worker for worker in seen.workers if worker.view.online or worker.view.running]
    return seen, [worker_row(worker, rows) for worker in present]


def worker_row(worker: WorkerSeen, rows: Mapping[JobId, JobRow]) -> WorkerRow:
    """Return a worker with those of its runs that are in `rows`."""
    jobs = [rows[job_id] for job_id in worker.job_ids if job_id in rows]
    return WorkerRow(seen=worker, jobs=jobs, hidden=max(0, worker.view.running - len(jobs)))


def faces_of(session: Session, results: Iterable[Mapping[str, Json] | None], caller: Caller) -> dict[str, Face]:
    """Return what lists show of the assets that jobs made, of those that the caller sees, by id."""
    made = [parse_id(str(output.get("asset_id"))) for result in results for output in _outputs(result)]
    faces = list_faces(session, [asset for asset in made if asset is not None], caller.sees)
    return {str(asset): face for asset, face in faces.items()}


def _outputs(result: Mapping[str, Json] | None) -> Iterator[Mapping[str, Json]]:
    outputs = (result or {}).get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        if isinstance(output, dict):
            yield output


def read_groups(session: Session, caller: Caller) -> list[GroupShown]:
    """Return the newest groups, and how far they are, SHOWN_GROUPS at most. Session as in viewing."""
    page = grouping.list_groups(session, scope=caller.tenant, sees=caller.sees, limit=SHOWN_GROUPS)
    return [grouping.show_group(session, view.id, scope=caller.tenant, sees=caller.sees) for view in page.rows]
