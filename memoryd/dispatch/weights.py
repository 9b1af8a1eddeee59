"""Weights: how tenants share a pool, and how a tenant's projects share what it gets. Who is not listed has weight 1.

A weight counts for what enters from then on; what waits keeps its place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from memoryd.dispatch.queries import pooling as statements
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import ProjectId, TenantId

LEAST, GREATEST = 0.01, 100.0


class BadWeight(NotAcceptable):
    """A weight cannot be like this."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A tenant's weight, and its projects' weights against each other, of those that have another than 1."""

    tenant: float
    projects: Mapping[ProjectId, float]


def find_weights(session: Session, *, tenant_id: TenantId) -> Weights:
    """Return a tenant's weights."""
    projects = statements.list_project_weights(session, tenant_id=tenant_id)
    return Weights(
        tenant=statements.find_tenant_weight(session, tenant_id=tenant_id),
        projects={ProjectId(project_id): weight for project_id, weight in projects.items()},
    )


def weigh_tenant(session: Session, tenant_id: TenantId, weight: float) -> None:
    """Set a tenant's weight: for whoever runs the server, never for a tenant itself. Raises: BadWeight."""
    statements.upsert_tenant_weight(session, tenant_id=tenant_id, weight=_checked(weight))


def weigh_project(session: Session, project_id: ProjectId, weight: float, *, tenant_id: TenantId) -> None:
    """Set a project's weight within its tenant. Raises: BadWeight."""
    statements.upsert_project_weight(session, tenant_id=tenant_id, project_id=project_id, weight=_checked(weight))


def _checked(weight: float) -> float:
    if not LEAST <= weight <= GREATEST:
        raise BadWeight(f"{weight}", hint=f"{LEAST} to {GREATEST}")
    return weight
