"""Finds out what taking in means: which files are new, in which order they are read, and the space that keeping takes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable
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
from memoryd.ingest.surveying import survey
from memoryd.ingest.unchanged import Unchanged
from memoryd.ingest.walking import look_at, walk
from memoryd.storage.blob_store import BlobStore

SLOW_LOOK_S = 0.001
"""Seconds to look at one file from which a folder is slow. A local disk takes a hundredth, a share over a VPN ten times."""

SLOW_FOLDER_FILES = 100
"""Files from which the time of looking says something."""


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
            began = time.perf_counter()
            looked = survey(database, scope, root, below=below, again=True)
            if looked.health not in (RootHealth.WELL, RootHealth.MASS_VANISHING):
                raise FolderOffline(
                    f"{root.shown_path}: {looked.health.value}", hint="`memoryd watch list` says what is wrong"
                )
            slow = _is_slow(real, looked.seen, time.perf_counter() - began)
            return looked.seen, _as_portion(_rooted(database, scope, root, looked.read, wish), looked.read, slow=slow)
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
    began = time.perf_counter()
    sight = walk(folder.path, unchanged=unchanged, at=top)
    slow = _is_slow(folder.path, len(sight.there) + sight.passed, time.perf_counter() - began)
    read = sight.there
    with database.tenant_work(scope) as session:
        # Nobody watches this folder: what is gone from it stays as it was, and a place that holds the same is passed by.
        known = queries.list_known_at(session, None, [top + path for path in read])
    if known:
        same = {path for path, place in known.items() if place.face is not None and place.present}
        changes = compare({top + path: face for path, face in read.items()}, {path: known[path] for path in same})
        read = {path[len(top) :]: read[path[len(top) :]] for path in changes.read}
    return len(sight.there) + sight.passed, _as_portion(folder, read, slow=slow)


def _is_slow(path: Path, seen: int, seconds: float) -> bool:
    return roots.is_remote(path) or (seen >= SLOW_FOLDER_FILES and seconds / seen > SLOW_LOOK_S)


def _as_portion(folder: Folder, read: dict[bytes, Seen], *, named: bool = False, slow: bool = False) -> Portion:
    # Oldest first: an edited picture follows its original, and a run's pictures come in their order. But where reading
    # takes hours, what people look for is there first.
    ordered = sorted(read.items(), key=lambda item: (item[1].mtime_ns, item[0]), reverse=slow)
    return Portion(
        folder=folder,
        paths=tuple(folder.path / os.fsdecode(path) for path, _ in ordered),
        sizes=tuple(face.size for _, face in ordered),
        named=named,
    )
