"""Usage over HTTP."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from uuid import UUID

from pydantic import BaseModel

from memoryd.dispatch.usage import RunView, UsageSum
from memoryd.submission.usage.summing import Answer


class Sum(BaseModel):
    """What some tries of jobs cost together. Times in seconds.

    `key` names what they have in common, in the order that was asked for. `gpu_s` is how long they held a GPU, of which
    workers measured `executing_s` and, before the first step, `loading_s`. `failed` counted against the job, `lost` did
    not: the farm's fault.
    """

    key: list[str | None]
    runs: int
    jobs: int
    succeeded: int
    failed: int
    lost: int
    cancelled: int
    gpu_s: float
    executing_s: float
    loading_s: float
    loads: int
    waited_s: float
    waited_p50_s: float
    waited_p95_s: float


class Usage(BaseModel):
    """What was used in [since, until), the dearest first, and in all."""

    since: datetime.datetime
    until: datetime.datetime
    by: list[str]
    items: list[Sum]
    total: Sum
    next_cursor: None = None


class Run(BaseModel):
    """One try of a job. Times in seconds; null where the worker did not tell."""

    job_id: UUID
    project: str | None
    person: str | None
    pool: str
    urgency: str
    worker: str | None
    model: str
    outcome: str
    kind: str | None
    waited_s: float
    started_at: datetime.datetime
    ended_at: datetime.datetime
    gpu_s: float
    loading_s: float | None
    executing_s: float | None
    model_loaded: bool | None
    vram_peak_mb: int | None


class Runs(BaseModel):
    """A page of tries, newest first."""

    items: list[Run]
    next_cursor: str | None


def show_usage(answer: Answer, by: Sequence[str]) -> Usage:
    """Return usage as it is read."""
    return Usage(
        since=answer.since,
        until=answer.until,
        by=list(by),
        items=[_sum(row) for row in answer.rows],
        total=_sum(answer.total),
    )


def show_run(run: RunView, names: Mapping[str, str]) -> Run:
    """Return one try as it is read; `names` are those of projects and people by id."""
    return Run(
        job_id=run.job_id,
        project=names.get(str(run.project_id)),
        person=names.get(str(run.person_id)),
        pool=run.pool,
        urgency=run.urgency,
        worker=run.worker,
        model=run.model,
        outcome=run.outcome.value,
        kind=run.kind,
        waited_s=run.waited_s,
        started_at=run.started_at,
        ended_at=run.ended_at,
        gpu_s=run.gpu_s,
        loading_s=run.loading_s,
        executing_s=run.executing_s,
        model_loaded=run.model_loaded,
        vram_peak_mb=run.vram_peak_mb,
    )


def _sum(row: UsageSum) -> Sum:
    return Sum(
        key=list(row.key),
        runs=row.runs,
        jobs=row.jobs,
        succeeded=row.succeeded,
        failed=row.failed,
        lost=row.lost,
        cancelled=row.cancelled,
        gpu_s=row.gpu_s,
        executing_s=row.executing_s,
        loading_s=row.loading_s,
        loads=row.loads,
        waited_s=row.waited_s,
        waited_p50_s=row.waited_p50_s,
        waited_p95_s=row.waited_p95_s,
    )
