"""One root as its watcher holds it: what is listened to, what is to be looked at, and what was named by events."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import Future
from pathlib import Path

from watchdog.observers.api import BaseObserver, ObservedWatch

from memoryd.catalog.facts import Watching, WatchRoot
from memoryd.ingest import listening, roots
from memoryd.ingest.facts import RootHealth, Seen
from memoryd.ingest.hearing import Ear, Events
from memoryd.ingest.settling import Happening, Nomination, heard, is_settled, looked
from memoryd.ingest.surveying import Survey
from memoryd.ingest.walking import look

LISTEN_AGAIN_S = 300.0
"""How soon a folder that could not be listened to is tried again."""

FOLDERS_AT_ONCE = 64
"""Changed folders that are looked through one by one; more of them are a look at the whole root."""

LOOKS_AT_ONCE = 5_000
"""Named files that are looked at in one round, so that a backlog of a million does not keep a new file waiting."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Look:
    """A look in progress, on another thread. `below` are the folders looked through; empty means the whole root."""

    below: tuple[bytes, ...]
    began: float
    found: Future[list[Survey]]


@dataclasses.dataclass(slots=True, kw_only=True)
class WatchedRoot:
    """One root of this machine. Times are of a monotonic clock, in seconds. Only the watcher's own thread touches it."""

    root: WatchRoot
    remote: bool
    watch: ObservedWatch | None = None
    heard_inode: tuple[int, int] | None = None
    """(device, inode) of the folder that is listened to: events stay with a folder that is moved away."""
    trial_until: float | None = None
    listen_at: float = 0.0
    why: str | None = None
    told: tuple[Watching, str | None] | None = None
    """How it is watched, as last noted in the database."""
    health: RootHealth = RootHealth.WELL
    scan_at: float = 0.0
    folders: dict[bytes, float] = dataclasses.field(default_factory=dict)
    """Folders that changed, and when to look through them."""
    look: Look | None = None
    more_to_see: bool = False
    """The last look named as many new files as one may: the next follows when most are recorded."""
    nominations: dict[bytes, Nomination] = dataclasses.field(default_factory=dict)
    large: set[bytes] = dataclasses.field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return roots.folder_path(self.root)

    @property
    def how(self) -> tuple[Watching, str | None]:
        """How it is watched now, and why so where it is looked through."""
        if self.trial_until is not None and self.told is not None:
            return self.told  # nothing is known yet
        polled = self.watch is None or self.why is not None
        return (Watching.POLLING if polled else Watching.EVENTS, self.why)

    def nominate(self, path: bytes, happening: Happening, now: float, face: Seen | None = None) -> None:
        """Name a file that is to be looked at; one that is being read in the lane of the large is not named again."""
        if path in self.large:
            return
        nomination = heard(self.nominations.pop(path, None), happening, now)
        # The newest name stands last, and is taken first.
        self.nominations[path] = nomination if face is None else looked(nomination, face, now)

    def name_folder(self, path: bytes, at: float) -> None:
        """Note that a folder came, went or moved: it is looked through at that time."""
        if len(self.folders) >= FOLDERS_AT_ONCE or not path:
            self.folders.clear()
            self.scan_at = min(self.scan_at, at)
        elif self.scan_at > at:
            self.folders.setdefault(path, at)

    def listen(self, observer: BaseObserver, events: Events, now: float) -> None:
        """Begin to listen where that is possible and not done yet; say why not where it is not."""
        if self.watch is not None or self.health is not RootHealth.WELL or now < self.listen_at:
            return
        if self.remote:
            self.why = listening.NETWORK
            return
        self.listen_at = now + LISTEN_AGAIN_S
        try:
            self.heard_inode = inode(self.folder)
            self.watch = observer.schedule(
                Ear(self.root.id, events),
                os.fsdecode(self.root.path),
                recursive=True,
                event_filter=listening.EVENT_KINDS,
            )
        except OSError as error:
            self.why = listening.why_not(error)
            return
        if listening.write_trial(self.folder):
            # What was wrong before is only over when the trial's event comes.
            self.trial_until = now + listening.TRIAL_S
        else:
            self.prove()

    def check_limit(self) -> None:
        """Notice that the kernel's watches are used up: what is listened to goes on, and the rest is looked through."""
        if self.watch is not None and self.why is None and listening.watch_limit_met(self.folder):
            self.why = listening.watch_limit_hint()

    def prove(self) -> None:
        """Note that events come."""
        self.trial_until, self.why = None, None
        self.check_limit()

    def judge_trial(self, observer: BaseObserver, now: float) -> None:
        """Stop listening where the trial's event did not come in time: looking takes its place, until it is tried again."""
        if self.trial_until is not None and now >= self.trial_until:
            again = self.listen_at
            self.deafen(observer)
            self.listen_at, self.why, self.scan_at = again, listening.NO_EVENTS, now

    def deafen(self, observer: BaseObserver) -> None:
        """Listen no more."""
        self.trial_until, self.listen_at = None, 0.0
        if self.watch is not None:
            observer.unschedule(self.watch)
            self.watch = None

    def settled(self, now: float, limit: int) -> tuple[list[bytes], bool]:
        """Return files that may be read now, those named last first, at most `limit`; and whether more are waiting."""
        found: list[bytes] = []
        for at, path in enumerate(reversed(list(self.nominations))):
            if len(found) >= limit or at >= LOOKS_AT_ONCE:
                return found, bool(found)
            nomination = looked(self.nominations[path], look(self.folder, path), now)
            self.nominations[path] = nomination
            if is_settled(nomination, now):
                found.append(path)
        return found, False


def inode(folder: Path) -> tuple[int, int] | None:
    """Return (device, inode) of a folder; None where it cannot be reached."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
