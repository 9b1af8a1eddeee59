"""The values this room hands out: who keeps canaries, what they showed, and what is to be decided."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, CanaryRunId, DoubtId, ProjectId, ReproductionId, WorkerId


class RunState(enum.StrEnum):
    """How far a canary run is."""

    DUE = "due"
    """It waits for its worker's turn."""
    RUNNING = "running"
    OVER = "over"


class Reason(enum.StrEnum):
    """Why a canary runs."""

    FIRST = "first"
    """This worker never made this asset: there is nothing yet to compare later runs with."""
    SCHEDULE = "schedule"
    CHANGE = "change"
    """The worker's environment is another one than at its last run."""
    ASKED = "asked"


class Outcome(enum.StrEnum):
    """What a canary run showed of its worker, compared with what that worker itself made before."""

    GOOD = "good"
    """Every byte is as it was, or as in the approved original."""
    FIRST = "first"
    """There was nothing of this worker's own to compare with: from now on there is."""
    FILE_DRIFTED = "file drifted"
    """Every pixel is as it was, the file around them is not."""
    DRIFTED = "drifted"
    """The worker makes other pixels than it made before."""
    NOT_ATTEMPTED = "not attempted"
    """Nothing was computed, so nothing can be said (INV-7)."""


AS_IT_WAS = (Outcome.GOOD, Outcome.FIRST)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a project keeps canaries. `every_s` None: not on a schedule. `collection`: its name; None is the whole project."""

    project_id: ProjectId
    project: str
    every_s: int | None
    after_change: bool
    assets_limit: int
    collection: str | None
    keep_out: bool
    set_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRun:
    """One run. `verdict` is against the approved original, `outcome` against the worker's own baseline."""

    id: CanaryRunId
    project_id: ProjectId
    project: str
    asset_id: AssetId
    worker_id: WorkerId
    worker: str
    reason: Reason
    state: RunState
    reproduction_id: ReproductionId
    outcome: Outcome | None
    verdict: str | None
    made_asset_id: AssetId | None
    made_sha256: bytes | None
    baseline_sha256: bytes | None
    is_baseline: bool
    environment: bytes | None
    measures: Mapping[str, Json]
    causes: tuple[Mapping[str, Json], ...]
    doubt_id: DoubtId | None
    at: datetime.datetime
    ended_at: datetime.datetime | None
