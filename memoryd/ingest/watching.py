"""Watches the roots of this machine: the operating system's events name files, settled ones are read and recorded.

Events are hints. They can be lost (a full queue), absent (a file server's other writers, files moved in from outside)
or too early; so every root is also looked through from time to time, and a look alone decides what changed.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import queue
import threading
import time
from pathlib import Path

from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from memoryd.catalog import places
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import LocationRecord, RootState, WatchRoot
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import WatchRootId
from memoryd.foundation.logging import log_for
from memoryd.ingest import roots
from memoryd.ingest.facts import BATCH_LIMIT, FileState, Folder, Prepared, RootHealth, Seen
from memoryd.ingest.hearing import Ear, Events, OverflowEar, understand
from memoryd.ingest.keeping import keep
from memoryd.ingest.lanes import LARGE_FILE, Lanes
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.ingest.retrying import retry_due
from memoryd.ingest.settling import Happening, Nomination, heard, is_settled, looked
from memoryd.ingest.surveying import survey
from memoryd.ingest.walking import look
from memoryd.storage.blob_store import BlobStore

TICK_S = 0.05
"""How often nominations are looked at."""

RESCAN_EVERY_S = 300.0
"""A whole look at a local root, for what no event told of. Source: 181,000 files a second by scandir and stat."""

POLL_EVERY_S = 10.0
"""The same for a root whose writers give no events here, and for one that is offline."""

FOLDER_SETTLES_S = 0.5
"""How soon a folder that came, went or moved is looked through: its files' own events may still come."""

ROOTS_EVERY_S = 1.0
"""How soon a root that somebody added is watched, and one whose folder was unmounted or exchanged is noticed: of that no
event tells."""

RETRY_EVERY_S = 15.0
DOWN_WAIT_S = 1.0

_log = log_for(__name__)


@dataclasses.dataclass(slots=True, kw_only=True)
class _Watched:
    root: WatchRoot
    remote: bool
    watch: ObservedWatch | None = None
    heard_inode: tuple[int, int] | None = None
    """(device, inode) of the folder that is listened to: events stay with a folder that is moved away."""
    health: RootHealth = RootHealth.WELL
    scan_at: float = 0.0
    nominations: dict[bytes, Nomination] = dataclasses.field(default_factory=dict)
    large: set[bytes] = dataclasses.field(default_factory=set)

    @property
    def folder(self) -> Path:
        return roots.folder_path(self.root)

    def nominate(self, path: bytes, happening: Happening, now: float, face: Seen | None = None) -> None:
        if path in self.large:
            return
        nomination = heard(self.nominations.get(path), happening, now)
        self.nominations[path] = nomination if face is None else looked(nomination, face, now)


class Watcher:
    """Watches one tenant's roots of this machine until it is stopped. Each start takes up where the last one ended."""

    def __init__(
        self,
        database: Database,
        scope: TenantScope,
        store: BlobStore,
        *,
        host: str | None = None,
        rescan_every_s: float = RESCAN_EVERY_S,
    ) -> None:
        """Nothing is watched before run()."""
        self._database = database
        self._scope = scope
        self._store = store
        self._host = host or roots.this_host()
        self._rescan_every_s = rescan_every_s
        self._events: Events = queue.SimpleQueue()
        self._watched: dict[WatchRootId, _Watched] = {}
        self._stop = threading.Event()
        self._overflowed = threading.Event()
        self._observer: BaseObserver = Observer()
        self._lanes = Lanes()
        self._large: queue.SimpleQueue[tuple[_Watched, Folder, bytes] | None] = queue.SimpleQueue()
        self._roots_at = 0.0
        self._retry_at = 0.0

    def stop_soon(self) -> None:
        """Ask run() to end after the present batch; safe in a signal handler and from any thread."""
        self._stop.set()

    def run(self) -> None:
        """Watch until stop_soon(). A database that does not answer is waited for; nothing that was heard is forgotten."""
        ear = OverflowEar(self._overflowed.set)
        logging.getLogger("watchdog").addHandler(ear)
        lane = threading.Thread(target=self._run_large_lane, name="large-files", daemon=True)
        self._observer.start()
        lane.start()
        try:
            while not self._stop.is_set():
                if not self._round():
                    self._stop.wait(TICK_S)
        finally:
            logging.getLogger("watchdog").removeHandler(ear)
            self._large.put(None)
            self._observer.stop()
            self._observer.join()
            self._lanes.close()

    def _round(self) -> bool:
        try:
            return self.step(time.monotonic())
        except Unavailable as error:
            _log.warning("%s %s", error.title, error.detail)
            self._stop.wait(DOWN_WAIT_S)
        except Exception:
            # INV-8: the watcher goes on; what this round was about is found by the next look at the roots.
            _log.exception("a round of watching failed; the next look at the folders makes up for it")
            self._look_soon()
            self._stop.wait(DOWN_WAIT_S)
        return False

    def step(self, now: float) -> bool:
        """Do one round: hear, look, read, record; return whether there is more to do at once."""
        if now >= self._roots_at:
            self._refresh_roots()
            for watched in self._watched.values():
                self._check(watched, now)
            self._roots_at = now + ROOTS_EVERY_S
        if self._overflowed.is_set():
            self._overflowed.clear()
            _log.warning("events were lost: every folder is looked through")
            self._look_soon()
        self._hear(now)
        for watched in self._watched.values():
            if now >= watched.scan_at:
                self._look_through(watched, now)
        if now >= self._retry_at:
            self._retry_at = now + RETRY_EVERY_S
            retry_due(self._database, self._scope, self._store, self._host)
        more = [self._take(watched, now) for watched in self._watched.values()]
        return any(more)

    def _look_soon(self) -> None:
        for watched in self._watched.values():
            watched.scan_at = 0.0

    def _refresh_roots(self) -> None:
        with self._database.tenant_work(self._scope) as session:
            present = {root.id: root for root in catalog_roots.list_roots(session)}
        wanted = {
            root_id: root
            for root_id, root in present.items()
            if root.host == self._host and root.state is not RootState.PAUSED
        }
        for root_id in self._watched.keys() - wanted.keys():
            self._deafen(self._watched.pop(root_id))
        for root_id, root in wanted.items():
            if root_id in self._watched:
                self._watched[root_id].root = root
            else:
                self._watched[root_id] = _Watched(root=root, remote=roots.is_remote(roots.folder_path(root)))
                _log.info("watching %s", root.shown_path)

    def _check(self, watched: _Watched, now: float) -> None:
        """Notice that a root's folder is another, or well again; both are looked into at once."""
        health = roots.health(watched.root)
        inode = _inode(watched.folder)
        if watched.watch is not None and inode != watched.heard_inode:
            self._deafen(watched)
            watched.scan_at = now
        if health is not watched.health:
            watched.health = health
            watched.scan_at = now
        if watched.root.state is RootState.OFFLINE:
            watched.scan_at = min(watched.scan_at, now + POLL_EVERY_S)

    def _listen(self, watched: _Watched) -> None:
        if watched.remote or watched.watch is not None or watched.health is not RootHealth.WELL:
            return
        try:
            ear = Ear(watched.root.id, self._events)
            watched.heard_inode = _inode(watched.folder)
            watched.watch = self._observer.schedule(ear, os.fsdecode(watched.root.path), recursive=True)
        except OSError as error:
            # Out of watches (fs.inotify.max_user_watches): looking takes their place.
            _log.warning("no events from %s (%s): it is looked through", watched.root.shown_path, error.strerror)

    def _deafen(self, watched: _Watched) -> None:
        if watched.watch is not None:
            self._observer.unschedule(watched.watch)
            watched.watch = None

    def _hear(self, now: float) -> None:
        # Only what has come by now: a busy folder must not keep the watcher from reading.
        for _ in range(self._events.qsize()):
            root_id, event = self._events.get_nowait()
            watched = self._watched.get(root_id)
            if watched is None:
                continue
            for told in understand(event, watched.folder):
                if told.folder:
                    watched.scan_at = min(watched.scan_at, now + FOLDER_SETTLES_S)
                else:
                    watched.nominate(told.path, told.happening, now)

    def _look_through(self, watched: _Watched, now: float) -> None:
        # Listening begins before the look: what comes in between is heard, or seen, or both.
        self._listen(watched)
        found = survey(self._database, self._scope, watched.root, stop=self._stop.is_set)
        for path, face in found.read.items():
            if path not in watched.nominations:
                watched.nominate(path, Happening.SEEN, now, face)
        often = watched.watch is None or found.health is not RootHealth.WELL
        watched.scan_at = now + (min(POLL_EVERY_S, self._rescan_every_s) if often else self._rescan_every_s)

    def _take(self, watched: _Watched, now: float) -> bool:
        settled: list[bytes] = []
        for path, before in watched.nominations.items():
            nomination = looked(before, look(watched.folder, path), now)
            watched.nominations[path] = nomination
            if is_settled(nomination, now):
                settled.append(path)
        some = settled[:BATCH_LIMIT]
        if not some:
            return False
        found = survey(self._database, self._scope, watched.root, paths=some, again=True)
        waiting: set[bytes] = set()
        # While the root is offline nothing is read: the look that finds it well again names these files anew.
        if found.health in (RootHealth.WELL, RootHealth.MASS_VANISHING) and found.read:
            waiting = self._read(watched, found.read)
        for path in some:
            del watched.nominations[path]
        for path in waiting:
            watched.nominate(path, Happening.SEEN, now)
        return len(settled) > len(some)

    def _read(self, watched: _Watched, files: dict[bytes, Seen]) -> set[bytes]:
        """Read and record files; return those that somebody still writes."""
        folder = roots.folder_of(watched.root)
        large = {path: face for path, face in files.items() if face.size >= LARGE_FILE}
        if large:
            self._arrive(watched, large)
        for path in large:
            watched.large.add(path)
            self._large.put((watched, folder, path))
        common = sorted((face.mtime_ns, path) for path, face in files.items() if path not in watched.large)
        prepared = self._lanes.prepare(folder, [folder.path / os.fsdecode(path) for _, path in common])
        return self._record(prepared)

    def _arrive(self, watched: _Watched, files: dict[bytes, Seen]) -> None:
        records = [
            LocationRecord(
                watch_root_id=watched.root.id,
                path=path,
                size=face.size,
                mtime_ns=face.mtime_ns,
                inode=face.inode,
                device=face.device,
            )
            for path, face in files.items()
        ]
        with self._database.tenant_work(self._scope) as session:
            places.arrive(session, records, watched.root.project_id)

    def _record(self, prepared: Prepared) -> set[bytes]:
        kept = keep(prepared, self._store, self._scope.slug)
        with self._database.tenant_work(self._scope) as session:
            recorded = record(session, kept, scope=self._scope)
        if recorded.new or recorded.quarantined:
            _log.info("recorded %d new, %d into quarantine", recorded.new, recorded.quarantined)
        return {file.place for file in kept.in_state(FileState.WAITING)}

    def _run_large_lane(self) -> None:
        while (task := self._large.get()) is not None:
            watched, folder, path = task
            try:
                self._record(prepare_here(folder, [folder.path / os.fsdecode(path)]))
            except Exception:
                _log.exception("a large file could not be recorded; the next look at its folder names it again")
            finally:
                watched.large.discard(path)


def _inode(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
