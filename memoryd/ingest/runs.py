"""Takings-in that a server process does for somebody, in a thread each: how far they are, and how to stop them.

They are not stored: one that was lost with its process is simply asked for again, and goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import enum
import threading
from collections.abc import Callable
from uuid import UUID

from memoryd.access.facts import Caller
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import Conflict, MemorydError, NotFound
from memoryd.foundation.ids import new_id
from memoryd.foundation.logging import log_for
from memoryd.ingest.backlog import Plan, Progress, Wish, ingest_paths, plan
from memoryd.storage.blob_store import BlobStore

RUNNING_LIMIT = 4
"""Takings-in of one server process at a time: each reads with two processes."""

REMEMBERED_LIMIT = 100
"""Ended ones that can still be asked about."""

_log = log_for(__name__)


class RunNotFound(NotFound):
    """There is no such taking-in."""


class TooManyRuns(Conflict):
    """Enough is being taken in already."""


class RunState(enum.StrEnum):
    """Where a taking-in stands."""

    LOOKING = "looking"
    """Finding out what is new."""
    READING = "reading"
    DONE = "done"
    STOPPED = "stopped"
    """By a person's wish; what was read is recorded, and the same again goes on."""
    FAILED = "failed"


@dataclasses.dataclass(slots=True, kw_only=True)
class Run:
    """One taking-in. Written by its own thread; readers may see it a moment late."""

    id: UUID
    tenant: UUID
    state: RunState = RunState.LOOKING
    planned: Plan | None = None
    progress: Progress = dataclasses.field(default_factory=Progress)
    error: str | None = None
    hint: str | None = None
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)


class Runs:
    """The takings-in of one server process. Thread-safe."""

    def __init__(self) -> None:
        """None is running."""
        self._runs: dict[UUID, Run] = {}
        self._lock = threading.Lock()

    def start(self, database: Database, scope: TenantScope, store: BlobStore, wish: Wish, caller: Caller) -> Run:
        """Begin to take files in, in a thread of its own. Raises: TooManyRuns."""
        run = Run(id=new_id(), tenant=scope.id)
        with self._lock:
            active = [r for r in self._runs.values() if r.state in (RunState.LOOKING, RunState.READING)]
            if len(active) >= RUNNING_LIMIT:
                raise TooManyRuns(f"{len(active)} are running", hint="wait until one has ended, or stop one")
            for old in [r.id for r in self._runs.values() if r not in active][: -REMEMBERED_LIMIT or None]:
                del self._runs[old]
            self._runs[run.id] = run
        threading.Thread(
            target=_work, args=(run, lambda: _do(run, database, scope, store, wish, caller)), daemon=True
        ).start()
        return run

    def find(self, scope: TenantScope, run_id: UUID) -> Run:
        """Return a tenant's taking-in. Raises: RunNotFound."""
        run = self._runs.get(run_id)
        if run is None or run.tenant != scope.id:
            raise RunNotFound(str(run_id), hint="ask for the same paths again: what is recorded is passed by")
        return run


def _do(run: Run, database: Database, scope: TenantScope, store: BlobStore, wish: Wish, caller: Caller) -> None:
    run.planned = plan(database, scope, store, wish)
    run.progress.to_read = run.planned.to_read
    run.state = RunState.READING

    def note(progress: Progress) -> None:
        run.progress = progress

    run.progress = ingest_paths(
        database, scope, store, run.planned, caller=caller, on_progress=note, stop=run.stop.is_set
    )
    run.state = RunState.STOPPED if run.progress.stopped else RunState.DONE


def _work(run: Run, do: Callable[[], None]) -> None:
    try:
        do()
    except MemorydError as error:
        run.error, run.hint, run.state = f"{error.title} {error.detail}", error.hint, RunState.FAILED
    except Exception as error:
        # The thread has no caller: who asks for the run is told instead.
        _log.exception("taking in failed")
        run.error, run.state = f"{type(error).__name__} in the server; its log tells more", RunState.FAILED
