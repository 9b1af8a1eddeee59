"""What the operating system's events say: which paths, or which folders, are to be looked at. They decide nothing more."""

from __future__ import annotations

import dataclasses
import logging
import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

from watchdog.events import (
    DirModifiedEvent,
    FileClosedEvent,
    FileClosedNoWriteEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from memoryd.foundation.ids import WatchRootId
from memoryd.ingest.listening import TRIAL_NAME
from memoryd.ingest.media import is_reached, is_taken
from memoryd.ingest.opening import relative_path
from memoryd.ingest.settling import Happening

Events = queue.SimpleQueue[tuple[WatchRootId, FileSystemEvent] | None]
"""What was heard; None only wakes whoever waits for it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A path below a root that something happened to. `folder`: it is one, and is to be looked through."""

    path: bytes
    happening: Happening
    folder: bool = False


class Ear(FileSystemEventHandler):
    """Puts the events of one root into the watcher's queue."""

    def __init__(self, root_id: WatchRootId, events: Events) -> None:
        """`events` is read by the watcher's own thread."""
        self._root_id = root_id
        self._events = events

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Keep an event; merely opening or reading a file is none."""
        if not isinstance(event, (FileOpenedEvent, FileClosedNoWriteEvent, DirModifiedEvent)):
            self._events.put((self._root_id, event))


def is_trial(event: FileSystemEvent) -> bool:
    """Tell whether an event is about the file that is written to try whether events come."""
    return os.path.basename(os.fsencode(event.src_path)) == TRIAL_NAME  # noqa: PTH119 - names are bytes


class OverflowEar(logging.Handler):
    """Hears watchdog say that the kernel's queue overflowed: it says so in its log, and in no event.

    Source: watchdog 7.1, observers/inotify_c.py.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        """`tell` is called from watchdog's thread."""
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of an overflow."""
        if "overflow" in record.getMessage().lower():
            self._tell()


def understand(event: FileSystemEvent, root: Path) -> Iterator[Heard]:
    """Yield what an event names below a root; names that no memory takes in are passed by."""
    source = _below(root, event.src_path)
    target = _below(root, event.dest_path) if event.dest_path else None
    if event.is_directory:
        yield from (
            Heard(path=path, happening=Happening.SEEN, folder=True)
            for path in (source, target)
            if path is not None and is_reached(path + b"/")
        )
        return
    finished = isinstance(event, (FileClosedEvent, FileMovedEvent))
    for path in (source, target):
        if path is not None and is_reached(path) and is_taken(path.rpartition(b"/")[2]):
            yield Heard(path=path, happening=Happening.WRITTEN if finished else Happening.SEEN)


def _below(root: Path, path: str | bytes) -> bytes | None:
    full = Path(os.fsdecode(path))
    return b"" if full == root else relative_path(root, full)
