"""Pools and job classes: where a job may run, and how urgently."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memoryd.dispatch.facts import PoolDepth, PoolView, Urgency
from memoryd.dispatch.queries import fleet
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable, NotFound
from memoryd.foundation.ids import PoolId, TenantId, new_id

DEFAULT_POOL = "default"

MAX_RUN_TIME_S = 3600.0
"""A run is given up after this: videos of minutes take less on the cards of today."""
NO_PROGRESS_LIMIT_S = 900.0
"""A lease without any progress is not extended beyond this: loading the largest models takes 1 to 3 minutes."""
WARM_UP_S = 8.0
"""Loading a checkpoint of 7 GB from a local disk, as a start; set it per pool from what is measured."""

CLASS_IDS = {Urgency.REALTIME: 0, Urgency.STANDARD: 1, Urgency.BATCH: 2}

_CLASSES: tuple[dict[str, object], ...] = (
    {"id": 0, "name": "realtime", "visibility_s": 10.0, "age_offset_s": 0.0, "backoff_s": 0.5, "affinity": 1.0},
    {"id": 1, "name": "standard", "visibility_s": 45.0, "age_offset_s": 30.0, "backoff_s": 5.0, "affinity": 2.5},
    {"id": 2, "name": "batch", "visibility_s": 300.0, "age_offset_s": 900.0, "backoff_s": 60.0, "affinity": 8.0},
)
"""Source: reference measurements; 2.5 loading times halve the makespan, more buys unfairness and little else."""

_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")


class PoolNotFound(NotFound):
    """There is no such pool."""


class PoolExists(Conflict):
    """There is a pool of this name already."""


class BadPoolName(NotAcceptable):
    """A pool cannot have this name."""


def ensure_defaults(session: Session) -> None:
    """Make the job classes and the pool `default`, where they are not there. Safe to repeat."""
    fleet.insert_classes(session, _CLASSES)
    _insert(session, DEFAULT_POOL, shared=True)


def add_pool(session: Session, name: str, *, tenant_id: TenantId, warm_up_s: float = WARM_UP_S) -> PoolView:
    """Make a pool for one tenant's jobs. Raises: BadPoolName, PoolExists."""
    if not _NAME.match(name):
        raise BadPoolName(f"{name[:80]!r}", hint="use small letters, digits, `-` and `_`, at most 63")
    pool_id = _insert(session, name, shared=False, warm_up_s=warm_up_s)
    if pool_id is None:
        raise PoolExists(f"pool {name!r}", hint="choose another name; pools of other studios may have taken it")
    fleet.insert_grant(session, tenant_id=tenant_id, pool_id=pool_id)
    return find_pool(session, name, tenant_id=tenant_id)


def find_pool(session: Session, name: str, *, tenant_id: TenantId) -> PoolView:
    """Return a pool that the tenant may use. Raises: PoolNotFound."""
    if name == DEFAULT_POOL:
        ensure_defaults(session)
    for row in fleet.list_pools(session, tenant_id=tenant_id, name=name) if _NAME.match(name) else ():
        return _view(row)
    raise PoolNotFound(f"pool {name[:80]!r}", hint="`memoryd pools list` shows those there are")


def list_pools(session: Session, *, tenant_id: TenantId) -> list[PoolView]:
    """Return the pools that the tenant may use, by name."""
    ensure_defaults(session)
    return [_view(row) for row in fleet.list_pools(session, tenant_id=tenant_id)]


def list_depths(session: Session, pools: Sequence[PoolView]) -> list[PoolDepth]:
    """Return how busy these pools are now, over all tenants, by name. Costs the same however long the queue is."""
    rows = fleet.list_depths(session, pool_ids=[pool.id for pool in pools])
    return [
        PoolDepth(
            pool=row.pool,
            waiting=row.waiting,
            waiting_ms=row.waiting_ms,
            running=row.running,
            delayed=row.delayed,
            held=row.held,
            workers=row.workers,
        )
        for row in rows
    ]


def _insert(session: Session, name: str, *, shared: bool, warm_up_s: float = WARM_UP_S) -> PoolId | None:
    pool_id = PoolId(new_id())
    made = fleet.insert_pool(
        session,
        {
            "id": pool_id,
            "name": name,
            "shared": shared,
            "max_run_time_s": MAX_RUN_TIME_S,
            "no_progress_limit_s": NO_PROGRESS_LIMIT_S,
            "warm_up_s": warm_up_s,
        },
    )
    return pool_id if made else None


def _view(row: fleet.Found) -> PoolView:
    return PoolView(
        id=PoolId(row.id),
        name=row.name,
        shared=row.shared,
        max_run_time_s=row.max_run_time_s,
        no_progress_limit_s=row.no_progress_limit_s,
        warm_up_s=row.warm_up_s,
    )
