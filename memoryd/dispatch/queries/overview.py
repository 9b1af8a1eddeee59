"""Every statement about what people see of the farm at one look: cards, what runs where, and how long the oldest waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.dispatch.queries.entering import DEPTH_LIMIT
from memoryd.foundation.database import Session

Found = Row[Any]


def list_oldest(session: Session, *, pool_ids: Sequence[UUID]) -> Sequence[Found]:
    """How long the oldest job waits in these pools, of the DEPTH_LIMIT that come first in each class: pool, oldest_s."""
    return session.execute(
        text(f"""
        select p.name as pool, extract(epoch from clock_timestamp() - min(h.enqueued_at))::float8 as oldest_s
          from pool p cross join job_class k left join mark m on m.pool_id = p.id and m.class_id = k.id
         cross join lateral (
               select r.enqueued_at from ready r
                where r.pool_id = p.id and r.class_id = k.id and r.vtag >= coalesce(m.low, -1)
                order by r.vtag, r.job_id limit {DEPTH_LIMIT}) h
         where p.id = any(cast(:pool_ids as uuid[])) group by p.name"""),
        {"pool_ids": list(pool_ids)},
    ).all()


def list_cards(session: Session, *, tenant_id: UUID) -> Sequence[Found]:
    """The graphics cards of the workers that serve a tenant: id, gpu_name, vram_mb, vram_used_mb."""
    return session.execute(
        text("""select w.id, w.gpu_name, w.vram_mb, w.vram_used_mb from worker w
                 where (cardinality(w.serves) = 0 or :tenant_id = any(w.serves)) and w.state <> 'removed'"""),
        {"tenant_id": tenant_id},
    ).all()


def list_running(session: Session, *, tenant_id: UUID) -> Sequence[Found]:
    """Which worker runs which of a tenant's jobs: worker_id, job_id."""
    return session.execute(
        text("select worker_id, job_id from lease where tenant_id = :tenant_id order by worker_id, job_id"),
        {"tenant_id": tenant_id},
    ).all()
