"""Environments over HTTP."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from memoryd.catalog.environments import RUNS_COUNTED, RunWithEnvironment
from memoryd.dispatch.stated_environments import Stated
from memoryd.reproduction.environments.finding import KnownEnvironment
from memoryd.reproduction.environments.members import device_names, unknown_members, word_of
from memoryd.reproduction.environments.nearness import Nearness
from memoryd.reproduction.environments.sources import KeptSource


class WorkerOfEnvironment(BaseModel):
    """A worker that stated the environment, first and last; `present`: it has it now."""

    id: UUID
    label: str
    first_at: datetime.datetime
    last_at: datetime.datetime
    present: bool

    @classmethod
    def of(cls, stated: Stated) -> WorkerOfEnvironment:
        """As it goes over the wire."""
        return cls(
            id=stated.worker_id,
            label=stated.label,
            first_at=stated.first_at,
            last_at=stated.last_at,
            present=stated.present,
        )


class EnvironmentShape(BaseModel):
    """An environment in a list. What is null is unknown; `runs` are counted up to a limit (`more_runs`)."""

    sha256: str
    comfyui: str | None
    comfyui_commit: str | None
    torch: str | None
    devices: str | None
    stand_in: bool
    known_since: datetime.datetime
    runs: int
    more_runs: bool
    last_run_at: datetime.datetime | None
    workers: list[WorkerOfEnvironment]

    @classmethod
    def of(cls, known: KnownEnvironment) -> EnvironmentShape:
        """As it goes over the wire."""
        return cls(**_shown(known))


class EnvironmentDetail(EnvironmentShape):
    """One environment. `unknown`: members it does not tell, and what each would say; `kept_sources`: by tree."""

    document: dict[str, Any]
    unknown: dict[str, str]
    kept_sources: dict[str, int]

    @classmethod
    def whole(cls, known: KnownEnvironment, kept: dict[str, KeptSource]) -> EnvironmentDetail:
        """As it goes over the wire."""
        return cls(
            **_shown(known),
            document=dict(known.document),
            unknown=unknown_members(known.document),
            kept_sources={tree: each.size for tree, each in kept.items()},
        )


def _shown(known: KnownEnvironment) -> dict[str, Any]:
    return {
        "sha256": known.sha256.hex(),
        **{name: word_of(known.document, name) for name in ("comfyui", "comfyui_commit", "torch")},
        "devices": device_names(known.document),
        "stand_in": "stand_in" in known.document,
        "known_since": known.at,
        "runs": known.runs.runs,
        "more_runs": known.runs.runs >= RUNS_COUNTED,
        "last_run_at": known.runs.last_at,
        "workers": [WorkerOfEnvironment.of(each) for each in known.stated],
    }


class Environments(BaseModel):
    """A page of environments, newest first."""

    items: list[EnvironmentShape]
    next_cursor: str | None


class RunShape(BaseModel):
    """A run that had the environment."""

    generation_id: UUID
    job_id: UUID | None
    project: str | None
    started_at: datetime.datetime | None
    recorded_at: datetime.datetime
    assets: list[UUID]

    @classmethod
    def of(cls, run: RunWithEnvironment) -> RunShape:
        """As it goes over the wire."""
        return cls(
            generation_id=run.generation_id,
            job_id=run.job_id,
            project=run.project,
            started_at=run.started_at,
            recorded_at=run.recorded_at,
            assets=list(run.assets),
        )


class Runs(BaseModel):
    """A page of runs, newest first."""

    items: list[RunShape]
    next_cursor: str | None


class DifferenceShape(BaseModel):
    """One difference. `bearing`: what it can explain (pixels, file, unlikely); `weight`: higher is likelier."""

    name: str
    then: Any
    now: Any
    bearing: str
    weight: int


class EnvironmentDiff(BaseModel):
    """Two environments, and every difference by name, the likeliest cause first."""

    then: str
    now: str
    identical: bool
    distance: int
    differences: list[DifferenceShape]

    @classmethod
    def of(cls, then: KnownEnvironment, now: KnownEnvironment, found: Nearness) -> EnvironmentDiff:
        """As it goes over the wire."""
        return cls(
            then=then.sha256.hex(),
            now=now.sha256.hex(),
            identical=found.identical,
            distance=found.distance,
            differences=[
                DifferenceShape(
                    name=each.name, then=each.then, now=each.now, bearing=each.bearing.value, weight=each.weight
                )
                for each in found.differences
            ],
        )


class CompareRequest(BaseModel):
    """A document that nobody registered, to be compared with an environment."""

    document: dict[str, Any]
