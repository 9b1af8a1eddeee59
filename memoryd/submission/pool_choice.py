"""Which pool a job goes to: one that the tenant may use, its project names, and that lies where its project allows."""

from __future__ import annotations

import dataclasses
import threading
import time
import weakref
from collections.abc import Collection, Sequence

from memoryd.dispatch import pools as dispatch_pools
from memoryd.dispatch.pools import DEFAULT_POOL, PoolNotFound
from memoryd.foundation.database import Engine, Session
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import PoolId, TenantId
from memoryd.submission import queries

LOOK_EVERY_S = 1.0
"""Pools change seldom; a pool that was just made is looked for anew."""


class PoolNotAllowed(NotAcceptable):
    """This project's jobs may not use this pool."""


class RegionNotAllowed(NotAcceptable):
    """This project's jobs may not run in this region."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UsablePool:
    """A pool that a tenant may use. `vram_mb` is that of its smallest card, where somebody said so."""

    id: PoolId
    name: str
    region: str | None
    vram_mb: int | None
    paused: bool


_kept: weakref.WeakKeyDictionary[Engine, dict[TenantId, tuple[float, tuple[UsablePool, ...]]]] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()


def remembered_pools(engine: Engine, tenant_id: TenantId) -> tuple[UsablePool, ...] | None:
    """Return the pools that a tenant may use, where they were looked at a moment ago."""
    with _lock:
        found = _kept.setdefault(engine, {}).get(tenant_id)
    return found[1] if found is not None and time.monotonic() - found[0] < LOOK_EVERY_S else None


def usable_pools(session: Session, tenant_id: TenantId, *, max_age_s: float = LOOK_EVERY_S) -> tuple[UsablePool, ...]:
    """Return the pools that a tenant may use, by name, as they were `max_age_s` ago at most. `session` has the farm."""
    now = time.monotonic()
    with _lock:
        kept = _kept.setdefault(session.get_bind().engine, {})
        found = kept.get(tenant_id)
    if found is not None and now - found[0] < max_age_s:
        return found[1]
    pools = _read(session, tenant_id)
    if not any(pool.name == DEFAULT_POOL for pool in pools):
        dispatch_pools.ensure_defaults(session)
        # Not remembered: this transaction may yet be rolled back, and the pool with it.
        return _read(session, tenant_id)
    with _lock:
        kept[tenant_id] = (now, pools)
    return pools


def find_usable(session: Session, tenant_id: TenantId, name: str) -> tuple[UsablePool, ...]:
    """Return the pools that a tenant may use, looked at anew where this one is not among those that are remembered."""
    found = usable_pools(session, tenant_id)
    return found if any(pool.name == name for pool in found) else usable_pools(session, tenant_id, max_age_s=0)


def choose_pool(
    usable: Sequence[UsablePool], name: str, *, pools: Collection[str] | None, regions: Collection[str] | None
) -> tuple[UsablePool, tuple[PoolId, ...]]:
    """Return the pool that a job asks for, and those it goes to when a card's memory does not suffice, smallest first.

    `pools` and `regions` are what its project allows; None is everything. Raises: PoolNotFound, PoolNotAllowed,
    RegionNotAllowed.
    """
    chosen = next((pool for pool in usable if pool.name == name), None)
    if chosen is None:
        raise PoolNotFound(f"pool {name[:80]!r}", hint="`memoryd pools list` shows those there are")
    if pools is not None and name not in pools:
        raise PoolNotAllowed(f"pool {name[:80]!r}", hint=f"this project may use {', '.join(sorted(pools)) or 'none'}")
    if regions is not None and chosen.region not in regions:
        where = f"lies in {chosen.region!r}" if chosen.region else "names no region"
        raise RegionNotAllowed(
            f"pool {name[:80]!r} {where}",
            hint=f"this project's jobs run in {', '.join(sorted(regions)) or 'no region'}",
        )
    least = chosen.vram_mb
    bigger = [
        (pool.vram_mb, pool.name, pool.id)
        for pool in usable
        if least is not None and pool.vram_mb is not None and pool.vram_mb > least
        if (pools is None or pool.name in pools) and (regions is None or pool.region in regions)
    ]
    return chosen, tuple(pool_id for _, _, pool_id in sorted(bigger))


def _read(session: Session, tenant_id: TenantId) -> tuple[UsablePool, ...]:
    return tuple(
        UsablePool(id=PoolId(row.id), name=row.name, region=row.region, vram_mb=row.vram_mb, paused=row.paused)
        for row in queries.list_usable_pools(session, tenant_id=tenant_id)
    )
