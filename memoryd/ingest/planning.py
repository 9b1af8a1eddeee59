"""Finds out what taking in means: which files are new, in which order they are read, and the space that keeping takes.

Names are held in portions, so that a folder may have any number of files, and reading begins with the first.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from memoryd.catalog.facts import WatchRoot
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotAcceptable, Unavailable
from memoryd.foundation.ids import PersonId, ProjectId
from memoryd.ingest import queries, roots
from memoryd.ingest.attributing import folder_for
from memoryd.ingest.changes import compare
from memoryd.ingest.facts import Custody, Folder, RootHealth, Seen
from memoryd.ingest.keeping import Space, space
from memoryd.ingest.spooling import Named, Spool, in_order
from memoryd.ingest.surveying import lost_root, survey_in_portions
from memoryd.ingest.unchanged import Unchanged
from memoryd.ingest.walking import look_at, walk_in_portions
from memoryd.storage.blob_store import BlobStore

SLOW_LOOK_S = 0.001
"""Seconds to look at one file from which a folder is slow. A local disk takes a hundredth, a share over a VPN ten times."""

SLOW_FOLDER_FILES = 100
"""Files from which the time of looking says something."""


PORTION_FILES = 20_000
"""New files that are held by name at a time: 10 MB, and some ten seconds of reading."""


class NothingThere(NotAcceptable):
    """This path cannot be taken in."""


class FolderOffline(Unavailable):
    """This watched folder is not what it was."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Files of one folder that are to be read. `named`: a person named them one by one."""

    folder: Folder
    paths: tuple[Path, ...]
    sizes: tuple[int, ...]
    named: bool = False


@dataclasses.dataclass(slots=True, kw_only=True)
class Plan:
    """What taking in will mean: files found and those already known, bytes to read, and the space that keeping takes.

    Where there are very many files the numbers grow while the first are being read, until `complete`. `portions` are
    those found so far that nobody took; `handed_out` gives them, and finds the rest.
    """

    portions: list[Portion] = dataclasses.field(default_factory=list)
    found: int = 0
    known: int = 0
    size: int = 0
    space: Space | None = None
    complete: bool = True
    rest: Iterator[Portion] = dataclasses.field(default=iter(()), repr=False)
    stop: threading.Event = dataclasses.field(default_factory=threading.Event, repr=False)

    @property
    def to_read(self) -> int:
        """Files that will be read."""
        return self.found - self.known

    def count(self, found: int, sizes: Iterable[int]) -> None:
        """Add files that were found, and the sizes of those among them that will be read."""
        listed = list(sizes)
        self.found += found
        self.known += found - len(listed)
        self.size += sum(listed)

    def handed_out(self) -> Generator[Portion, None, None]:
        """Yield all portions, once; the next is looked for, in another thread, while one is worked on.

        Raises: FolderOffline; DatabaseDown.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="finding") as finding:
            try:
                coming = finding.submit(next, self.rest, None)
                while self.portions:
                    yield self.portions.pop(0)
                while (portion := coming.result()) is not None:
                    coming = finding.submit(next, self.rest, None)
                    yield portion
            finally:
                # Whoever takes no more of them waits for no more.
                self.stop.set()


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One of the wished paths as it was found. `below` is its path below the root, where a root contains it."""

    path: Path
    is_folder: bool
    root: WatchRoot | None
    below: bytes = b""


def plan(database: Database, scope: TenantScope, store: BlobStore, wish: Wish) -> Plan:
    """Return what taking in the wished paths means, without reading a file.

    Of up to PORTION_FILES new files, and where their space must be known, everything is found out before; of more the
    rest while the first are read.
    Raises: NothingThere; FolderOffline.
    """
    places = [_place(database, scope, path) for path in wish.paths]
    planned = Plan(complete=False)
    keeping = wish.custody is Custody.KEEP or any(
        place.root is not None and roots.folder_of(place.root).custody is Custody.KEEP for place in places
    )
    planned.rest = _portions(database, scope, places, wish, planned, keeping)
    count = 0
    while count <= PORTION_FILES and (portion := next(planned.rest, None)) is not None:
        planned.portions.append(portion)
        count += len(portion.paths)
    if keeping:
        planned.space = space(store.home, (planned.size,))
    return planned


def _place(database: Database, scope: TenantScope, path: Path) -> _Place:
    given = path.expanduser().absolute()
    # What leads to the path is the person's choice; what lies in it is not followed out of it.
    real = given.parent.resolve() / given.name if given.name else given
    is_folder = real.is_dir()
    if is_folder:
        real = real.resolve()
    elif not os.path.lexists(real):
        raise NothingThere(f"{path} is not there", hint="name a file or folder on the server's machine")
    with database.tenant_work(scope) as session:
        root = roots.root_containing(session, roots.this_host(), real)
    if root is None:
        return _Place(path=real, is_folder=is_folder, root=None)
    if is_folder and (lost := lost_root(database, scope, root)) is not None:
        raise _offline(root, lost.health)
    return _Place(path=real, is_folder=is_folder, root=root, below=os.fsencode(real)[len(root.path.rstrip(b"/")) + 1 :])


def _offline(root: WatchRoot, health: RootHealth) -> FolderOffline:
    return FolderOffline(f"{root.shown_path}: {health.value}", hint="`memoryd watch list` says what is wrong")


def _portions(
    database: Database, scope: TenantScope, places: Sequence[_Place], wish: Wish, planned: Plan, keeping: bool
) -> Iterator[Portion]:
    found = [_portions_of(database, scope, place, wish, planned, keeping) for place in places]
    if keeping:
        # All is found before the first is read: each is asked for its first, which comes after its last was found.
        heads = [[portion for portion in (next(one, None),) if portion is not None] for one in found]
        planned.complete = True
        for head, one in zip(heads, found, strict=True):
            yield from itertools.chain(head, one)
    else:
        for one in found:
            yield from one
    planned.complete = True


def _portions_of(
    database: Database, scope: TenantScope, place: _Place, wish: Wish, planned: Plan, keeping: bool
) -> Iterator[Portion]:
    if not place.is_folder:
        yield from _single(database, scope, place, wish, planned)
        return
    slow = roots.is_remote(place.path)
    spool: Spool | None = None
    for read, looked_s, seen in _read_in(database, scope, place, planned):
        slow = slow or (seen >= SLOW_FOLDER_FILES and looked_s / seen > SLOW_LOOK_S)
        if wish.dry or not read:
            continue
        if spool is None and (slow or keeping):
            # Where reading takes hours, what people look for is there first: the order of all must be known.
            spool = Spool(newest_first=slow)
        if spool is not None:
            spool.add(read)
        else:
            # Oldest first: an edited picture follows its original, and a run's pictures come in their order.
            yield _portion(database, scope, place, wish, in_order(read, newest_first=False))
    if spool is not None:
        ordered = spool.all()
        while some := list(itertools.islice(ordered, PORTION_FILES)):
            yield _portion(database, scope, place, wish, some)


def _single(database: Database, scope: TenantScope, place: _Place, wish: Wish, planned: Plan) -> Iterator[Portion]:
    folder = _wished(Folder(path=place.path.parent), wish)
    if place.root is not None:
        folder = _rooted(database, scope, place.root, [place.below], wish)
    there = look_at(folder, [place.path])
    planned.count(1, (face.size for face in there.values()))
    if there and not wish.dry:
        yield _as_portion(folder, in_order(there, newest_first=False), named=True)


def _portion(database: Database, scope: TenantScope, place: _Place, wish: Wish, ordered: Sequence[Named]) -> Portion:
    if place.root is None:
        return _as_portion(_wished(Folder(path=place.path), wish), ordered)
    folder = _rooted(database, scope, place.root, [named.path for named in ordered], wish)
    return _as_portion(folder, ordered)


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


def _as_portion(folder: Folder, ordered: Sequence[Named], *, named: bool = False) -> Portion:
    return Portion(
        folder=folder,
        paths=tuple([folder.path / os.fsdecode(one.path) for one in ordered]),
        sizes=tuple([one.size for one in ordered]),
        named=named,
    )


def _read_in(
    database: Database, scope: TenantScope, place: _Place, planned: Plan
) -> Iterator[tuple[dict[bytes, Seen], float, int]]:
    """Yield what is to be read in a folder, in portions, each with the seconds of looking and the files seen so far."""
    looks = (
        _unknown_in(database, scope, place.path, planned.stop)
        if place.root is None
        else _unread_in(database, scope, place.root, place.below, planned.stop)
    )
    spent, seen = 0.0, 0
    began = time.perf_counter()
    for count, read in looks:
        spent += time.perf_counter() - began
        seen += count
        planned.count(count, (face.size for face in read.values()))
        yield read, spent, seen
        began = time.perf_counter()


def _unread_in(
    database: Database, scope: TenantScope, root: WatchRoot, below: bytes, stop: threading.Event
) -> Iterator[tuple[int, dict[bytes, Seen]]]:
    surveys = survey_in_portions(database, scope, root, limit=PORTION_FILES, below=below, again=True, stop=stop.is_set)
    for looked in surveys:
        if looked.health not in (RootHealth.WELL, RootHealth.MASS_VANISHING):
            raise _offline(root, looked.health)
        yield looked.seen, looked.read


def _unknown_in(
    database: Database, scope: TenantScope, folder: Path, stop: threading.Event
) -> Iterator[tuple[int, dict[bytes, Seen]]]:
    top = os.fsencode(folder).rstrip(b"/") + b"/"
    with database.tenant_work(scope) as session:
        unchanged = Unchanged(queries.iterate_faces(session, None, top))
    for sight in walk_in_portions(folder, limit=PORTION_FILES, unchanged=unchanged, at=top, stop=stop.is_set):
        read = sight.there
        with database.tenant_work(scope) as session:
            # Nobody watches this folder: what is gone from it stays as it was, and a place that holds the same is passed by.
            known = queries.list_known_at(session, None, [top + path for path in read])
        if known:
            same = {path for path, place in known.items() if place.face is not None and place.present}
            changes = compare({top + path: face for path, face in read.items()}, {path: known[path] for path in same})
            read = {path[len(top) :]: read[path[len(top) :]] for path in changes.read}
        yield len(sight.there) + sight.passed, read
