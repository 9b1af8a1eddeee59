"""How far runs are at this moment, and what they have drawn so far: in the memory of the process that hears it, nowhere else.

Other processes of the same server do not know of it: they show the heartbeats' progress, and no picture. Bounded: the
run that was heard least recently gives way.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
import weakref

from memoryd.foundation.database import Database
from memoryd.foundation.ids import JobId

RUNS_LIMIT = 10_000
"""Runs that one process remembers: more than the workers that it can hold sockets of."""

PICTURES_LIMIT = 256 * 1024 * 1024
"""Bytes of all their pictures."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A run's newest picture. `number` grows with each, so that who has seen one knows whether there is another."""

    number: int
    media_type: str
    content: bytes = dataclasses.field(repr=False)
    node: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """A run as it was last heard of. `progress` 0 to 1, None where it cannot be told."""

    fence: int
    progress: float | None = None
    phase: str | None = None
    node: str | None = None
    picture: Picture | None = None


class LiveRuns:
    """The runs of one process on one database. Thread-safe. What is told of an earlier lease is not believed."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._lock = threading.Lock()
        self._runs: collections.OrderedDict[JobId, LiveRun] = collections.OrderedDict()
        self._bytes = 0
        self._pictures = 0

    def find(self, job_id: JobId) -> LiveRun | None:
        """Return a run as it was last heard of, None where this process hears nothing of it."""
        with self._lock:
            return self._runs.get(job_id)

    def tell(self, job_id: JobId, fence: int, *, progress: float | None, phase: str, node: str | None) -> None:
        """Note how far a run is."""
        with self._lock:
            before = self._before(job_id, fence)
            if before is not None:
                self._keep(job_id, dataclasses.replace(before, progress=progress, phase=phase, node=node))

    def show(self, job_id: JobId, fence: int, *, media_type: str, content: bytes, node: str | None) -> None:
        """Note a run's newest picture; the one before is forgotten."""
        with self._lock:
            before = self._before(job_id, fence)
            if before is not None:
                self._pictures += 1
                picture = Picture(number=self._pictures, media_type=media_type, content=content, node=node)
                self._keep(job_id, dataclasses.replace(before, picture=picture))

    def end(self, job_id: JobId, fence: int) -> None:
        """Forget a run, unless a later lease of the job has begun."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is not None and run.fence <= fence:
                self._drop(job_id)

    def _before(self, job_id: JobId, fence: int) -> LiveRun | None:
        run = self._runs.get(job_id)
        if run is None or run.fence < fence:
            return LiveRun(fence=fence)
        return run if run.fence == fence else None

    def _keep(self, job_id: JobId, run: LiveRun) -> None:
        self._drop(job_id)
        self._runs[job_id] = run
        self._bytes += _size(run)
        while len(self._runs) > RUNS_LIMIT or self._bytes > PICTURES_LIMIT:
            self._drop(next(iter(self._runs)))

    def _drop(self, job_id: JobId) -> None:
        run = self._runs.pop(job_id, None)
        if run is not None:
            self._bytes -= _size(run)


def _size(run: LiveRun) -> int:
    return len(run.picture.content) if run.picture is not None else 0


_lock = threading.Lock()
_all: weakref.WeakKeyDictionary[Database, LiveRuns] = weakref.WeakKeyDictionary()


def live_runs_of(database: Database) -> LiveRuns:
    """Return the runs that this process hears of."""
    with _lock:
        return _all.setdefault(database, LiveRuns())
