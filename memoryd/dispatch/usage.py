"""What tries of jobs cost, for those who plan and bill: GPU time, waits, loads and failures of one tenant."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from enum import StrEnum

from memoryd.dispatch.facts import LeaseKey
from memoryd.dispatch.queries import usage as statements
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import JobId, PersonId, ProjectId, TenantId

KEYS_LIMIT = 3
"""Things that one table is summed by."""

MEASURE_LIMIT_S = 30 * 24 * 3600.0
"""What a worker measured is never longer: a number made up must not break a sum."""

ROWS_LIMIT = 5_000
"""Rows of one table; the dearest come first."""


class RunOutcome(StrEnum):
    """How a try ended."""

    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED = "failed"  # by the job's own fault: it counted
    LOST = "lost"  # by the farm's: it did not count


class BadUsage(NotAcceptable):
    """Usage cannot be asked for like this."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UsageAsked:
    """Which tries: those that ended in [since, until). None is all; `jobs` are those whose texts were searched for."""

    tenant_id: TenantId
    since: datetime.datetime
    until: datetime.datetime
    zone: str = "UTC"
    projects: Sequence[ProjectId] | None = None
    person: PersonId | None = None
    pool: str | None = None
    model: str | None = None
    jobs: Sequence[JobId] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """What some tries cost together. `key` is in the order that was asked for; None is no project, person or worker.

    `gpu_s` is the time for which they held a GPU, of which `executing_s` and `loading_s` are what workers measured.
    """

    key: tuple[str | None, ...]
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One try. Times in seconds; None where the worker did not tell."""

    fence: int
    job_id: JobId
    project_id: ProjectId | None
    person_id: PersonId | None
    pool: str
    urgency: str
    worker: str | None
    model: str
    outcome: RunOutcome
    kind: str | None
    waited_s: float
    started_at: datetime.datetime
    ended_at: datetime.datetime
    loading_s: float | None
    executing_s: float | None
    model_loaded: bool | None
    vram_peak_mb: int | None

    @property
    def gpu_s(self) -> float:
        """For how long it held a GPU."""
        return (self.ended_at - self.started_at).total_seconds()


def sum_up(session: Session, asked: UsageAsked, *, by: Sequence[str]) -> list[UsageSum]:
    """Return the sums by these of `statements.KEYS`, the dearest first, ROWS_LIMIT at most. Raises: BadUsage."""
    unknown = [key for key in by if key not in statements.KEYS]
    if unknown or len(set(by)) != len(by) or len(by) > KEYS_LIMIT:
        raise BadUsage(
            f"by {', '.join(map(repr, by))[:200]}",
            hint=f"sum by up to {KEYS_LIMIT} different ones of {', '.join(statements.KEYS)}",
        )
    return [
        UsageSum(
            key=tuple(row[: len(by)]),
            runs=row.runs,
            jobs=row.jobs,
            succeeded=row.succeeded,
            failed=row.failed,
            lost=row.lost,
            cancelled=row.cancelled,
            gpu_s=float(row.gpu_s),
            executing_s=float(row.executing_s),
            loading_s=float(row.loading_s),
            loads=row.loads,
            waited_s=float(row.waited_s),
            waited_p50_s=float(row.waited_p50_s),
            waited_p95_s=float(row.waited_p95_s),
        )
        for row in statements.sum_runs(session, _values(asked), by=by, limit=ROWS_LIMIT)
    ]


def list_runs(session: Session, asked: UsageAsked, *, before: int | None, limit: int) -> list[RunView]:
    """Return single tries, the newest first, before a fence."""
    return [
        RunView(
            fence=row.fence,
            job_id=JobId(row.job_id),
            project_id=ProjectId(row.project_id) if row.project_id else None,
            person_id=PersonId(row.person_id) if row.person_id else None,
            pool=row.pool,
            urgency=row.urgency,
            worker=row.worker,
            model=row.model_set,
            outcome=RunOutcome(row.outcome),
            kind=row.kind,
            waited_s=row.waited_ms / 1000,
            started_at=row.leased_at,
            ended_at=row.ended_at,
            loading_s=None if row.loading_ms is None else row.loading_ms / 1000,
            executing_s=None if row.executing_ms is None else row.executing_ms / 1000,
            model_loaded=row.model_loaded,
            vram_peak_mb=row.vram_peak_mb,
        )
        for row in statements.list_runs(session, _values(asked), before=before, limit=limit)
    ]


def note_measures(
    session: Session,
    lease: LeaseKey,
    *,
    loading_s: float | None,
    executing_s: float | None,
    model_loaded: bool | None,
    vram_peak_mb: int | None,
) -> None:
    """Add what a worker measured of a try to what is known of it, once its lease has ended. None is not measured."""
    if loading_s is executing_s is model_loaded is vram_peak_mb is None:
        return
    measures = {
        "loading_ms": None if loading_s is None else round(min(loading_s, MEASURE_LIMIT_S) * 1000),
        "executing_ms": None if executing_s is None else round(min(executing_s, MEASURE_LIMIT_S) * 1000),
        "model_loaded": model_loaded,
        "vram_peak_mb": vram_peak_mb,
    }
    statements.update_measures(session, job_id=lease.job_id, fence=lease.fence, measures=measures)


def _values(asked: UsageAsked) -> dict[str, object]:
    return {
        "tenant_id": asked.tenant_id,
        "since": asked.since,
        "until": asked.until,
        "zone": asked.zone,
        "projects": None if asked.projects is None else list(asked.projects),
        "person": asked.person,
        "pool": asked.pool,
        "model": asked.model,
        "jobs": None if asked.jobs is None else list(asked.jobs),
    }
