"""Every statement about what workers measured of their model files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from memoryd.foundation.database import Session

Found = Row[Any]

KEPT_DAYS = 90
"""How long a measurement is kept after somebody last asked for it."""


def update_hashes(session: Session, *, worker_id: UUID, models: Sequence[Mapping[str, object]]) -> int:
    """Write the hashes of files that a worker has stated, where they are still what it stated; return how many."""
    changed = session.execute(
        text("""
        update worker_model m set sha256 = decode(f.sha256, 'hex')
          from jsonb_to_recordset(cast(:models as jsonb)) f(folder text, path text, size bigint, mtime_ns bigint, sha256 text)
         where m.worker_id = :worker_id and m.folder = f.folder and m.path = f.path
           and m.size = f.size and m.mtime_ns = f.mtime_ns returning 1"""),
        {"worker_id": worker_id, "models": json.dumps([dict(model) for model in models])},
    )
    return len(changed.all())


def find_measured(session: Session, *, keys: Sequence[bytes]) -> Sequence[Found]:
    """What is known of files, by their keys: key, sha256 (None while somebody measures it), busy."""
    return session.execute(
        text("""select key, sha256, leased_until > clock_timestamp() as busy from model_hash
                 where key = any(cast(:keys as bytea[]))"""),
        {"keys": list(keys)},
    ).all()


def note_asked(session: Session, *, keys: Sequence[bytes]) -> None:
    """Keep measurements for longer, since somebody has use for them; written once a day at most."""
    session.execute(
        text("""update model_hash set asked_at = clock_timestamp()
                 where key = any(cast(:keys as bytea[])) and asked_at < clock_timestamp() - interval '1 day'"""),
        {"keys": list(keys)},
    )


def take_to_measure(session: Session, *, key: bytes, worker_id: UUID, lease_s: float) -> bool:
    """Let a worker measure a file; False where it was measured, or another is at it."""
    taken = session.execute(
        text("""
        insert into model_hash as h (key, worker_id, leased_until)
        values (:key, :worker_id, clock_timestamp() + make_interval(secs => :lease_s))
            on conflict (key) do update set worker_id = excluded.worker_id, leased_until = excluded.leased_until
         where h.sha256 is null and (h.leased_until < clock_timestamp() or h.worker_id = excluded.worker_id) returning 1"""),
        {"key": key, "worker_id": worker_id, "lease_s": lease_s},
    )
    return taken.first() is not None


def insert_measured(session: Session, *, key: bytes, worker_id: UUID, sha256: bytes) -> None:
    """Write what a worker measured; what was measured first stands."""
    session.execute(
        text("""insert into model_hash as h (key, worker_id, sha256, leased_until)
                values (:key, :worker_id, :sha256, clock_timestamp())
                on conflict (key) do update set worker_id = excluded.worker_id, sha256 = excluded.sha256
                 where h.sha256 is null"""),
        {"key": key, "worker_id": worker_id, "sha256": sha256},
    )


def prune(session: Session) -> None:
    """Forget what nobody asked for in KEPT_DAYS."""
    session.execute(text(f"delete from model_hash where asked_at < clock_timestamp() - interval '{KEPT_DAYS} days'"))
