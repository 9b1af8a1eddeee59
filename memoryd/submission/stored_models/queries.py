"""Which jobs still need a model. Each statement says whose role the session has taken."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from memoryd.foundation.database import Session


def list_unended(session: Session, *, tenant_id: UUID, ended: Sequence[str]) -> list[UUID]:
    """The farm's: a tenant's jobs that have not ended."""
    found = session.execute(
        text("select id from job where tenant_id = :tenant_id and state <> all(cast(:ended as text[]))"),
        {"tenant_id": tenant_id, "ended": list(ended)},
    )
    return [row.id for row in found]


def list_pinned(session: Session, *, job_ids: Sequence[UUID], sha256s: Sequence[str]) -> set[str]:
    """The tenant's: which of these hashes (hex) these jobs pin."""
    found = session.execute(
        text("""select distinct p.pin ->> 'sha256' as sha256
                  from job_detail d cross join lateral jsonb_array_elements(d.pins) p(pin)
                 where d.job_id = any(cast(:job_ids as uuid[])) and p.pin ->> 'sha256' = any(cast(:sha256s as text[]))"""),
        {"job_ids": list(job_ids), "sha256s": list(sha256s)},
    )
    return {row.sha256 for row in found}
