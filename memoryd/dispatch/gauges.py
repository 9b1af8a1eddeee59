"""The state of the whole farm, as its operator watches it: over all tenants, and without any tenant's data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memoryd.dispatch import doubts
from memoryd.dispatch.doubts import DoubtGauge
from memoryd.dispatch.queries import gauges as statements
from memoryd.foundation.database import Session

RECENT_S = 3_600.0
"""Runs that ended within this are told as recent: a rate over an hour, whichever process recorded them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OrderGauge:
    """What waits in one pool and class. `waiting_s` is estimated work in GPU-seconds, `lag_s` the watermark's."""

    pool: str
    urgency: str
    waiting: int
    waiting_s: float
    oldest_s: float
    lag_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolGauge:
    """How a pool stands."""

    pool: str
    paused: bool
    running: int
    delayed: int
    held: int
    dead: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGauge:
    """How a worker stands. `silent_s` None: never heard. Memory in MiB, None where it does not tell."""

    id: str
    label: str
    gpu: str | None
    state: str
    online: bool
    silent_s: float | None
    pools: tuple[str, ...]
    running: int
    vram_mb: int | None
    vram_used_mb: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunGauge:
    """Runs of the last RECENT_S that ended alike. `loads` loaded a model, `warm` found it loaded; others do not tell."""

    pool: str
    outcome: str
    kind: str
    runs: int
    gpu_s: float
    waited_s: float
    loads: int
    warm: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChoreGauge:
    """The server's own follow-up work of one kind."""

    kind: str
    waiting: int
    given_up: int
    oldest_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FarmGauge:
    """Everything at one moment. `snapshot_s`: age of the oldest snapshot that holds vacuum back, None where unknown."""

    orders: Sequence[OrderGauge]
    pools: Sequence[PoolGauge]
    workers: Sequence[WorkerGauge]
    runs: Sequence[RunGauge]
    chores: Sequence[ChoreGauge]
    doubts: Sequence[DoubtGauge]
    ready_live: int
    ready_dead: int
    snapshot_s: float | None


def read(session: Session) -> FarmGauge:
    """Return the farm's state. `session` has taken the farm."""
    upkeep = statements.find_upkeep(session)
    return FarmGauge(
        orders=[
            OrderGauge(
                pool=row.pool,
                urgency=row.urgency,
                waiting=row.waiting,
                waiting_s=float(row.waiting_s),
                oldest_s=float(row.oldest_s),
                lag_s=float(row.lag),
            )
            for row in statements.list_orders(session)
        ],
        pools=[
            PoolGauge(
                pool=row.pool,
                paused=row.paused,
                running=row.running,
                delayed=row.delayed,
                held=row.held,
                dead=row.dead,
            )
            for row in statements.list_pools(session)
        ],
        workers=[
            WorkerGauge(
                id=str(row.id),
                label=row.label,
                gpu=row.gpu,
                state=row.state,
                online=row.online,
                silent_s=None if row.silent_s is None else float(row.silent_s),
                pools=tuple(row.pools),
                running=row.running,
                vram_mb=row.vram_mb,
                vram_used_mb=row.vram_used_mb,
            )
            for row in statements.list_workers(session)
        ],
        runs=[
            RunGauge(
                pool=row.pool,
                outcome=row.outcome,
                kind=row.kind,
                runs=row.runs,
                gpu_s=float(row.gpu_s),
                waited_s=float(row.waited_s or 0),
                loads=row.loads,
                warm=row.warm,
            )
            for row in statements.list_runs(session, within_s=RECENT_S)
        ],
        chores=[
            ChoreGauge(kind=row.kind, waiting=row.waiting, given_up=row.given_up, oldest_s=float(row.oldest_s))
            for row in statements.count_chores(session)
        ],
        doubts=doubts.read_gauges(session),
        ready_live=upkeep.ready_live,
        ready_dead=upkeep.ready_dead,
        snapshot_s=None if upkeep.snapshot_s is None else float(upkeep.snapshot_s),
    )
