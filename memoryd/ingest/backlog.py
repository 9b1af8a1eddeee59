"""Takes in what is there already: folders of years, or single files. Resumable, since what is known is passed by.

Reading goes on in other processes while a batch is recorded. Every batch is one transaction: whenever it is stopped, what
was counted is recorded, and the next start goes on after it.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from memoryd.access.facts import Caller
from memoryd.catalog.facts import WatchRoot
from memoryd.foundation.database import Database, DatabaseDown, TenantScope
from memoryd.foundation.errors import NotAcceptable, Unavailable
from memoryd.foundation.ids import PersonId, ProjectId
from memoryd.ingest import queries, roots
from memoryd.ingest.attributing import folder_for
from memoryd.ingest.changes import compare
from memoryd.ingest.facts import BATCH_LIMIT, Custody, FileState, Folder, Prepared, Reason, Recorded, RootHealth, Seen
from memoryd.ingest.keeping import Space, keep, space
from memoryd.ingest.lanes import LARGE_FILE, Lanes
from memoryd.ingest.preparing import refuse
from memoryd.ingest.recording import NotAlone, record
from memoryd.ingest.settling import STABLE_FOR_S
from memoryd.ingest.surveying import survey
from memoryd.ingest.unchanged import Unchanged
from memoryd.ingest.walking import look_at, walk
from memoryd.storage.blob_store import BlobStore

FIRST_BATCH = 50
"""Files of the first batch: the first results are seen soon."""

READ_AHEAD = 2
"""Batches that are read while one is recorded: the reading processes never wait for the recorder, nor it for a last file."""

DATABASE_PATIENCE_S = 30.0
"""How long a batch waits for a database that went away. `memoryd up` has it back within 5 s."""

DATABASE_RETRY_S = 0.5


class NothingThere(NotAcceptable):
    """This path cannot be taken in."""


class NoSpace(Unavailable):
    """There is not enough space to keep these files."""


class FolderOffline(Unavailable):
    """This watched folder is not what it was."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Files of one folder that are to be read. `named`: a person named them one by one."""

    folder: Folder
    paths: tuple[Path, ...]
    sizes: tuple[int, ...]
    named: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What taking in will mean: files found and those already known, bytes to read, and the space that keeping takes."""

    portions: tuple[Portion, ...]
    found: int
    known: int
    size: int
    space: Space | None = None

    @property
    def to_read(self) -> int:
        """Files that will be read."""
        return self.found - self.known


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How files are to be taken in: `paths` on this machine, for whom, and who holds the bytes.

    Where no project is named, files of a watched folder belong to the folder's, others to `otherwise`. `dry`: nothing will
    be taken in, and so nothing is made for it.
    """

    paths: tuple[Path, ...]
    project_id: ProjectId | None = None
    otherwise: ProjectId | None = None
    person_id: PersonId | None = None
    custody: Custody = Custody.REFERENCE
    dry: bool = False


def plan(database: Database, scope: TenantScope, store: BlobStore, wish: Wish) -> Plan:
    """Return what taking in the wished paths means, without reading a file.

    Raises: NothingThere; FolderOffline.
    """
    portions: list[Portion] = []
    found = 0
    for path in wish.paths:
        there, portion = _portion(database, scope, wish, path)
        found += there
        if portion.paths:
            portions.append(portion)
    size = sum(sum(portion.sizes) for portion in portions)
    keeping = any(portion.folder.custody is Custody.KEEP for portion in portions)
    return Plan(
        portions=tuple(portions),
        found=found,
        known=found - sum(len(portion.paths) for portion in portions),
        size=size,
        space=space(store.home, (size,)) if keeping else None,
    )


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
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="reading") as ahead:
            for prepared in _read_ahead(ahead, own, _batches(planned), store, scope, stop):
                waiting += [(prepared.folder, file.path) for file in prepared.in_state(FileState.WAITING)]
                _record(database, scope, store, own, prepared, caller, progress)
                on_progress(progress)
        progress.stopped = stop()
        if waiting and not progress.stopped:
            _settle_waiting(database, scope, store, own, waiting, caller, progress)
            on_progress(progress)
    finally:
        if lanes is None:
            own.close()
    return progress


def _portion(database: Database, scope: TenantScope, wish: Wish, path: Path) -> tuple[int, Portion]:
    given = path.expanduser().absolute()
    # What leads to the path is the person's choice; what lies in it is not followed out of it.
    real = given.parent.resolve() / given.name if given.name else given
    if real.is_dir():
        real = real.resolve()
    elif not os.path.lexists(real):
        raise NothingThere(f"{path} is not there", hint="name a file or folder on the server's machine")
    with database.tenant_work(scope) as session:
        root = roots.root_containing(session, roots.this_host(), real)
    if real.is_dir():
        if root is not None:
            below = os.fsencode(real)[len(root.path.rstrip(b"/")) + 1 :]
            looked = survey(database, scope, root, below=below, again=True)
            if looked.health not in (RootHealth.WELL, RootHealth.MASS_VANISHING):
                raise FolderOffline(
                    f"{root.shown_path}: {looked.health.value}", hint="`memoryd roots list` says what is wrong"
                )
            return looked.seen, _as_portion(_rooted(database, scope, root, looked.read, wish), looked.read)
        folder = _wished(Folder(path=real), wish)
        return _unknown_in(database, scope, folder)
    folder = _wished(Folder(path=real.parent), wish)
    if root is not None:
        place = os.fsencode(real)[len(root.path.rstrip(b"/")) + 1 :]
        folder = _rooted(database, scope, root, [place], wish)
    there = look_at(folder, [real])
    return 1, _as_portion(folder, there, named=True)


def _rooted(database: Database, scope: TenantScope, root: WatchRoot, places: Iterable[bytes], wish: Wish) -> Folder:
    planned = dataclasses.replace(root, makes_projects=False) if wish.dry else root
    with database.tenant_work(scope) as session:
        return _wished(folder_for(session, planned, places), wish)


def _wished(folder: Folder, wish: Wish) -> Folder:
    return dataclasses.replace(
        folder,
        project_id=wish.project_id or folder.project_id or wish.otherwise,
        person_id=folder.person_id or wish.person_id,
        custody=Custody.KEEP if wish.custody is Custody.KEEP else folder.custody,
        # What a person says now counts more than a rule that was laid down before.
        rules=() if wish.project_id else folder.rules,
    )


def _unknown_in(database: Database, scope: TenantScope, folder: Folder) -> tuple[int, Portion]:
    top = os.fsencode(folder.path).rstrip(b"/") + b"/"
    with database.tenant_work(scope) as session:
        unchanged = Unchanged(queries.iterate_faces(session, None, top))
    sight = walk(folder.path, unchanged=unchanged, at=top)
    read = sight.there
    with database.tenant_work(scope) as session:
        # Nobody watches this folder: what is gone from it stays as it was, and a place that holds the same is passed by.
        known = queries.list_known_at(session, None, [top + path for path in read])
    if known:
        same = {path for path, place in known.items() if place.face is not None and place.present}
        changes = compare({top + path: face for path, face in read.items()}, {path: known[path] for path in same})
        read = {path[len(top) :]: read[path[len(top) :]] for path in changes.read}
    return len(sight.there) + sight.passed, _as_portion(folder, read)


def _as_portion(folder: Folder, read: dict[bytes, Seen], *, named: bool = False) -> Portion:
    # Oldest first: an edited picture follows its original, and a run's pictures come in their order.
    ordered = sorted(read.items(), key=lambda item: (item[1].mtime_ns, item[0]))
    return Portion(
        folder=folder,
        paths=tuple(folder.path / os.fsdecode(path) for path, _ in ordered),
        sizes=tuple(face.size for _, face in ordered),
        named=named,
    )


def _batches(planned: Plan) -> Iterator[tuple[Folder, Sequence[Path], bool]]:
    large: list[tuple[Folder, Path, bool]] = []
    first = True
    for portion in planned.portions:
        small: list[Path] = []
        for path, size in zip(portion.paths, portion.sizes, strict=True):
            if size >= LARGE_FILE:
                large.append((portion.folder, path, portion.named))
                continue
            small.append(path)
            if len(small) >= (FIRST_BATCH if first else BATCH_LIMIT):
                yield portion.folder, small, portion.named
                small, first = [], False
        if small:
            yield portion.folder, small, portion.named
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
            with database.tenant_work(scope) as session:
                recorded = record(session, prepared, scope=scope, caller=caller)
        except NotAlone as known:
            prepared = _read_whole(lanes, store, scope, prepared, known.paths)
        except DatabaseDown:
            # Whether the commit was reached or not: recording the same again changes nothing.
            if time.monotonic() > patient_until:
                raise
            time.sleep(DATABASE_RETRY_S)
        else:
            progress.count(prepared, recorded, time.perf_counter() - began)
            return


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
