"""Reordering one's own waiting jobs: they exchange their places among each other, so that nobody else's place changes."""

from __future__ import annotations

from uuid import UUID

from memoryd.dispatch.jobs import JobNotFound
from memoryd.dispatch.queries import entering, moving
from memoryd.dispatch.queries import upkeep as lookups
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import JobId, PersonId, TenantId

NOWHERE, LAST = JobId(UUID(int=0)), JobId(UUID(int=2**128 - 1))
MOVE_LIMIT = 2_000
"""Jobs between the old and the new place: all of them move by one."""


class NotMovable(Conflict):
    """This job cannot be moved there."""


def move(
    session: Session, job_id: JobId, *, before: JobId | None, tenant_id: TenantId, person_id: PersonId | None
) -> int:
    """Let a waiting job come before another of the same person, pool and class, or first of them; return how many moved.

    Their tags are exchanged among them: what lies between moves by one, and no job of anybody else gets another place.
    Raises: JobNotFound; NotMovable where one of the two is not the person's, does not wait, or waits elsewhere.
    """
    row = lookups.find_place(session, job_id=job_id)
    target = lookups.find_place(session, job_id=before) if before is not None else None
    for found, wanted_id in ((row, job_id), (target, before)):
        if wanted_id is not None and (found is None or found.tenant_id != tenant_id):
            raise JobNotFound(f"job {wanted_id}", hint="`memoryd jobs list` shows yours")
    assert row is not None
    here = (row.vtag, job_id)
    there = (target.vtag, before) if target is not None else (-1, NOWHERE)
    first, last = min(here, there), max(here, there)
    entering.lock_order_shared(session, row.pool_id, row.class_id)
    mine = moving.lock_own_ready(
        session,
        {
            "pool_id": row.pool_id,
            "class_id": row.class_id,
            "tenant_id": tenant_id,
            "person_id": person_id,
            "first_vtag": first[0],
            # With all of one tag, and beyond the last as far as one more for each that moves may reach.
            "first_id": NOWHERE,
            "last_vtag": last[0] + MOVE_LIMIT,
            "last_id": LAST,
        },
        limit=MOVE_LIMIT,
    )
    order = [JobId(one.job_id) for one in mine]
    if job_id not in order or (before is not None and before not in order):
        raise NotMovable(
            "both must be yours, wait for a worker in the same pool and class, and lie within "
            f"{MOVE_LIMIT} of your jobs (MOVE_LIMIT)",
            hint="`memoryd jobs list` shows where they are",
        )
    if before == job_id:
        return 0
    wanted = [one for one in order if one != job_id]
    wanted.insert(0 if before is None else wanted.index(before), job_id)
    changed = _exchanged(order, wanted, [one.vtag for one in mine])
    if changed:
        moving.replace_tags(session, pool_id=row.pool_id, class_id=row.class_id, changes=changed)
    return len(changed)


def _exchanged(order: list[JobId], wanted: list[JobId], tags: list[int]) -> list[tuple[JobId, int, int]]:
    """Return the old and the new tags of those that move. Where two have one tag, the later gets one more if it must."""
    old = dict(zip(order, tags, strict=True))
    new: dict[JobId, int] = {}
    last: tuple[int, JobId] | None = None
    for job_id, tag in zip(wanted, tags, strict=True):
        placed = tag
        if last is not None and (placed, job_id) < last:
            placed = last[0] + 1
        last = (placed, job_id)
        new[job_id] = placed
    return [(job_id, old[job_id], tag) for job_id, tag in new.items() if tag != old[job_id]]
