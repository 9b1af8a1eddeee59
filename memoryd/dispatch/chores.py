"""Chores: the server's own follow-up work, one per batch and recipe. Jobs are for workers; chores are not jobs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID, uuid4

from memoryd.dispatch.facts import Chore
from memoryd.dispatch.queries import follow_up as statements
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import Conflict
from memoryd.foundation.ids import ChoreId, TenantId, new_id
from memoryd.foundation.texts import storable

SUBJECTS_LIMIT = 500
"""Subjects of one chore: what one try may lose at a crash."""
TRIES_LIMIT = 5
LEASE_S = 120.0
"""A batch of 500 thumbnails takes about 20 s; longer work calls `extend`."""
BACKOFF_S = 5.0
ERROR_LIMIT = 4_000


class ChoreLost(Conflict):
    """The chore is somebody else's now."""


class Means(Protocol):
    """What a chore's handler works with. The application's handler context is one."""

    @property
    def database(self) -> Database:
        """Connections."""
        ...

    @property
    def tenant(self) -> TenantScope:
        """Whose chore it is."""
        ...


def add(
    session: Session,
    tenant: TenantScope | TenantId,
    kind: str,
    recipe: str,
    subjects: Sequence[UUID],
    priority: int = 0,
) -> int:
    """Add the chore of doing `recipe` of `kind` to each subject; return how many chores it became.

    `session` has taken the farm. More than SUBJECTS_LIMIT subjects are split; the greatest priority is done first.
    """
    return len(add_all(session, tenant, kind, recipe, subjects, priority))


def add_all(
    session: Session,
    tenant: TenantScope | TenantId,
    kind: str,
    recipe: str,
    subjects: Sequence[UUID],
    priority: int = 0,
) -> list[ChoreId]:
    """Add chores as `add` does; return their ids, so that `count_left` tells how far they are."""
    tenant_id = tenant.id if isinstance(tenant, TenantScope) else tenant
    ids = [ChoreId(new_id()) for _ in range(0, len(subjects), SUBJECTS_LIMIT)]
    rows: list[dict[str, object]] = [
        {
            "id": id_,
            "tenant_id": tenant_id,
            "kind": kind,
            "recipe": recipe,
            "subjects": list(some),
            "priority": priority,
        }
        for id_, some in zip(
            ids, (subjects[at : at + SUBJECTS_LIMIT] for at in range(0, len(subjects), SUBJECTS_LIMIT)), strict=True
        )
    ]
    if rows:
        statements.insert_chores(session, rows)
    return ids


def count_left(session: Session, ids: Sequence[UUID]) -> tuple[int, int]:
    """Return how many subjects of these chores are still to do, and how many were given up. `session` has the farm."""
    waiting, given_up = statements.count_left(session, ids)
    return waiting, given_up


def claim(session: Session, kinds: Sequence[str], *, lease_s: float = LEASE_S) -> Chore | None:
    """Return the next chore of these kinds under a lease of `lease_s` seconds, or None."""
    for row in statements.lease_chores(session, kinds=kinds, token=uuid4(), lease_s=lease_s, limit=1):
        return Chore(
            id=ChoreId(row.id),
            tenant_id=TenantId(row.tenant_id),
            kind=row.kind,
            recipe=row.recipe,
            subjects=tuple(row.subjects),
            attempt=row.attempt,
            lease_token=row.lease_token,
        )
    return None


def extend(session: Session, chore: Chore, *, lease_s: float = LEASE_S) -> None:
    """Keep a chore for `lease_s` seconds from now. Raises: ChoreLost."""
    if not statements.extend_chore(session, chore_id=chore.id, token=chore.lease_token, lease_s=lease_s):
        raise _lost(chore)


def finish(session: Session, chore: Chore) -> bool:
    """Note that a chore is done; False where it had become somebody else's, who does it again (chores are idempotent)."""
    return statements.delete_chore(session, chore_id=chore.id, token=chore.lease_token)


def fail(session: Session, chore: Chore, *, reason: str) -> bool:
    """Note that a try failed; the next comes after a while, and after TRIES_LIMIT the chore is given up.

    False where the chore had become somebody else's.
    """
    return statements.postpone_chore(
        session,
        chore_id=chore.id,
        token=chore.lease_token,
        error=storable(reason)[0][:ERROR_LIMIT],
        wait_s=random.uniform(0.5, 1) * BACKOFF_S * 2 ** (chore.attempt - 1),  # noqa: S311
        give_up=chore.attempt >= TRIES_LIMIT,
    )


def retry_given_up(session: Session, tenant: TenantScope) -> int:
    """Let a tenant's given-up chores be tried again; return how many."""
    return statements.retry_given_up(session, tenant_id=tenant.id)


def count(session: Session) -> dict[str, tuple[int, int]]:
    """Return how many chores there are, by kind: (to do, given up)."""
    return {row.kind: (row.waiting, row.given_up) for row in statements.count_chores(session)}


def _lost(chore: Chore) -> ChoreLost:
    return ChoreLost(f"chore {chore.kind} {chore.id}", hint="stop: it is done again by whoever has it")
