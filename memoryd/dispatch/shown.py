"""The queue as people read it over HTTP: pools, workers, depths. What workers read is in wire.py."""

from __future__ import annotations

import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.dispatch.facts import PoolDepth, PoolView, WorkerView
from memoryd.dispatch.pools import WARM_UP_S


class NewPool(BaseModel):
    """A pool to be made. `warm_up_s`: how long loading a model takes on its workers."""

    name: str
    warm_up_s: float = Field(default=WARM_UP_S, ge=0, le=3600)


class Pool(BaseModel):
    """A pool. Times in seconds."""

    name: str
    shared: bool
    max_run_time_s: float
    no_progress_limit_s: float
    warm_up_s: float


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
    )


def show_depth(depth: PoolDepth) -> Depth:
    """Return a pool's depth as people read it."""
    return Depth(
        pool=depth.pool,
        waiting=depth.waiting,
        waiting_s=depth.waiting_ms / 1000,
        running=depth.running,
        delayed=depth.delayed,
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
