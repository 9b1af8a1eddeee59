"""The farm at one look, as people of one tenant see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from memoryd.dispatch import pools, workers
from memoryd.dispatch.facts import PoolDepth, PoolView, WorkerView
from memoryd.dispatch.queries import overview as statements
from memoryd.foundation.database import Session
from memoryd.foundation.ids import JobId, TenantId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolSeen:
    """A pool and how busy it is. `oldest_s`: how long the oldest of the jobs at its head waits, None without any."""

    pool: PoolView
    depth: PoolDepth
    oldest_s: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeen:
    """A worker, its card (memory in MiB, None where it does not tell), and the jobs of this tenant that it runs."""

    view: WorkerView
    gpu_name: str | None
    vram_mb: int | None
    vram_used_mb: int | None
    job_ids: tuple[JobId, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Pools by name, workers by label."""

    pools: Sequence[PoolSeen]
    workers: Sequence[WorkerSeen]


def read(session: Session, *, tenant_id: TenantId) -> Overview:
    """Return the pools that a tenant may use and the workers that serve it. `session` has taken the farm."""
    usable = pools.list_pools(session, tenant_id=tenant_id)
    depths = {depth.pool: depth for depth in pools.list_depths(session, usable, tenant_id=tenant_id)}
    oldest = {row.pool: row.oldest_s for row in statements.list_oldest(session, pool_ids=[pool.id for pool in usable])}
    cards = {row.id: row for row in statements.list_cards(session, tenant_id=tenant_id)}
    running: dict[object, list[JobId]] = {}
    for row in statements.list_running(session, tenant_id=tenant_id):
        running.setdefault(row.worker_id, []).append(JobId(row.job_id))
    return Overview(
        pools=[
            PoolSeen(pool=pool, depth=depths[pool.name], oldest_s=oldest.get(pool.name))
            for pool in usable
            if pool.name in depths
        ],
        workers=[
            _worker(view, cards, running)
            for view in workers.list_workers(session, tenant_id=tenant_id)
            if view.id in cards
        ],
    )


def _worker(
    view: WorkerView, cards: Mapping[object, statements.Found], running: Mapping[object, Sequence[JobId]]
) -> WorkerSeen:
    card = cards[view.id]
    return WorkerSeen(
        view=view,
        gpu_name=card.gpu_name,
        vram_mb=card.vram_mb,
        vram_used_mb=card.vram_used_mb,
        job_ids=tuple(running.get(view.id, ())),
    )
