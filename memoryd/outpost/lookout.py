"""Watches a folder of this machine: events name files, settled ones are read into the spool.

Events are hints, as for a server's own folders: the folder is also looked through at the start and from time to time, and a
look alone says what is gone. Where no events come (a network share, a limit of the system), looks take their place.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from memoryd.foundation.ids import WatchRootId, new_id
from memoryd.foundation.logging import log_for
from memoryd.ingest.changes import is_mass_vanishing
from memoryd.ingest.facts import Seen
from memoryd.ingest.hearing import Ear, Events, understand
from memoryd.ingest.settling import Happening, Nomination, heard, is_settled, looked
from memoryd.ingest.walking import Sight, look, walk
from memoryd.outpost.local_file import NotRead, place_name, read_file
from memoryd.outpost.spool import Face, Spool, SpoolUnusable

SOON_S = 0.02
TICK_S = 0.1
IDLE_S = 1.0
RESCAN_EVERY_S = 60.0
"""A whole look, for what no event told of; where no events come at all, POLL_EVERY_S."""

POLL_EVERY_S = 10.0
FOLDER_SETTLES_S = 0.5
TROUBLE_WAIT_S = 10
BATCH = 50
"""Files that are read before events are heard again."""

_log = log_for(__name__)


class Lookout:
    """One folder, watched until it is stopped."""

    def __init__(self, folder: Path, spool: Spool, *, new: Callable[[], None]) -> None:
        """`folder` is absolute; `new` is called whenever something was put into the spool."""
        self._folder = folder
        self._spool = spool
        self._new = new
        self._events: Events = queue.SimpleQueue()
        self._stop = threading.Event()
        self._nominations: dict[bytes, Nomination] = {}
        self._faces = spool.faces()
        self._again: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._scan_at = 0.0
        self._observer: BaseObserver | None = None
        self._told_full = False
        self._told_away = False

    def stop_soon(self) -> None:
        """Ask run() to end; safe in a signal handler and from any thread."""
        self._stop.set()
        self._events.put(None)

    def run(self) -> None:
        """Watch until stop_soon()."""
        self._listen()
        try:
            while not self._stop.is_set():
                try:
                    if not self._step(time.monotonic()):
                        self._await_events()
                except (OSError, SpoolUnusable) as error:
                    # A full disk, a share that fails in the middle: what this round was about is seen by the next look.
                    _log.warning("%s: it is tried again in %d seconds", error, TROUBLE_WAIT_S)
                    self._scan_at = 0.0
                    self._stop.wait(TROUBLE_WAIT_S)
        finally:
            if self._observer is not None:
                self._observer.stop()
                self._observer.join()

    def read_all(self) -> None:
        """Look once, read everything that is settled, and return; what somebody still writes is waited for shortly."""
        self._forget_asked()
        self._look(time.monotonic())
        while self._nominations and not self._stop.is_set():
            if not self._take(time.monotonic()):
                self._stop.wait(TICK_S)

    def is_asked(self) -> bool:
        """Tell whether read_again() named files that nobody looked at since."""
        return not self._again.empty()

    def _forget_asked(self) -> bool:
        asked = self._again.qsize()
        for _ in range(asked):
            self._faces.pop(self._again.get_nowait(), None)
        return asked > 0

    def _listen(self) -> None:
        observer = Observer()
        try:
            observer.schedule(Ear(WatchRootId(new_id()), self._events), str(self._folder), recursive=True)
            observer.start()
            self._observer = observer
        except OSError as error:
            hint = "; raise fs.inotify.max_user_watches with sysctl" if error.errno == 28 else ""
            _log.warning("no events from %s (%s)%s: it is looked through instead", self._folder, error.strerror, hint)

    def _await_events(self) -> None:
        soon = any(one.happening is Happening.WRITTEN for one in self._nominations.values())
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=SOON_S if soon else TICK_S if self._nominations else IDLE_S)
            if event is not None:
                self._events.put(event)

    def _step(self, now: float) -> bool:
        if self._forget_asked():
            self._scan_at = 0.0
        for _ in range(self._events.qsize()):
            event = self._events.get_nowait()
            if event is None:
                continue
            for told in understand(event[1], self._folder):
                if told.folder:
                    self._scan_at = min(self._scan_at, now + FOLDER_SETTLES_S)
                else:
                    before = self._nominations.pop(told.path, None)
                    self._nominations[told.path] = heard(before, told.happening, now)
        if now >= self._scan_at:
            self._look(now)
            self._scan_at = now + (RESCAN_EVERY_S if self._observer is not None else POLL_EVERY_S)
        return self._take(now)

    def _look(self, now: float) -> None:
        sight = walk(self._folder, stop=self._stop.is_set)
        if not self._is_there(sight):
            return
        there: set[str] = set()
        for path, face in sight.there.items():
            place = place_name(path)
            there.add(place)
            if self._faces.get(place) != _plain(face) and path not in self._nominations:
                self._nominations[path] = looked(heard(None, Happening.SEEN, now), face, now)
        gone = [place for place in self._faces.keys() - there if sight.can_tell(place.encode())]
        if is_mass_vanishing(gone=len(gone), known_present=len(self._faces)):
            if not self._told_away:
                _log.warning(
                    "%d of %d files vanished at once: is %s mounted? nothing is called gone",
                    len(gone),
                    len(self._faces),
                    self._folder,
                )
            self._told_away = True
            return
        self._told_away = False
        self._gone(gone)

    def _is_there(self, sight: Sight) -> bool:
        if b"" in sight.unseen and not sight.there:
            if not self._told_away:
                _log.warning("%s cannot be reached: nothing in it is called gone", self._folder)
            self._told_away = True
            return False
        return True

    def _gone(self, places: list[str]) -> None:
        if places:
            self._spool.put_gone(places)
            for place in places:
                self._faces.pop(place, None)
            self._new()

    def _take(self, now: float) -> bool:
        settled: list[bytes] = []
        for path in reversed(list(self._nominations)):
            nomination = looked(self._nominations[path], look(self._folder, path), now)
            self._nominations[path] = nomination
            if is_settled(nomination, now):
                settled.append(path)
                if len(settled) >= BATCH:
                    break
        if settled and self._spool.is_full():
            if not self._told_full:
                _log.warning(
                    "the spool is full (SPOOL_LIMIT): further files wait in their folder until the server takes some"
                )
            self._told_full = True
            for path in settled:
                del self._nominations[path]
            self._scan_at = min(self._scan_at, now + POLL_EVERY_S)
            return False
        for path in settled:
            self._told_full = False
            if self._stop.is_set():
                return False
            self._read(path, now)
        return bool(settled)

    def _read(self, path: bytes, now: float) -> None:
        place = place_name(path)
        face = look(self._folder, path)
        del self._nominations[path]
        if face is None:
            # Gone: the look that can tell an unmounted folder from a removed file says so.
            if place in self._faces:
                self._scan_at = min(self._scan_at, now + FOLDER_SETTLES_S)
            return
        if self._faces.get(place) == _plain(face):
            return
        read = read_file(self._folder, place)
        if isinstance(read, NotRead):
            if read.again:
                self._nominations[path] = heard(None, Happening.SEEN, now)
            elif read.face is not None:
                _log.warning("%s is not sent: %s", place, read.why)
                self._spool.refuse(place, read.face, read.why)
                self._faces[place] = read.face
            return
        self._spool.put(place, read.face, read.sent.sha256, read.sent.model_dump_json().encode())
        self._faces[place] = read.face
        self._new()

    def read_again(self, place: str) -> None:
        """Forget that a file was read; the next look reads it anew. Safe from any thread."""
        self._again.put(place)
        self._events.put(None)


def _plain(face: Seen) -> Face:
    # The inode is left out: what a listing says of it on Windows is none.
    return Face(size=face.size, mtime_ns=face.mtime_ns)
