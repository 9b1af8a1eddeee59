"""Which environments the workers of a tenant stated, and since when: also those that none has any more."""

from __future__ import annotations

import dataclasses
import datetime
import zlib
from collections.abc import Sequence

from memoryd.dispatch.queries import stated_environments as queries
from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.database import Session
from memoryd.foundation.ids import TenantId, WorkerId

STATED_LIMIT = 2_000
"""Statements that are looked at, newest first: 200 workers with ten changes each."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """That a worker stated an environment. `sha256` is 32 bytes; `present`: it is the worker's present one."""

    worker_id: WorkerId
    label: str
    sha256: bytes
    first_at: datetime.datetime
    last_at: datetime.datetime
    present: bool


def list_stated(
    session: Session, *, tenant_id: TenantId, between: tuple[bytes, bytes] | None = None
) -> tuple[Stated, ...]:
    """Return what the workers that serve a tenant stated, newest first; of hashes between two, where given.

    `session` has taken the farm.
    """
    first, last = between if between is not None else (None, None)
    rows = queries.list_stated(session, tenant_id=tenant_id, first=first, last=last, limit=STATED_LIMIT)
    return tuple(
        Stated(
            worker_id=WorkerId(row.worker_id),
            label=row.label,
            sha256=bytes(row.sha256),
            first_at=row.first_at,
            last_at=row.last_at,
            present=bool(row.present),
        )
        for row in rows
    )


def find_documents(session: Session, digests: Sequence[bytes], *, tenant_id: TenantId) -> dict[bytes, dict[str, Json]]:
    """Return the documents of those of these environments that a worker stated which serves the tenant.

    `session` has taken the farm.
    """
    found = {}
    for row in queries.find_documents(session, tenant_id=tenant_id, digests=digests):
        document = read_json(zlib.decompress(row.document))
        found[bytes(row.sha256)] = document if isinstance(document, dict) else {}
    return found
