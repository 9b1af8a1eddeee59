"""The queue as people read it over HTTP: pools, workers, depths. What workers read is in wire.py."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.dispatch.caps import MAX_RUNNING_LIMIT
from memoryd.dispatch.facts import CapView, PoolDepth, PoolView, WorkerView
from memoryd.dispatch.pools import WORD_LIMIT, PoolEdit
from memoryd.dispatch.weights import GREATEST, LEAST
from memoryd.foundation.ids import PersonId, ProjectId


class EditedPool(BaseModel):
    """What of a pool changes; what is not given stays. Times in seconds, memory in MiB.

    `warm_up`: a graph (API format) that its workers run before they claim; an empty one takes it away, as an empty text
    does with a region or a licence server.
    """

    vram_mb: int | None = Field(default=None, ge=0, lt=2**31)
    region: str | None = Field(default=None, max_length=WORD_LIMIT)
    licence_server: str | None = Field(default=None, max_length=WORD_LIMIT)
    labels: dict[str, str] | None = None
    rank: int | None = Field(default=None, ge=-1000, le=1000)
    max_run_time_s: float | None = Field(default=None, gt=0, le=30 * 24 * 3600)
    no_progress_limit_s: float | None = Field(default=None, gt=0, le=30 * 24 * 3600)
    warm_up_s: float | None = Field(default=None, ge=0, le=3600)
    warm_up: dict[str, Any] | None = None

    def edit(self) -> PoolEdit:
        """Return it as the room reads it."""
        given = self.model_dump(exclude={"warm_up", "name"}, exclude_none=True)
        graph = None if self.warm_up is None else json.dumps(self.warm_up) if self.warm_up else ""
        return PoolEdit(**given, warm_up=graph)


class NewPool(EditedPool):
    """A pool to be made. `warm_up_s`: how long loading a model takes on its workers."""

    name: str


class Pool(BaseModel):
    """A pool. Times in seconds, memory in MiB. `rank`: a worker of several pools tries the one of the greatest first.

    `backs_off_until`: nothing is claimed before, since runs failed on several workers for reasons of the farm.
    """

    name: str
    shared: bool
    max_run_time_s: float
    no_progress_limit_s: float
    warm_up_s: float
    vram_mb: int | None
    region: str | None
    licence_server: str | None
    labels: dict[str, Any]
    rank: int
    has_warm_up: bool
    paused_at: datetime.datetime | None
    backs_off_until: datetime.datetime | None


class Cap(BaseModel):
    """How many jobs of a scope run at once at most. What is null means any; `everybody`: it counts all tenants' jobs.

    `running`: what runs now, of this tenant.
    """

    id: UUID
    everybody: bool
    project: str | None
    person: str | None
    pool: str | None
    max_running: int
    running: int


class Caps(BaseModel):
    """The caps that count one's tenant's jobs."""

    items: list[Cap]
    next_cursor: None = None


class NewCap(BaseModel):
    """A cap to be set, in place of the one of the same scope. `project`: its slug; `person`: a login."""

    max_running: int = Field(ge=0, le=MAX_RUNNING_LIMIT)
    project: str | None = None
    person: str | None = None
    pool: str | None = None


class Weights(BaseModel):
    """How the tenant shares pools with others, and its projects what it gets. Projects that are not listed have 1."""

    tenant: float
    projects: dict[str, float]


class NewWeight(BaseModel):
    """A project's weight against the tenant's other projects."""

    weight: float = Field(ge=LEAST, le=GREATEST)


class Pause(BaseModel):
    """Whether something is paused now, and whether this call changed it."""

    paused: bool
    changed: bool


class Pools(BaseModel):
    """All pools one may use."""

    items: list[Pool]
    next_cursor: None = None


class Depth(BaseModel):
    """How busy a pool is. `waiting` stops counting at 500 a class; `waiting_s` is the estimated work in it."""

    pool: str
    waiting: int
    waiting_s: float
    running: int
    delayed: int
    held: int
    workers: int


class NewWorker(BaseModel):
    """A worker that may join. Its token is good once and for a day."""

    pool: str = "default"
    label: str | None = Field(default=None, max_length=100)


class JoinToken(BaseModel):
    """What a worker joins with: shown this once."""

    token: str
    pool: str


class Worker(BaseModel):
    """A worker."""

    id: UUID
    label: str
    host: str
    gpu_uuid: str | None
    state: str
    online: bool
    pools: list[str]
    running: int
    models: int
    protocol: int
    seen_at: datetime.datetime | None


class Workers(BaseModel):
    """The workers that serve one's tenant."""

    items: list[Worker]
    next_cursor: None = None


class Queue(BaseModel):
    """The queue now."""

    pools: list[Depth]
    workers: list[Worker]


def show_pool(pool: PoolView) -> Pool:
    """Return a pool as people read it."""
    return Pool(
        name=pool.name,
        shared=pool.shared,
        max_run_time_s=pool.max_run_time_s,
        no_progress_limit_s=pool.no_progress_limit_s,
        warm_up_s=pool.warm_up_s,
        vram_mb=pool.vram_mb,
        region=pool.region,
        licence_server=pool.licence_server,
        labels=dict(pool.labels),
        rank=pool.rank,
        has_warm_up=pool.warm_up is not None,
        paused_at=pool.paused_at,
        backs_off_until=pool.backs_off_until,
    )


def show_cap(cap: CapView, projects: Mapping[ProjectId, str], people: Mapping[PersonId, str]) -> Cap:
    """Return a cap as people read it. `projects`: their slugs; `people`: their logins."""
    return Cap(
        id=cap.id,
        everybody=cap.tenant_id is None,
        project=projects.get(cap.project_id, str(cap.project_id)) if cap.project_id else None,
        person=people.get(cap.person_id, str(cap.person_id)) if cap.person_id else None,
        pool=cap.pool,
        max_running=cap.max_running,
        running=cap.running,
    )


def show_depth(depth: PoolDepth) -> Depth:
    """Return a pool's depth as people read it."""
    return Depth(
        pool=depth.pool,
        waiting=depth.waiting,
        waiting_s=depth.waiting_ms / 1000,
        running=depth.running,
        delayed=depth.delayed,
        held=depth.held,
        workers=depth.workers,
    )


def show_worker(worker: WorkerView) -> Worker:
    """Return a worker as people read it."""
    return Worker(
        id=worker.id,
        label=worker.label,
        host=worker.host,
        gpu_uuid=worker.gpu_uuid,
        state=worker.state.value,
        online=worker.online,
        pools=list(worker.pools),
        running=worker.running,
        models=worker.models,
        protocol=worker.protocol,
        seen_at=worker.seen_at,
    )
