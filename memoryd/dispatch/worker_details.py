"""One worker as people see it: what it is, what it has, and what it does now."""

from __future__ import annotations

import zlib

from memoryd.dispatch import workers
from memoryd.dispatch.facts import WorkerDetail, WorkerModelView
from memoryd.dispatch.queries import retirement
from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.ids import JobId, TenantId, WorkerId
from memoryd.foundation.paging import BadCursor, Page, decode_cursor, encode_cursor, page_size


def find_worker(session: Session, worker_id: WorkerId, *, tenant_id: TenantId) -> WorkerDetail:
    """Return a worker that serves a tenant. Raises: WorkerNotFound, also for another tenant's."""
    view = workers.find_view(session, worker_id, tenant_id=tenant_id)
    row = retirement.find_detail(session, worker_id=worker_id, tenant_id=tenant_id)
    assert row is not None
    return WorkerDetail(
        view=view,
        own=list(row.serves) == [tenant_id],
        gpu_name=row.gpu_name,
        gpu_driver=row.gpu_driver,
        vram_mb=row.vram_mb,
        node_packs=tuple(row.node_packs),
        launch_flags=tuple(row.launch_flags),
        environment=_document(row.environment),
        environment_sha256=bytes(row.environment_sha256) if row.environment_sha256 is not None else None,
        node_classes=row.node_classes or 0,
        models_hashed=row.models_hashed,
        job_ids=tuple(JobId(job_id) for job_id in row.job_ids),
        incarnation=row.incarnation,
        registered_at=row.registered_at,
        created_at=row.created_at,
    )


def list_models(
    session: Session, worker_id: WorkerId, *, tenant_id: TenantId, cursor: str | None, limit: int | None
) -> Page[WorkerModelView]:
    """Return a page of a worker's model files, by folder and path. Raises: WorkerNotFound; BadCursor; BadPageSize."""
    workers.find_view(session, worker_id, tenant_id=tenant_id)
    size = page_size(limit)
    rows = retirement.list_models(
        session, worker_id=worker_id, tenant_id=tenant_id, after=_after(cursor), limit=size + 1
    )
    models = [WorkerModelView(folder=row.folder, path=row.path, size=row.size, sha256=row.sha256) for row in rows]
    more = encode_cursor(models[size - 1].folder, models[size - 1].path) if len(models) > size else None
    return Page(rows=models[:size], next_cursor=more)


def _after(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "", ""
    match decode_cursor(cursor, 2):
        case [str(folder), str(path)]:
            return folder, path
    raise BadCursor("the cursor names no model", hint="start again without a cursor")


def _document(packed: bytes | None) -> dict[str, Json]:
    document = read_json(zlib.decompress(packed)) if packed is not None else None
    return document if isinstance(document, dict) else {}
