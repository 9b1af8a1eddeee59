"""Statements about workers that bring models which they lack."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from memoryd.dispatch.queries.fleet import ONLINE_S
from memoryd.foundation.database import Session


def list_present(session: Session, *, pool_id: UUID, tenant_id: UUID) -> list[Any]:
    """Workers of a pool that serve a tenant and are there, by label: id, fetches_models."""
    return list(
        session.execute(
            text("""select w.id, w.fetches_models from worker_pool x join worker w on w.id = x.worker_id
                     where x.pool_id = :pool_id and w.state in ('active', 'draining')
                       and w.seen_at > clock_timestamp() - make_interval(secs => :online_s)
                       and (cardinality(w.serves) = 0 or :tenant_id = any(w.serves))
                     order by w.label, w.id"""),
            {"pool_id": pool_id, "tenant_id": tenant_id, "online_s": ONLINE_S},
        )
    )
