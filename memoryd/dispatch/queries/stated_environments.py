"""Statements about the environments that workers stated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session

Found = Row[Any]


def note(session: Session, worker_id: UUID, *, sha256: bytes, document: bytes) -> None:
    """Write that a worker states this environment now. `document` is compressed."""
    session.execute(
        text("""insert into worker_environment (worker_id, sha256, document)
                values (:worker_id, :sha256, :document)
                on conflict (worker_id, sha256) do update set last_at = clock_timestamp()"""),
        {"worker_id": worker_id, "sha256": sha256, "document": document},
    )


def list_stated(
    session: Session, *, tenant_id: UUID, first: bytes | None, last: bytes | None, limit: int
) -> Sequence[Found]:
    """Who of the workers that serve a tenant stated which environment, newest first: of hashes from `first` to `last`."""
    return session.execute(
        text("""select e.worker_id, w.label, e.sha256, e.first_at, e.last_at, w.state,
                       w.state <> 'removed' and w.environment_sha256 = e.sha256 as present
                  from worker_environment e join worker w on w.id = e.worker_id
                 where (cardinality(w.serves) = 0 or :tenant_id = any(w.serves))
                   and (cast(:first as bytea) is null or e.sha256 between :first and :last)
                 order by e.last_at desc, e.worker_id, e.sha256 limit :limit"""),
        {"tenant_id": tenant_id, "first": first, "last": last, "limit": limit},
    ).all()


def find_documents(session: Session, *, tenant_id: UUID, digests: Sequence[bytes]) -> Sequence[Found]:
    """Environments' documents (sha256, document: compressed), each once, where a worker that serves the tenant stated it."""
    return session.execute(
        text("""select distinct on (e.sha256) e.sha256, e.document
                  from worker_environment e join worker w on w.id = e.worker_id
                 where e.sha256 = any(:digests) and (cardinality(w.serves) = 0 or :tenant_id = any(w.serves))
                 order by e.sha256"""),
        {"tenant_id": tenant_id, "digests": list(digests)},
    ).all()


def find_tenant_of_result(
    session: Session, *, worker_id: UUID, job_id: UUID, fence: int, token_hash: bytes
) -> UUID | None:
    """Whose job ended with this worker's lease."""
    return session.execute(
        text("""select j.tenant_id from result r join job j on j.id = r.job_id
                 where r.job_id = :job_id and r.worker_id = :worker_id and r.fence = :fence
                   and r.token_hash = :token_hash"""),
        {"worker_id": worker_id, "job_id": job_id, "fence": fence, "token_hash": token_hash},
    ).scalar()
