"""What workers measured of their model files: stated of each worker, and shared between those that see the same folder.

A file is known by the folder that several workers see (`place`, an identity that each finds for itself: of the running
machine and folder, or of the network share), its path below, its size, its time of change to the nanosecond, and a hash
of a sample of its bytes. A worker believes only what a worker with exactly the same tenants measured: who may serve more
tenants than another never takes that one's word.
"""

from __future__ import annotations

from collections.abc import Sequence

from memoryd.dispatch import model_descriptions
from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.models_wire import MeasuredFile, SharedAnswer, SharedFile
from memoryd.dispatch.queries import model_hashes as queries
from memoryd.dispatch.wire import ModelFile
from memoryd.foundation.canonical_json import canonical_digest
from memoryd.foundation.database import Session
from memoryd.foundation.texts import storable

MEASURE_LEASE_S = 15 * 60.0
"""How long one worker may measure a file before another may: 100 GB at 150 MB/s is 11 minutes."""


def state_hashes(session: Session, worker: WorkerIdentity, models: Sequence[ModelFile]) -> int:
    """Note hashes of files that a worker stated when it registered, where size and time are still those; return how many."""
    rows = [
        {
            "folder": storable(model.folder)[0],
            "path": storable(model.path)[0],
            "size": model.size,
            "mtime_ns": model.mtime_ns,
            "sha256": model.sha256,
        }
        for model in models
        if model.sha256 is not None
    ]
    changed = queries.update_hashes(session, worker_id=worker.worker_id, models=rows) if rows else 0
    if changed:
        model_descriptions.ask_to_follow(session, worker.worker_id)
    return changed


def ask_for(
    session: Session, worker: WorkerIdentity, place: str, files: Sequence[SharedFile], *, take: int
) -> SharedAnswer:
    """Return which of these files somebody measured, and up to `take` others that this worker is to measure now.

    Those that are in neither, others are at: ask again. A file that was taken is another's after MEASURE_LEASE_S.
    """
    keys = [_key(worker, place, file) for file in files]
    found = {bytes(row.key): row for row in queries.find_measured(session, keys=keys)}
    known = {n: found[key].sha256.hex() for n, key in enumerate(keys) if key in found and found[key].sha256 is not None}
    queries.note_asked(session, keys=[keys[n] for n in known])
    yours: list[int] = []
    for number, key in enumerate(keys):
        if len(yours) >= take:
            break
        if number not in known and queries.take_to_measure(
            session, key=key, worker_id=worker.worker_id, lease_s=MEASURE_LEASE_S
        ):
            yours.append(number)
    return SharedAnswer(known=known, yours=yours)


def prune(session: Session) -> None:
    """Forget measurements that nobody asked for in a long while."""
    queries.prune(session)


def tell(session: Session, worker: WorkerIdentity, place: str, measured: Sequence[MeasuredFile]) -> None:
    """Note what a worker measured of shared files; what was measured before it stands."""
    for file in measured:
        queries.insert_measured(
            session,
            key=_key(worker, place, file),
            worker_id=worker.worker_id,
            sha256=bytes.fromhex(file.sha256),
        )


def _key(worker: WorkerIdentity, place: str, file: SharedFile) -> bytes:
    return canonical_digest(
        {
            "serves": sorted(str(tenant) for tenant in worker.serves),
            "place": place,
            "path": storable(file.path)[0],
            "size": str(file.size),
            "mtime_ns": str(file.mtime_ns),
            "sample": file.sample,
        }
    )
