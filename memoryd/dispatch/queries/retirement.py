"""Every statement about taking workers out of service, and about what people see of one worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session

Found = Row[Any]

_SERVES = "(cardinality(w.serves) = 0 or :tenant_id = any(w.serves)) and w.state <> 'removed'"


def lock_worker(session: Session, *, worker_id: UUID, tenant_id: UUID) -> Found | None:
    """A worker that serves a tenant, locked: label, state, serves; None where there is none."""
    return session.execute(
        text(f"select w.label, w.state, w.serves from worker w where w.id = :worker_id and {_SERVES} for update"),
        {"worker_id": worker_id, "tenant_id": tenant_id},
    ).first()


def lock_leases(session: Session, *, worker_id: UUID) -> Sequence[Found]:
    """All that a worker holds, in order of its jobs, locked: job_id, fence."""
    return session.execute(
        text("select job_id, fence from lease where worker_id = :worker_id order by job_id for update"),
        {"worker_id": worker_id},
    ).all()


def remove_worker(session: Session, *, worker_id: UUID) -> None:
    """Revoke a worker's keys, and forget what it stated and measured; its row stays, for the records that name it."""
    mine = {"worker_id": worker_id}
    session.execute(
        text(
            "update worker_key set revoked_at = clock_timestamp() where worker_id = :worker_id and revoked_at is null"
        ),
        mine,
    )
    session.execute(text("delete from worker_pool where worker_id = :worker_id"), mine)
    session.execute(text("delete from worker_model where worker_id = :worker_id"), mine)
    session.execute(text("delete from model_hash where worker_id = :worker_id"), mine)
    session.execute(text("update worker set state = 'removed', nodes = null where id = :worker_id"), mine)


def find_detail(session: Session, *, worker_id: UUID, tenant_id: UUID) -> Found | None:
    """What a worker that serves a tenant stated of itself, and which of the tenant's jobs it runs."""
    return session.execute(
        text(f"""
        select w.serves, w.gpu_name, w.gpu_driver, w.vram_mb, w.node_packs, w.launch_flags, w.environment,
               w.environment_sha256, w.incarnation,
               w.registered_at, w.created_at,
               (select cardinality(n.classes) from worker_nodes n where n.sha256 = w.nodes_sha256) as node_classes,
               (select count(*) from worker_model m where m.worker_id = w.id and m.sha256 is not null) as models_hashed,
               array(select l.job_id from lease l join job j on j.id = l.job_id
                      where l.worker_id = w.id and j.tenant_id = :tenant_id order by l.job_id) as job_ids
          from worker w where w.id = :worker_id and {_SERVES}"""),
        {"worker_id": worker_id, "tenant_id": tenant_id},
    ).first()


def list_models(
    session: Session, *, worker_id: UUID, tenant_id: UUID, after: tuple[str, str], limit: int
) -> Sequence[Found]:
    """A worker's model files after (folder, path), in order: folder, path, size, sha256."""
    return session.execute(
        text(f"""select m.folder, m.path, m.size, m.sha256 from worker_model m join worker w on w.id = m.worker_id
                 where m.worker_id = :worker_id and {_SERVES} and (m.folder, m.path) > (:folder, :path)
                 order by m.folder, m.path limit :limit"""),
        {"worker_id": worker_id, "tenant_id": tenant_id, "folder": after[0], "path": after[1], "limit": limit},
    ).all()
