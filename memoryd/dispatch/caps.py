"""Caps: how many jobs of a tenant, project, person or pool run at once, in any combination. And letting a claim through.

A job that may not run now is moved out of the order, to the held ones, by the claim that meets it, and comes back when
something of its scope ends: no claim ever walks over work that may not run, and the present of the fair order does not
stand still at it. So a cap costs a row's move, not a scan; docs/decisions tells why.
"""

from __future__ import annotations

import enum

from memoryd.dispatch.entering import let_in
from memoryd.dispatch.facts import CapView
from memoryd.dispatch.pools import find_pool
from memoryd.dispatch.queries import capping, holding
from memoryd.dispatch.queries import entering as entrances
from memoryd.dispatch.queries.claiming import Found
from memoryd.dispatch.states import HeldBy
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.ids import CapId, PersonId, ProjectId, TenantId, new_id

PARK_LIMIT = 100
"""Jobs that one claim moves aside at most: it pays for what the next hundred need not look at."""
MAX_RUNNING_LIMIT = 100_000


class CapNotFound(NotFound):
    """There is no such cap."""


class BadCap(NotAcceptable):
    """A cap cannot be like this."""


class Let(enum.Enum):
    """What became of a pick that something may hold back."""

    THROUGH = "through"
    """Nothing holds it back."""
    HELD = "held"
    """It was moved aside, and what is alike behind it."""
    POOL_FULL = "pool-full"
    """Its pool, or the whole farm, runs all that it may."""


def let_through(session: Session, picked: Found) -> Let:
    """Say whether a picked job, locked by this claim, may run now; what may not is moved aside."""
    scope = {name: getattr(picked, name) for name in ("tenant_id", "project_id", "person_id", "pool_id")}
    if holding.is_paused(session, job_id=picked.job_id, tenant_id=picked.tenant_id, project_id=picked.project_id):
        moved = holding.delete_ready_of_pause(session, **_order(picked), limit=PARK_LIMIT)
        let_in(session, moved)
        return Let.HELD
    capping.lock_caps(session)
    full = capping.find_full(session, scope)
    if full is None:
        return Let.THROUGH
    if full.tenant_id is None:
        return Let.POOL_FULL
    counted = {"cap_project_id": full.project_id, "cap_person_id": full.person_id}
    moved = capping.delete_ready_of_cap(session, {**_order(picked), **counted}, limit=PARK_LIMIT)
    entrances.insert_held(
        session, job_ids=moved, reasons=[HeldBy.CAP.value] * len(moved), waits_for=[full.id] * len(moved)
    )
    return Let.HELD


def _order(picked: Found) -> dict[str, object]:
    names = ("tenant_id", "project_id", "pool_id", "class_id", "low", "job_id", "vtag")
    return {name: getattr(picked, name) for name in names}


def put(
    session: Session,
    *,
    tenant_id: TenantId,
    max_running: int,
    project_id: ProjectId | None = None,
    person_id: PersonId | None = None,
    pool: str | None = None,
) -> CapId:
    """Let at most `max_running` jobs of a scope run at once, from the next claim on; return the cap's id.

    Nothing that runs is stopped. Zero holds all of it back. Raises: BadCap, PoolNotFound.
    """
    if not 0 <= max_running <= MAX_RUNNING_LIMIT:
        raise BadCap(f"{max_running} at once", hint=f"0 to {MAX_RUNNING_LIMIT}")
    pool_id = find_pool(session, pool, tenant_id=tenant_id).id if pool is not None else None
    values: dict[str, object] = {"id": new_id(), "tenant_id": tenant_id, "project_id": project_id}
    values |= {"person_id": person_id, "pool_id": pool_id, "max_running": max_running}
    return CapId(capping.upsert_cap(session, values))


def remove(session: Session, cap_id: CapId, *, tenant_id: TenantId) -> None:
    """Forget a cap; what it held back is let go within a second or two. Raises: CapNotFound."""
    if not capping.delete_cap(session, cap_id=cap_id, tenant_id=tenant_id):
        raise CapNotFound(f"cap {cap_id}", hint="`memoryd caps list` shows them")


def list_caps(session: Session, *, tenant_id: TenantId | None) -> list[CapView]:
    """Return the caps that count a tenant's jobs, or all caps; of one for everybody, what runs of this tenant."""
    return [
        CapView(
            id=CapId(row.id),
            tenant_id=TenantId(row.tenant_id) if row.tenant_id else None,
            project_id=ProjectId(row.project_id) if row.project_id else None,
            person_id=PersonId(row.person_id) if row.person_id else None,
            pool=row.pool,
            max_running=row.max_running,
            running=row.running,
        )
        for row in capping.list_caps(session, tenant_id=tenant_id)
    ]
