"""Watches the roots of this machine: the operating system's events name files, settled ones are read and recorded.

Events are hints. They can be lost (a full queue), absent (a file server's other writers, files moved in from outside, a
limit of the kernel's) or too early; so every root is also looked through from time to time, and a look alone decides what
changed. Looks go on in threads of their own: a slow share keeps nobody else's new file waiting.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor

from watchdog.events import FileSystemEvent
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from memoryd.catalog import places
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import LocationRecord, RootState, RootWatcher, WatchRoot
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import WatchRootId
from memoryd.foundation.logging import log_for
from memoryd.ingest import roots
from memoryd.ingest.attributing import folder_for
from memoryd.ingest.backlog import record_read
from memoryd.ingest.facts import BATCH_LIMIT, Custody, FileState, Folder, Prepared, RootHealth, Seen
from memoryd.ingest.hearing import Events, OverflowEar, is_trial, understand
from memoryd.ingest.keeping import keep
from memoryd.ingest.knowledge import knowing
from memoryd.ingest.lanes import LARGE_FILE, Lanes
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.retrying import retry_due
from memoryd.ingest.settling import Happening
from memoryd.ingest.surveying import Survey, survey, survey_in_portions
from memoryd.ingest.watched_root import Look, WatchedRoot, inode
from memoryd.storage.blob_store import BlobStore

SOON_S = 0.01
"""The next round while a file that was closed lingers; TICK_S while others are waited for, IDLE_S while none is."""

TICK_S = 0.05
IDLE_S = 0.5

RESCAN_EVERY_S = 300.0
"""A whole look at a local root, for what no event told of. Source: 181,000 files a second by scandir and stat."""

POLL_EVERY_S = 10.0
"""The same for a root whose writers give no events here, and for one that is offline."""

POLL_SHARE = 4
"""A look that takes long is not begun again before this many times its own time: a share has other work too."""

LOOKS_AT_A_TIME = 4

LOOK_FILES = 100_000
"""New files that one look names: they take 100 MB, and a look at what follows them costs a tenth of reading them."""

OWN_HANDS_FILES = 64
"""Fewer files than this are read in this process: a few new ones must not wait until another has been started."""

FOLDER_SETTLES_S = 0.5
"""How soon a folder that came, went or moved is looked through: its files' own events may still come."""

ROOTS_EVERY_S = 1.0
"""How soon a root that somebody added is watched, and one whose folder was unmounted or exchanged is noticed: of that no
event tells."""

RETRY_EVERY_S = 15.0
DOWN_WAIT_S = 1.0

_log = log_for(__name__)


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
        self._first: list[tuple[WatchRootId, FileSystemEvent]] = []
        self._watched: dict[WatchRootId, WatchedRoot] = {}
        self._turns: dict[WatchRootId, threading.Lock] = defaultdict(threading.Lock)
        self._stop = threading.Event()
        self._overflowed = threading.Event()
        self._observer: BaseObserver = Observer()
        self._lanes = Lanes()
        self._looks = ThreadPoolExecutor(LOOKS_AT_A_TIME, thread_name_prefix="looking")
        self._large: queue.SimpleQueue[tuple[WatchedRoot, Folder, bytes] | None] = queue.SimpleQueue()
        self._retrying: Future[int] | None = None
        self._roots_at = 0.0
        self._retry_at = 0.0

    def stop_soon(self) -> None:
        """Ask run() to end after the present batch; safe in a signal handler and from any thread."""
        self._stop.set()
        self._events.put(None)

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
                    self._await_events()
        finally:
            logging.getLogger("watchdog").removeHandler(ear)
            self._large.put(None)
            self._observer.stop()
            self._observer.join()
            self._looks.shutdown(cancel_futures=True)
            self._lanes.close()

    def _await_events(self) -> None:
        named = [nomination for watched in self._watched.values() for nomination in watched.nominations.values()]
        soon = any(nomination.happening is Happening.WRITTEN for nomination in named)
        wait = SOON_S if soon else TICK_S if named else min(IDLE_S, ROOTS_EVERY_S)
        with contextlib.suppress(queue.Empty):
            heard = self._events.get(timeout=wait)
            if heard is not None:
                self._first.append(heard)

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
            # After hearing: whatever was told until now is known.
            watched.judge_trial(self._observer, now)
            self._end_look(watched, now)
            self._begin_look(watched, now)
        if now >= self._retry_at and (self._retrying is None or self._retrying.done()):
            self._retry_at = now + RETRY_EVERY_S
            self._retrying = self._looks.submit(retry_due, self._database, self._scope, self._store, self._host)
        more = [self._take(watched, now) for watched in self._watched.values()]
        return any(more)

    def _look_soon(self) -> None:
        for watched in self._watched.values():
            watched.scan_at = 0.0

    def _refresh_roots(self) -> None:
        changed = {w.root.id: w.how for w in self._watched.values() if w.look is None and w.how != w.told}
        with self._database.tenant_work(self._scope) as session:
            present = {root.id: root for root in catalog_roots.list_roots(session)}
            for root_id, (how, why) in changed.items():
                if root_id in present:
                    catalog_roots.note_watching(session, root_id, how, why)
        for root_id, told in changed.items():
            self._watched[root_id].told = told
            if told[1] is not None:
                _log.warning("%s: %s", self._watched[root_id].root.shown_path, told[1])
        wanted = {root_id: root for root_id, root in present.items() if self._is_ours(root)}
        for root_id in self._watched.keys() - wanted.keys():
            self._watched.pop(root_id).deafen(self._observer)
        for root_id, root in wanted.items():
            if root_id in self._watched:
                self._watched[root_id].root = root
            else:
                self._watched[root_id] = WatchedRoot(root=root, remote=roots.is_remote(roots.folder_path(root)))
                _log.info("watching %s", root.shown_path)

    def _is_ours(self, root: WatchRoot) -> bool:
        # The paths of a workstation's root are its own: here they would name other files.
        return root.host == self._host and root.watched_by is RootWatcher.SERVER and root.state is not RootState.PAUSED

    def _check(self, watched: WatchedRoot, now: float) -> None:
        """Notice that a root's folder is another, or well again; both are looked into at once."""
        if watched.remote:
            return  # its next look asks; a share that does not answer must not hold up the others
        health = roots.health(watched.root)
        if watched.watch is not None and inode(watched.folder) != watched.heard_inode:
            watched.deafen(self._observer)
            watched.scan_at = now
        if health is not watched.health:
            watched.health = health
            watched.scan_at = now
        if watched.root.state is RootState.OFFLINE:
            watched.scan_at = min(watched.scan_at, now + POLL_EVERY_S)

    def _hear(self, now: float) -> None:
        # Only what has come by now: a busy folder must not keep the watcher from reading.
        come = [self._events.get_nowait() for _ in range(self._events.qsize())]
        first, self._first = self._first, []
        for heard in (*first, *come):
            watched = None if heard is None else self._watched.get(heard[0])
            if heard is None or watched is None:
                continue
            if is_trial(heard[1]):
                watched.prove()
                continue
            for told in understand(heard[1], watched.folder):
                if told.folder:
                    watched.name_folder(told.path, now + FOLDER_SETTLES_S)
                else:
                    watched.nominate(told.path, told.happening, now)

    def _begin_look(self, watched: WatchedRoot, now: float) -> None:
        """Look, on another thread, through the root or through the folders that changed, where it is time."""
        if watched.look is not None:
            return
        if watched.more_to_see and len(watched.nominations) < BATCH_LIMIT:
            # What the last look named is recorded, and is passed by now.
            watched.more_to_see, watched.scan_at = False, now
        whole = now >= watched.scan_at
        due = tuple(sorted(path for path, at in watched.folders.items() if now >= at))
        if not whole and not due:
            return
        # Listening begins before the look: what comes in between is heard, or seen, or both.
        watched.listen(self._observer, self._events, now)
        if whole:
            watched.folders.clear()
            # Whatever asks for another look from now on is not answered by this one.
            watched.scan_at = now + self._rescan_every_s
        for path in due:
            watched.folders.pop(path, None)
        below = () if whole else due
        found = self._looks.submit(self._look, watched.root, below)
        found.add_done_callback(lambda _: self._events.put(None))
        watched.look = Look(below=below, began=now, found=found)

    def _look(self, root: WatchRoot, below: tuple[bytes, ...]) -> list[Survey]:
        turn = self._turns[root.id]
        looks = [
            survey_in_portions(
                self._database, self._scope, root, limit=LOOK_FILES, below=part, stop=self._stop.is_set, turn=turn
            )
            for part in below or (b"",)
        ]
        return [next(found) for found in looks]

    def _end_look(self, watched: WatchedRoot, now: float) -> None:
        look = watched.look
        if look is None or not look.found.done():
            return
        watched.look = None
        if not look.below:
            often = watched.watch is None or watched.why is not None or watched.health is not RootHealth.WELL
            patience = max(POLL_EVERY_S, POLL_SHARE * (now - look.began)) if often else self._rescan_every_s
            watched.scan_at = min(watched.scan_at, now + patience)
        try:
            surveys = look.found.result()
        except Exception:
            watched.scan_at = min(watched.scan_at, now + POLL_EVERY_S)
            raise
        watched.check_limit()
        for found in surveys:
            watched.health = found.health if found.health is not RootHealth.MASS_VANISHING else watched.health
            if found.health is not RootHealth.WELL:
                watched.scan_at = min(watched.scan_at, now + POLL_EVERY_S)
            for path, face in found.read.items():
                if path not in watched.nominations:
                    watched.nominate(path, Happening.SEEN, now, face)
            watched.more_to_see |= not found.last

    def _take(self, watched: WatchedRoot, now: float) -> bool:
        some, more = watched.settled(now, BATCH_LIMIT)
        if not some:
            return False
        turn = self._turns[watched.root.id]
        found = survey(self._database, self._scope, watched.root, paths=some, again=True, turn=turn)
        waiting: set[bytes] = set()
        # While the root is offline nothing is read: the look that finds it well again names these files anew.
        if found.health in (RootHealth.WELL, RootHealth.MASS_VANISHING) and found.read:
            waiting = self._read(watched, found.read)
        for path in some:
            del watched.nominations[path]
        for path in waiting:
            watched.nominate(path, Happening.SEEN, now)
        return more

    def _folder(self, root: WatchRoot, files: dict[bytes, Seen]) -> Folder:
        if not root.rules:
            return roots.folder_of(root)
        with self._database.tenant_work(self._scope) as session:
            return folder_for(session, root, files)

    def _read(self, watched: WatchedRoot, files: dict[bytes, Seen]) -> set[bytes]:
        """Read and record files; return those that somebody still writes."""
        folder = knowing(self._folder(watched.root, files), self._database, self._scope)
        large = {path: face for path, face in files.items() if face.size >= LARGE_FILE}
        if large:
            self._arrive(watched, folder, large)
        for path in large:
            watched.large.add(path)
            self._large.put((watched, folder, path))
        common = sorted((face.mtime_ns, path) for path, face in files.items() if path not in watched.large)
        paths = [folder.path / os.fsdecode(path) for _, path in common]
        # What is kept is copied by its record.
        ready = folder.custody is not Custody.KEEP
        return self._record(self._lanes.prepare(folder, paths, ready=ready, worth=OWN_HANDS_FILES))

    def _arrive(self, watched: WatchedRoot, folder: Folder, files: dict[bytes, Seen]) -> None:
        with self._database.tenant_work(self._scope) as session:
            for path, face in files.items():
                where = LocationRecord(
                    watch_root_id=watched.root.id,
                    path=path,
                    size=face.size,
                    mtime_ns=face.mtime_ns,
                    inode=face.inode,
                    device=face.device,
                )
                places.arrive(session, [where], folder.for_path(path).project_id)

    def _record(self, prepared: Prepared) -> set[bytes]:
        kept = keep(prepared, self._store, self._scope.slug)
        recorded, kept = record_read(self._database, self._scope, self._store, self._lanes, kept)
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
