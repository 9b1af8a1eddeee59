"""Every statement about what tries of jobs cost, once they have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session

Found = Row[Any]

KEYS: Mapping[str, str] = {
    "project": "f.project_id::text",
    "person": "f.person_id::text",
    "pool": "p.name",
    "worker": "w.label",
    "model": "f.model_set",
    "class": "k.name",
    "outcome": "f.outcome",
    "kind": "coalesce(f.kind, '')",
    "day": "to_char(f.ended_at at time zone :zone, 'YYYY-MM-DD')",
    "month": "to_char(f.ended_at at time zone :zone, 'YYYY-MM')",
}
"""What figures may be summed by, and how it is read: fixed texts, never a caller's."""

_ABOUT = """
      from run_figure f join pool p on p.id = f.pool_id join job_class k on k.id = f.class_id
      left join worker w on w.id = f.worker_id
     where f.tenant_id = :tenant_id and f.ended_at >= :since and f.ended_at < :until
       and (cast(:projects as uuid[]) is null or f.project_id = any(cast(:projects as uuid[])))
       and (cast(:person as uuid) is null or f.person_id = :person)
       and (cast(:pool as text) is null or p.name = :pool)
       and (cast(:model as text) is null or f.model_set = :model)
       and (cast(:jobs as uuid[]) is null or f.job_id = any(cast(:jobs as uuid[])))"""


def sum_runs(session: Session, asks: Mapping[str, object], *, by: Sequence[str], limit: int) -> Sequence[Found]:
    """Sums of a tenant's tries, grouped by KEYS: k0, k1, …; then what `Sum` has. The dearest first; at most `limit`."""
    keys = [KEYS[name] for name in by]
    selected = "".join(f"{key} as k{place}, " for place, key in enumerate(keys))
    grouped = f"group by {', '.join(str(place + 1) for place in range(len(keys)))}" if keys else ""
    return session.execute(
        text(f"""
        select {selected} count(*) as runs, count(distinct f.job_id) as jobs,
               count(*) filter (where f.outcome = 'succeeded') as succeeded,
               count(*) filter (where f.outcome = 'failed') as failed,
               count(*) filter (where f.outcome = 'lost') as lost,
               count(*) filter (where f.outcome = 'cancelled') as cancelled,
               coalesce(sum(extract(epoch from f.ended_at - f.leased_at)), 0)::float8 as gpu_s,
               coalesce(sum(f.executing_ms), 0) / 1000.0::float8 as executing_s,
               coalesce(sum(f.loading_ms), 0) / 1000.0::float8 as loading_s,
               count(*) filter (where f.model_loaded) as loads,
               coalesce(sum(f.waited_ms), 0) / 1000.0::float8 as waited_s,
               coalesce(percentile_cont(0.5) within group (order by f.waited_ms), 0) / 1000.0::float8 as waited_p50_s,
               coalesce(percentile_cont(0.95) within group (order by f.waited_ms), 0) / 1000.0::float8 as waited_p95_s
          {_ABOUT} {grouped} order by gpu_s desc limit :limit"""),
        {**asks, "limit": limit},
    ).all()


def list_runs(session: Session, asks: Mapping[str, object], *, before: int | None, limit: int) -> Sequence[Found]:
    """A tenant's single tries, newest lease first."""
    return session.execute(
        text(f"""
        select f.fence, f.job_id, f.project_id, f.person_id, p.name as pool, k.name as urgency, w.label as worker,
               f.model_set, f.outcome, f.kind, f.waited_ms, f.leased_at, f.ended_at, f.loading_ms, f.executing_ms,
               f.model_loaded, f.vram_peak_mb
          {_ABOUT} and (cast(:before as bigint) is null or f.fence < :before) order by f.fence desc limit :limit"""),
        {**asks, "before": before, "limit": limit},
    ).all()


def update_measures(session: Session, *, job_id: UUID, fence: int, measures: Mapping[str, object]) -> None:
    """Add what a worker measured of a try: loading_ms, executing_ms, model_loaded, vram_peak_mb."""
    session.execute(
        text("""update run_figure set loading_ms = :loading_ms, executing_ms = :executing_ms,
                       model_loaded = :model_loaded, vram_peak_mb = :vram_peak_mb
                 where fence = :fence and job_id = :job_id"""),
        {"job_id": job_id, "fence": fence, **measures},
    )
