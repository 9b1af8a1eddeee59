"""Jobs that wait until somebody approves them. Who may, and what about, is decided above; here they only wait.

An approval that is awaited or was refused is a row, as a pause is. Given, it is gone: what waits is let go, at once the
first, the rest by whoever tends the queue; refused, what waits is cancelled the same way, and says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from memoryd.dispatch import holds
from memoryd.dispatch.queries import holding, upkeep
from memoryd.dispatch.states import HeldBy
from memoryd.foundation.database import Session
from memoryd.foundation.ids import TenantId


def begin(session: Session, approval_id: UUID, *, tenant_id: TenantId) -> None:
    """Let jobs that name this approval wait for it; once more changes nothing."""
    holding.insert_approval(session, approval_id=approval_id, tenant_id=tenant_id)


def give(session: Session, approval_id: UUID, *, tenant_id: TenantId) -> int:
    """Let the jobs that wait for an approval go; return how many go at once. Given twice, nothing is left to do."""
    if not holding.delete_approval(session, approval_id=approval_id, tenant_id=tenant_id):
        return 0
    return holds.let_go(session, HeldBy.APPROVAL, approval_id)


def refuse(session: Session, approval_id: UUID, reason: str, *, tenant_id: TenantId) -> int:
    """Cancel the jobs that wait for an approval, telling them why; return how many at once."""
    if not holding.refuse_approval(session, approval_id=approval_id, tenant_id=tenant_id, reason=reason):
        return 0
    waiting = holding.list_held_of_approval(session, approval_id=approval_id, limit=holds.STEP_LIMIT)
    # Those that wait for another job too: they need not wait for it to be told no.
    return holds.enter_again(session, upkeep.take_waiting(session, job_ids=waiting))


def count_waiting(session: Session, approval_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many jobs wait for each of these approvals; none where it is not in the answer."""
    return holding.count_held_of_approvals(session, approval_ids=approval_ids) if approval_ids else {}
