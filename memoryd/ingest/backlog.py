"""Takes in what is there already: folders of years, or single files. Resumable, since what is known is passed by.

Reading goes on in other processes while a batch is recorded. Every batch is one transaction: whenever it is stopped, what
was counted is recorded, and the next start goes on after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from memoryd.access.facts import Caller
from memoryd.catalog import places
from memoryd.catalog.facts import LocationRecord
from memoryd.foundation.database import Database, DatabaseDown, TenantScope
from memoryd.foundation.errors import Unavailable
from memoryd.ingest.collecting import seldom_collecting
from memoryd.ingest.facts import BATCH_LIMIT, Custody, FileState, Folder, Prepared, Reason, Recorded
from memoryd.ingest.keeping import keep
from memoryd.ingest.knowledge import knowing
from memoryd.ingest.lanes import LARGE_FILE, Lanes
from memoryd.ingest.planning import FolderOffline, NothingThere, Plan, Portion, Wish, plan
from memoryd.ingest.preparing import refuse
from memoryd.ingest.recording import NotAlone, record
from memoryd.ingest.settling import STABLE_FOR_S
from memoryd.ingest.walking import look_at
from memoryd.storage.blob_store import BlobStore

FIRST_BATCH = 50
"""Files of the first batch, each next having twice as many up to BATCH_LIMIT: the first results are seen soon, and recording
begins while others are read."""

READ_AHEAD = 2
"""Batches that are read while one is recorded: the reading processes never wait for the recorder, nor it for a last file."""

DATABASE_PATIENCE_S = 30.0
"""How long a batch waits for a database that went away. `memoryd up` has it back within 5 s."""

DATABASE_RETRY_S = 0.5


class NoSpace(Unavailable):
    """There is not enough space to keep these files."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Progress:
    """How far it is. Counts files; `seconds` is the time of each stage so far, summed over processes."""

    to_read: int = 0
    done: int = 0
    new: int = 0
    known: int = 0
    quarantined: int = 0
    ignored: int = 0
    vanished: int = 0
    findings: int = 0
    size: int = 0
    stopped: bool = False
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def count(self, prepared: Prepared, recorded: Recorded, database_s: float) -> None:
        """Add a batch."""
        self.done += len(prepared.files) - recorded.waiting
        self.new += recorded.new
        self.known += recorded.known
        self.quarantined += recorded.quarantined
        self.ignored += recorded.ignored
        self.vanished += recorded.vanished
        self.findings += recorded.findings
        self.size += recorded.size
        for stage, value in (*prepared.seconds.items(), ("database", database_s)):
            self.seconds[stage] = self.seconds.get(stage, 0.0) + value


def ingest_paths(
    database: Database,
    scope: TenantScope,
    store: BlobStore,
    planned: Plan,
    *,
    caller: Caller | None = None,
    lanes: Lanes | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Read and record what was planned; return how it went. `stop` is asked between batches.

    A file that somebody still writes is looked at twice; at the end it is in quarantine, and tried again soon.
    Raises: NoSpace; DatabaseDown (what was recorded until then stays).
    """
    if planned.space is not None and not planned.space.enough:
        raise NoSpace(
            f"{planned.space.needed} bytes are needed, {planned.space.free} are free",
            hint="make room, or take the files in with custody `reference`",
        )
    progress = Progress(to_read=planned.to_read)
    waiting: list[tuple[Folder, Path]] = []
    own = lanes if lanes is not None else Lanes()
    try:
        with (
            seldom_collecting(),
            contextlib.closing(planned.handed_out()) as portions,
            ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="reading") as ahead,
        ):
            for prepared in _read_ahead(ahead, own, _batches(database, scope, portions), store, scope, stop):
                waiting += [(prepared.folder, file.path) for file in prepared.in_state(FileState.WAITING)]
                _record(database, scope, store, own, prepared, caller, progress)
                progress.to_read = planned.to_read
                on_progress(progress)
        progress.to_read = planned.to_read
        progress.stopped = stop()
        if waiting and not progress.stopped:
            _settle_waiting(database, scope, store, own, waiting, caller, progress)
            on_progress(progress)
    finally:
        if lanes is None:
            own.close()
    return progress


def _announce_large(database: Database, scope: TenantScope, portion: Portion) -> None:
    """Let the very large be found by their names while they wait to be hashed."""
    large = [p for p, size in zip(portion.paths, portion.sizes, strict=True) if size >= LARGE_FILE]
    if not large:
        return
    folder = portion.folder
    records = [
        LocationRecord(
            watch_root_id=folder.root_id,
            path=path if folder.root_id is not None else os.fsencode(folder.path / os.fsdecode(path)),
            size=face.size,
            mtime_ns=face.mtime_ns,
            inode=face.inode,
            device=face.device,
        )
        for path, face in look_at(folder, large).items()
    ]
    with database.tenant_work(scope) as session:
        places.arrive(session, records, folder.project_id)


def _batches(
    database: Database, scope: TenantScope, portions: Iterable[Portion]
) -> Iterator[tuple[Folder, Sequence[Path], bool]]:
    large: list[tuple[Folder, Path, bool]] = []
    limit = FIRST_BATCH
    for portion in portions:
        folder = knowing(portion.folder, database, scope)
        _announce_large(database, scope, portion)
        small: list[Path] = []
        for path, size in zip(portion.paths, portion.sizes, strict=True):
            if size >= LARGE_FILE:
                large.append((folder, path, portion.named))
                continue
            small.append(path)
            if len(small) >= limit:
                yield folder, small, portion.named
                small, limit = [], min(2 * limit, BATCH_LIMIT)
        if small:
            yield folder, small, portion.named
    # The lane of the very large: one at a time, when nobody waits behind them.
    for folder, path, named in large:
        yield folder, [path], named


def _read_ahead(
    ahead: ThreadPoolExecutor,
    lanes: Lanes,
    batches: Iterator[tuple[Folder, Sequence[Path], bool]],
    store: BlobStore,
    scope: TenantScope,
    stop: Callable[[], bool],
) -> Iterator[Prepared]:
    def read(folder: Folder, paths: Sequence[Path], named: bool) -> Prepared:
        # What is kept is copied by its record.
        ready = folder.custody is not Custody.KEEP
        return keep(lanes.prepare(folder, paths, named=named, ready=ready), store, scope.slug)

    pending: deque[Future[Prepared]] = deque()
    for folder, paths, named in batches:
        if stop():
            break
        pending.append(ahead.submit(read, folder, paths, named))
        if len(pending) > READ_AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _record(
    database: Database,
    scope: TenantScope,
    store: BlobStore,
    lanes: Lanes,
    prepared: Prepared,
    caller: Caller | None,
    progress: Progress,
) -> None:
    patient_until = time.monotonic() + DATABASE_PATIENCE_S
    while True:
        began = time.perf_counter()
        try:
            recorded, prepared = record_read(database, scope, store, lanes, prepared, caller)
        except DatabaseDown:
            # Whether the commit was reached or not: recording the same again changes nothing.
            if time.monotonic() > patient_until:
                raise
            time.sleep(DATABASE_RETRY_S)
        else:
            progress.count(prepared, recorded, time.perf_counter() - began)
            return


def record_read(
    database: Database,
    scope: TenantScope,
    store: BlobStore,
    lanes: Lanes,
    prepared: Prepared,
    caller: Caller | None = None,
) -> tuple[Recorded, Prepared]:
    """Record a batch in a transaction of its own; return what became of it, and the batch as it was recorded.

    Files that were made rows and turn out to be known are read once more, whole. Raises: DatabaseDown.
    """
    while True:
        try:
            with database.tenant_work(scope) as session:
                return record(session, prepared, scope=scope, caller=caller), prepared
        except NotAlone as known:
            prepared = _read_whole(lanes, store, scope, prepared, known.paths)


def _read_whole(
    lanes: Lanes, store: BlobStore, scope: TenantScope, prepared: Prepared, paths: Collection[Path]
) -> Prepared:
    """Return the batch with these files read once more, as whole records."""
    again = [file.path for file in prepared.files if file.path in paths]
    whole = keep(lanes.prepare(prepared.folder, again, named=prepared.named), store, scope.slug)
    by_path = {file.path: file for file in whole.files}
    seconds = {
        stage: prepared.seconds.get(stage, 0.0) + whole.seconds.get(stage, 0.0)
        for stage in (*prepared.seconds, *whole.seconds)
    }
    files = tuple([by_path.get(file.path, file) for file in prepared.files])
    return dataclasses.replace(prepared, files=files, seconds=seconds)


def _settle_waiting(
    database: Database,
    scope: TenantScope,
    store: BlobStore,
    lanes: Lanes,
    waiting: Sequence[tuple[Folder, Path]],
    caller: Caller | None,
    progress: Progress,
) -> None:
    time.sleep(STABLE_FOR_S)
    for folder in dict.fromkeys(folder for folder, _ in waiting):
        paths = [path for where, path in waiting if where == folder]
        for start in range(0, len(paths), BATCH_LIMIT):
            again = keep(lanes.prepare(folder, paths[start : start + BATCH_LIMIT]), store, scope.slug)
            _record(database, scope, store, lanes, give_up_waiting(again), caller, progress)


def give_up_waiting(prepared: Prepared) -> Prepared:
    """Return the batch with those that are still being written in quarantine, where they are tried again soon."""
    files = tuple(
        refuse(file, file.reason or Reason.CHANGING, f"{file.detail}; somebody may still be writing it")
        if file.state is FileState.WAITING
        else file
        for file in prepared.files
    )
    return dataclasses.replace(prepared, files=files)


__all__ = ["FolderOffline", "NoSpace", "NothingThere", "Plan", "Portion", "Progress", "Wish", "ingest_paths", "plan"]
