"""Looks at a root and brings the places the catalogue knows up to date: renames, returns, losses; names what to read.

Nothing is called gone unless the folder was the right one before and after the look, could be read there, the file was
looked for twice, and not too much went at once: otherwise the root is offline, and heals when it is well again (INV-8).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager

from memoryd.catalog import places
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import LocationRecord, RootState, WatchRoot
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import LocationId
from memoryd.foundation.logging import log_for
from memoryd.ingest import changes as changing
from memoryd.ingest import quarantine, queries, roots
from memoryd.ingest.changes import Changes, Known, compare, is_mass_vanishing
from memoryd.ingest.facts import RootHealth, Seen
from memoryd.ingest.unchanged import Unchanged
from memoryd.ingest.walking import Sight, look, walk_in_portions

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a look at a root gave: `read` are paths below it to be read, by their faces; the rest was brought up to date.

    `last` is False where more of the same look follows.
    """

    health: RootHealth
    read: dict[bytes, Seen] = dataclasses.field(default_factory=dict)
    seen: int = 0
    renamed: int = 0
    back: int = 0
    gone: int = 0
    last: bool = True


def survey(
    database: Database,
    scope: TenantScope,
    root: WatchRoot,
    *,
    below: bytes = b"",
    paths: Collection[bytes] | None = None,
    accept_vanished: bool = False,
    again: bool = False,
    stop: Callable[[], bool] = lambda: False,
    turn: AbstractContextManager[object] | None = None,
) -> Survey:
    """Look at a whole root, at its part `below`, or at named `paths` only, and record what became of the known places.

    `accept_vanished`: a person said that what is gone is gone. `again`: files in quarantine are named too, due or not.
    `turn` is held while places are brought up to date: two threads that do so for one root take turns with it.
    """
    if paths is None:
        found = survey_in_portions(
            database,
            scope,
            root,
            limit=None,
            below=below,
            accept_vanished=accept_vanished,
            again=again,
            stop=stop,
            turn=turn,
        )
        return next(found)
    if (lost := lost_root(database, scope, root)) is not None:
        return lost
    sight = _named(root, paths)
    if (lost := lost_root(database, scope, root)) is not None:
        return lost
    with turn or contextlib.nullcontext(), database.tenant_work(scope) as session:
        # Its state may have changed since the caller last read it.
        root = catalog_roots.show_root(session, root.id)
        known = queries.list_known_at(session, root.id, paths)
        known |= _might_be_renamed(session, root, sight, known)
        return _bring_up_to_date(session, root, sight, known, False, accept_vanished=accept_vanished, again=again)


def survey_in_portions(
    database: Database,
    scope: TenantScope,
    root: WatchRoot,
    *,
    limit: int | None,
    below: bytes = b"",
    accept_vanished: bool = False,
    again: bool = False,
    stop: Callable[[], bool] = lambda: False,
    turn: AbstractContextManager[object] | None = None,
) -> Iterator[Survey]:
    """Yield what `survey` returns of a root or its part `below`, in portions of about `limit` new or changed files.

    What is gone is told with the last one, when everything was looked at. A root that is lost in the middle ends it.
    """
    if (lost := lost_root(database, scope, root)) is not None:
        yield lost
        return
    with database.tenant_work(scope) as session:
        unchanged = Unchanged(queries.iterate_faces(session, root.id, below))
    for portion, sight in enumerate(_walked(root, below, limit, stop, unchanged)):
        # The folder may have been lost during the walk: then what was not seen says nothing.
        if (lost := lost_root(database, scope, root)) is not None:
            yield lost
            return
        with turn or contextlib.nullcontext(), database.tenant_work(scope) as session:
            root = catalog_roots.show_root(session, root.id)
            known = queries.list_known_at(session, root.id, list(sight.there))
            if sight.last:
                unseen = queries.list_unseen(session, root.id, below, unchanged)
                known |= queries.list_known_at(session, root.id, [path for path in unseen if sight.can_tell(path)])
            if (below or portion or not sight.last) and unchanged.known:
                # Where only a part is looked at, what is new in it may have come from elsewhere in the root.
                known |= _might_be_renamed(session, root, sight, known)
            whole = sight.last and not below
            told = _bring_up_to_date(session, root, sight, known, whole, accept_vanished=accept_vanished, again=again)
        yield dataclasses.replace(told, last=sight.last)


def lost_root(database: Database, scope: TenantScope, root: WatchRoot) -> Survey | None:
    """Return what a look gives of a root that is not as it was, and call it offline; None where all is well."""
    health = roots.health(root)
    if health is RootHealth.WELL:
        return None
    _offline(database, scope, root, health)
    return Survey(health=health)


def _walked(
    root: WatchRoot, below: bytes, limit: int | None, stop: Callable[[], bool], unchanged: Unchanged
) -> Iterator[Sight]:
    folder = roots.folder_path(root)
    if below and not os.path.lexists(os.path.join(os.fsencode(folder), below)):  # noqa: PTH118 - names are bytes
        # Of a folder that is not there every file is gone; that the root itself is the right one is checked around this.
        return iter((Sight(there={}),))
    return walk_in_portions(folder, limit=limit, below=below, stop=stop, unchanged=unchanged)


def _named(root: WatchRoot, paths: Collection[bytes]) -> Sight:
    folder = roots.folder_path(root)
    there = {path: face for path in paths if (face := look(folder, path)) is not None}
    return Sight(there=there)


def _bring_up_to_date(
    session: Session,
    root: WatchRoot,
    sight: Sight,
    known: dict[bytes, Known],
    whole: bool,
    *,
    accept_vanished: bool,
    again: bool,
) -> Survey:
    folder = roots.folder_path(root)
    # Looked for once more: a worker may have written and recorded it since the walk.
    late = {path: face for path in known.keys() - sight.there.keys() if (face := look(folder, path)) is not None}
    changes = compare({**sight.there, **late}, known)
    # Counted only where it matters: it costs more than all else in a large root.
    many = not accept_vanished and len(changes.gone) > changing.MASS_VANISHING_LEAST
    present = queries.count_present(session, root.id) if many else 0
    if many and is_mass_vanishing(gone=len(changes.gone), known_present=present):
        reason = f"{len(changes.gone)} of {present} files vanished in one pass"
        roots.go(session, root, RootState.OFFLINE, f"{RootHealth.MASS_VANISHING.value}: {reason}")
        _log.warning("%s is offline: %s", root.shown_path, reason)
        return Survey(
            health=RootHealth.MASS_VANISHING, read=_to_read(session, root, sight, changes, again), seen=_seen(sight)
        )
    if root.state is RootState.OFFLINE:
        _heal(session, root, whole=whole, accept_vanished=accept_vanished)
    _move(session, root, sight.there, changes)
    if whole:
        _forget_lost_quarantine(session, root, sight)
        catalog_roots.note_scan(session, root.id)
    return Survey(
        health=RootHealth.WELL,
        read=_to_read(session, root, sight, changes, again),
        seen=_seen(sight),
        renamed=len(changes.renamed),
        back=len(changes.back),
        gone=len(changes.gone),
    )


def _seen(sight: Sight) -> int:
    return len(sight.there) + sight.passed


def _might_be_renamed(session: Session, root: WatchRoot, sight: Sight, known: dict[bytes, Known]) -> dict[bytes, Known]:
    """Return known places with the inodes of unknown files, but for those whose file is still under its name."""
    inodes = {face.inode for path, face in sight.there.items() if path not in known}
    folder = roots.folder_path(root)
    candidates = queries.list_known_inodes(session, root.id, inodes)
    return {path: place for path, place in candidates.items() if path not in known and look(folder, path) is None}


def _move(session: Session, root: WatchRoot, there: Mapping[bytes, Seen], changes: Changes) -> None:
    for place_id, path in changes.renamed:
        face = there[path]
        moved = LocationRecord(
            watch_root_id=root.id,
            path=path,
            size=face.size,
            mtime_ns=face.mtime_ns,
            inode=face.inode,
            device=face.device,
        )
        places.rename(session, LocationId(place_id), moved)
    places.restore(session, changes.back)
    places.mark_missing(session, changes.gone)


def _to_read(session: Session, root: WatchRoot, sight: Sight, changes: Changes, again: bool) -> dict[bytes, Seen]:
    left_alone = {} if again else quarantine.left_alone(session, root.id, datetime.datetime.now(datetime.UTC))
    read: dict[bytes, Seen] = {}
    for path in changes.read:
        face = sight.there.get(path)
        if face is not None and left_alone.get(path) != (face.size, face.mtime_ns):
            read[path] = face
    return read


def _forget_lost_quarantine(session: Session, root: WatchRoot, sight: Sight) -> None:
    folder = roots.folder_path(root)
    lost = [
        (root.id, path)
        for path in queries.list_open_paths(session, root.id)
        if path not in sight.there and sight.can_tell(path) and look(folder, path) is None
    ]
    quarantine.resolve(session, lost, resolution="gone", now=datetime.datetime.now(datetime.UTC))


def _heal(session: Session, root: WatchRoot, *, whole: bool, accept_vanished: bool) -> None:
    lost_many = (root.state_reason or "").startswith(RootHealth.MASS_VANISHING.value)
    # Only a look at the whole root can say that not too much is missing any more.
    if whole or accept_vanished or not lost_many:
        roots.go(session, root, RootState.ONLINE, None)
        _log.info("%s is online again", root.shown_path)


def _offline(database: Database, scope: TenantScope, root: WatchRoot, health: RootHealth) -> None:
    with database.tenant_work(scope) as session:
        root = catalog_roots.show_root(session, root.id)
        if roots.health(root) is RootHealth.WELL:
            return  # a person accepted the folder meanwhile
        roots.go(session, root, RootState.OFFLINE, health.value)
    if root.state is not RootState.OFFLINE:
        _log.warning("%s is offline: %s; nothing in it is called gone", root.shown_path, health.value)
