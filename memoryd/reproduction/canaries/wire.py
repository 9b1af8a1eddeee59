"""The shapes of canaries over HTTP."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.dispatch.doubts import NOTE_LIMIT, Decision, Doubt, OthersDoubt
from memoryd.reproduction.canaries.facts import CanaryRun, Policy
from memoryd.reproduction.canaries.policies import ASSETS_DEFAULT
from memoryd.reproduction.canaries.showing import Overview


class PolicyRequest(BaseModel):
    """How a project is to keep canaries. `every_s`: seconds between runs, null for no schedule."""

    every_s: int | None = None
    after_change: bool = False
    assets: int = ASSETS_DEFAULT
    collection: str | None = None
    keep_out: bool = False


class PolicyShape(BaseModel):
    """How a project keeps canaries."""

    project: str
    every_s: int | None
    after_change: bool
    assets: int
    collection: str | None
    keep_out: bool
    set_at: datetime.datetime

    @classmethod
    def of(cls, policy: Policy) -> PolicyShape:
        """The policy as it goes over the wire."""
        return cls(
            project=policy.project,
            every_s=policy.every_s,
            after_change=policy.after_change,
            assets=policy.assets_limit,
            collection=policy.collection,
            keep_out=policy.keep_out,
            set_at=policy.set_at,
        )


class CanaryRunShape(BaseModel):
    """One run. `outcome` is against what the worker itself made before, `verdict` against the approved original."""

    id: UUID
    project: str
    asset_id: UUID
    worker_id: UUID
    worker: str
    reason: str
    state: str
    reproduction_id: UUID
    outcome: str | None
    verdict: str | None
    made_asset_id: UUID | None
    made_sha256: str | None
    baseline_sha256: str | None
    is_baseline: bool
    environment: str | None
    measures: dict[str, Any]
    causes: list[dict[str, Any]]
    doubt_id: UUID | None
    at: datetime.datetime
    ended_at: datetime.datetime | None

    @classmethod
    def of(cls, run: CanaryRun) -> CanaryRunShape:
        """The run as it goes over the wire."""
        return cls(
            id=run.id,
            project=run.project,
            asset_id=run.asset_id,
            worker_id=run.worker_id,
            worker=run.worker,
            reason=run.reason.value,
            state=run.state.value,
            reproduction_id=run.reproduction_id,
            outcome=run.outcome.value if run.outcome else None,
            verdict=run.verdict,
            made_asset_id=run.made_asset_id,
            made_sha256=run.made_sha256.hex() if run.made_sha256 else None,
            baseline_sha256=run.baseline_sha256.hex() if run.baseline_sha256 else None,
            is_baseline=run.is_baseline,
            environment=run.environment.hex() if run.environment else None,
            measures=dict(run.measures),
            causes=[dict(cause) for cause in run.causes],
            doubt_id=run.doubt_id,
            at=run.at,
            ended_at=run.ended_at,
        )


class DoubtShape(BaseModel):
    """A worker in doubt. `change`: what differs between its environments at the last good run and the first bad one.

    `changed` is null where one of the two is not known; `decision` null until somebody decided.
    """

    id: UUID
    worker_id: UUID
    worker: str
    project_id: UUID
    reason: str
    last_good_at: datetime.datetime | None
    first_bad_at: datetime.datetime
    change: list[dict[str, Any]]
    changed: bool | None
    keeps_out: bool
    bad_runs: int
    last_bad_at: datetime.datetime
    good_again_at: datetime.datetime | None
    raised_at: datetime.datetime
    decided_at: datetime.datetime | None
    decided_by: UUID | None
    decision: str | None
    note: str | None
    closed_at: datetime.datetime | None

    @classmethod
    def of(cls, doubt: Doubt) -> DoubtShape:
        """The doubt as it goes over the wire."""
        return cls(
            id=doubt.id,
            worker_id=doubt.worker_id,
            worker=doubt.label,
            project_id=doubt.project_id,
            reason=doubt.reason.value,
            last_good_at=doubt.last_good_at,
            first_bad_at=doubt.first_bad_at,
            change=[dict(one) for one in doubt.change],
            changed=doubt.changed,
            keeps_out=doubt.keeps_out,
            bad_runs=doubt.bad_runs,
            last_bad_at=doubt.last_bad_at,
            good_again_at=doubt.good_again_at,
            raised_at=doubt.raised_at,
            decided_at=doubt.decided_at,
            decided_by=doubt.decided_by,
            decision=doubt.decision.value if doubt.decision else None,
            note=doubt.note,
            closed_at=doubt.closed_at,
        )


class OthersDoubtShape(BaseModel):
    """That somebody else doubts a worker which serves you too."""

    worker_id: UUID
    worker: str
    last_good_at: datetime.datetime | None
    first_bad_at: datetime.datetime

    @classmethod
    def of(cls, doubt: OthersDoubt) -> OthersDoubtShape:
        """What may be told of it."""
        return cls(
            worker_id=doubt.worker_id,
            worker=doubt.label,
            last_good_at=doubt.last_good_at,
            first_bad_at=doubt.first_bad_at,
        )


class DoubtPage(DoubtShape):
    """A worker in doubt, with the runs that showed it, newest first."""

    runs: list[CanaryRunShape]


class OverviewShape(BaseModel):
    """Who keeps canaries, which workers are in doubt, and the newest run of each worker and asset."""

    policies: list[PolicyShape]
    doubts: list[DoubtShape]
    others: list[OthersDoubtShape]
    runs: list[CanaryRunShape]

    @classmethod
    def of(cls, seen: Overview) -> OverviewShape:
        """The whole as it goes over the wire."""
        return cls(
            policies=[PolicyShape.of(one) for one in seen.policies],
            doubts=[DoubtShape.of(one) for one in seen.doubts],
            others=[OthersDoubtShape.of(one) for one in seen.others],
            runs=[CanaryRunShape.of(one) for one in seen.runs],
        )


class RunRequest(BaseModel):
    """Whose canaries are to run now; `worker_id` null: on every worker."""

    project: str
    worker_id: UUID | None = None


class RunsAsked(BaseModel):
    """How many runs are due now that were not before."""

    due: int


class CanaryRuns(BaseModel):
    """A page of runs, newest first."""

    items: list[CanaryRunShape]
    next_cursor: str | None


class Doubts(BaseModel):
    """Workers in doubt: one's own by word, of others the worker alone."""

    items: list[DoubtShape]
    others: list[OthersDoubtShape]


class DecisionRequest(BaseModel):
    """What is decided about a worker in doubt: `accept`, `keep-out` or `clear`."""

    decision: Decision
    note: str | None = Field(default=None, max_length=NOTE_LIMIT)
