"""Which workers of a pool bring models that they lack: those whose ComfyUI's folders lie on their own machine."""

from __future__ import annotations

import dataclasses
from uuid import UUID

from memoryd.dispatch.queries import fetchers as statements
from memoryd.foundation.database import Session
from memoryd.foundation.ids import PoolId, TenantId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fetchers:
    """Workers of a pool that are there and bring models, and whether those are all that are there."""

    workers: tuple[UUID, ...]
    all_do: bool


def find_fetchers(session: Session, pool_id: PoolId, *, tenant_id: TenantId) -> Fetchers:
    """Return the workers of a pool that serve a tenant, are there, and bring models. `session` has taken the farm."""
    present = statements.list_present(session, pool_id=pool_id, tenant_id=tenant_id)
    workers = tuple(row.id for row in present if row.fetches_models)
    return Fetchers(workers=workers, all_do=len(workers) == len(present))
