"""Takings-in that a server process does for somebody, in a thread each: how far they are, stopping them, going on.

What was wished and how far it is, is kept in the database: a taking-in that was lost with its process is shown as
interrupted, and goes on where it was when somebody asks for that. What is recorded is passed by.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from memoryd.access.facts import Caller, Scope
from memoryd.foundation.database import Database, DatabaseDown, TenantScope
from memoryd.foundation.errors import Conflict, MemorydError, NotFound
from memoryd.foundation.ids import PersonId, ProjectId, new_id
from memoryd.foundation.logging import log_for
from memoryd.ingest import queries, roots
from memoryd.ingest.backlog import Plan, Progress, Wish, ingest_paths, plan
from memoryd.ingest.facts import Custody
from memoryd.storage.blob_store import BlobStore

RUNNING_LIMIT = 4
"""Takings-in of one server process at a time: each reads with two processes."""

REMEMBERED_LIMIT = 100
"""Ended ones that this process still holds; the database has all."""

LISTED_LIMIT = 100

BEAT_S = 2.0
"""How often a running one writes how far it is."""

SILENT_S = 30.0
"""After so many beats left out its process is taken to be gone. A database that restarts is back within 5 s."""

_log = log_for(__name__)


class RunNotFound(NotFound):
    """There is no such taking-in."""


class TooManyRuns(Conflict):
    """Enough is being taken in already."""


class RunStillGoesOn(Conflict):
    """This taking-in is being worked on."""


class RunState(enum.StrEnum):
    """Where a taking-in stands."""

    LOOKING = "looking"
    """Finding out what is new."""
    READING = "reading"
    DONE = "done"
    STOPPED = "stopped"
    """By a person's wish; what was read is recorded, and the same again goes on."""
    INTERRUPTED = "interrupted"
    """Lost with its process; what was read is recorded, and it can be resumed."""
    FAILED = "failed"


RUNNING = (RunState.LOOKING, RunState.READING)
_COUNTS = ("to_read", "done", "new", "known", "quarantined", "ignored", "vanished", "findings", "size")
_STILL_FINDING = "still_finding"
"""Among a stored run's counts: 1 while its files are still being found, and the numbers of its plan grow."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Run:
    """One taking-in. Written by its own thread; readers may see it a moment late. Times are instants of this machine."""

    id: UUID
    tenant: UUID
    wish: Wish
    by_person: UUID | None = None
    state: RunState = RunState.LOOKING
    planned: Plan | None = None
    progress: Progress = dataclasses.field(default_factory=Progress)
    started_at: datetime.datetime = dataclasses.field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    reading_since: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    error: str | None = None
    hint: str | None = None
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)

    @property
    def rate(self) -> float | None:
        """Files a second since reading began; None before the first."""
        if self.reading_since is None or not self.progress.done:
            return None
        until = self.ended_at or datetime.datetime.now(datetime.UTC)
        return self.progress.done / max((until - self.reading_since).total_seconds(), 0.001)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to its end at the present rate; None where it is not running, or while its files are still being found."""
        if self.state is not RunState.READING or self.rate is None:
            return None
        if self.planned is not None and not self.planned.complete:
            return None
        return max(self.progress.to_read - self.progress.done, 0) / self.rate


def is_trusted(caller: Caller) -> bool:
    """Tell whether a caller may name any path of the server's machine, and know of those that others named."""
    return caller.via == "local" or Scope.ADMIN in caller.everywhere


class Runs:
    """The takings-in of one server process. Thread-safe."""

    def __init__(self) -> None:
        """None is running."""
        self._runs: dict[UUID, Run] = {}
        self._lock = threading.Lock()

    def start(self, database: Database, scope: TenantScope, store: BlobStore, wish: Wish, caller: Caller) -> Run:
        """Begin to take files in, in a thread of its own. Raises: TooManyRuns."""
        run = Run(id=new_id(), tenant=scope.id, wish=wish, by_person=caller.person_id)
        self._add(run)
        try:
            with database.tenant_work(scope) as session:
                queries.insert_run(session, **_wished(run), state=run.state.value, host=roots.this_host())
        except BaseException:
            self._forget(run)
            raise
        _begin(run, database, scope, store, caller)
        return run

    def resume(self, database: Database, scope: TenantScope, store: BlobStore, run_id: UUID, caller: Caller) -> Run:
        """Go on with a taking-in that ended before its end, or again with one that did not.

        Raises: RunNotFound; RunStillGoesOn; TooManyRuns.
        """
        before = self.find(database, scope, run_id)
        run = Run(
            id=before.id, tenant=scope.id, wish=before.wish, by_person=before.by_person, started_at=before.started_at
        )
        if before.state in RUNNING:
            raise RunStillGoesOn(str(run_id), hint="`memoryd ingest --runs` shows how far it is")
        self._add(run)
        with database.tenant_work(scope) as session:
            ours = queries.take_over_run(
                session,
                run_id,
                running=[state.value for state in RUNNING],
                silent_s=SILENT_S,
                host=roots.this_host(),
            )
        if not ours:
            self._forget(run)
            raise RunStillGoesOn(str(run_id), hint="`memoryd ingest --runs` shows how far it is")
        _begin(run, database, scope, store, caller)
        return run

    def find(self, database: Database, scope: TenantScope, run_id: UUID) -> Run:
        """Return a tenant's taking-in. Raises: RunNotFound."""
        run = self._runs.get(run_id)
        if run is not None and run.tenant == scope.id:
            return run
        with database.tenant_work(scope) as session:
            row = queries.find_run(session, run_id)
        if row is None:
            raise RunNotFound(str(run_id), hint="`memoryd ingest --runs` shows what there is")
        return _stored(row, scope)

    def list_newest(self, database: Database, scope: TenantScope, *, by: UUID | None = None) -> list[Run]:
        """Return a tenant's newest takings-in (`by`: only a person's), newest first, LISTED_LIMIT at most."""
        with database.tenant_work(scope) as session:
            rows = queries.list_runs(session, by=by, limit=LISTED_LIMIT)
        return [self._runs.get(row.id) or _stored(row, scope) for row in rows]

    def find_for(self, database: Database, caller: Caller, run_id: UUID) -> Run:
        """Return a taking-in that the caller may know of: their own, or any where they are trusted. Raises: RunNotFound."""
        run = self.find(database, caller.tenant, run_id)
        # The paths of the server's machine that somebody else named are nobody's business.
        if not is_trusted(caller) and (run.by_person is None or run.by_person != caller.person_id):
            raise RunNotFound(str(run_id), hint="`memoryd ingest --runs` shows yours")
        return run

    def list_for(self, database: Database, caller: Caller) -> list[Run]:
        """Return the newest takings-in that the caller may know of, newest first."""
        if is_trusted(caller):
            return self.list_newest(database, caller.tenant)
        return [] if caller.person_id is None else self.list_newest(database, caller.tenant, by=caller.person_id)

    def _add(self, run: Run) -> None:
        with self._lock:
            active = [r for r in self._runs.values() if r.state in RUNNING]
            if len(active) >= RUNNING_LIMIT:
                raise TooManyRuns(f"{len(active)} are running", hint="wait until one has ended, or stop one")
            for old in [r.id for r in self._runs.values() if r not in active][: -REMEMBERED_LIMIT or None]:
                del self._runs[old]
            self._runs[run.id] = run

    def _forget(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(run.id, None)


def _wished(run: Run) -> dict[str, Any]:
    wish = run.wish
    return {
        "id": run.id,
        "paths": [os.fsencode(path) for path in wish.paths],
        "project_id": wish.project_id,
        "otherwise": wish.otherwise,
        "person_id": wish.person_id,
        "custody": wish.custody.value,
        "by_person": run.by_person,
        "started_at": run.started_at,
    }


def _stored(row: Any, scope: TenantScope) -> Run:
    state = RunState(row.state)
    if state in RUNNING and row.silent > datetime.timedelta(seconds=SILENT_S):
        state = RunState.INTERRUPTED
    wish = Wish(
        paths=tuple(Path(os.fsdecode(path)) for path in row.paths),
        project_id=None if row.project_id is None else ProjectId(row.project_id),
        otherwise=None if row.otherwise is None else ProjectId(row.otherwise),
        person_id=None if row.person_id is None else PersonId(row.person_id),
        custody=Custody(row.custody),
    )
    return Run(
        id=row.id,
        tenant=scope.id,
        wish=wish,
        by_person=row.by_person,
        state=state,
        planned=None
        if row.found is None
        else Plan(found=row.found, known=row.known, size=row.size, complete=not row.counts.get(_STILL_FINDING)),
        progress=_progress(row.counts),
        started_at=row.started_at,
        reading_since=row.reading_since,
        ended_at=row.ended_at or (row.beat_at if state is RunState.INTERRUPTED else None),
        error=row.error,
        hint="`memoryd ingest --resume` goes on where it was" if state is RunState.INTERRUPTED else row.hint,
    )


def _progress(counts: Mapping[str, Any]) -> Progress:
    progress = Progress()
    for name in _COUNTS:
        setattr(progress, name, int(counts.get(name, 0)))
    return progress


def _begin(run: Run, database: Database, scope: TenantScope, store: BlobStore, caller: Caller) -> None:
    over = threading.Event()

    def work() -> None:
        state = _work(run, lambda: _do(run, database, scope, store, caller))
        over.set()
        run.ended_at = datetime.datetime.now(datetime.UTC)
        written = _write(run, database, scope, state)
        run.state = state
        # Its end is worth more patience than a beat: without it, it would be shown as interrupted.
        patient_until = time.monotonic() + SILENT_S
        while not written and time.monotonic() < patient_until:
            time.sleep(BEAT_S)
            written = _write(run, database, scope, state)

    def beat() -> None:
        while not over.wait(BEAT_S):
            _write(run, database, scope, run.state)

    threading.Thread(target=work, name="ingest-run", daemon=True).start()
    threading.Thread(target=beat, name="ingest-beat", daemon=True).start()


def _write(run: Run, database: Database, scope: TenantScope, state: RunState) -> bool:
    progress, planned = run.progress, run.planned
    try:
        with database.tenant_work(scope) as session:
            queries.update_run(
                session,
                run.id,
                state=state.value,
                reading_since=run.reading_since,
                ended_at=run.ended_at,
                found=planned.found if planned else None,
                known=planned.known if planned else None,
                size=planned.size if planned else None,
                counts={name: getattr(progress, name) for name in _COUNTS}
                | {_STILL_FINDING: int(planned is not None and not planned.complete)},
                error=run.error,
                hint=run.hint,
            )
    except DatabaseDown:
        return False
    except Exception:
        _log.exception("how far a taking-in is could not be written")
        return False
    return True


def _do(run: Run, database: Database, scope: TenantScope, store: BlobStore, caller: Caller) -> RunState:
    planned = plan(database, scope, store, run.wish)
    run.progress.to_read = planned.to_read
    run.reading_since = datetime.datetime.now(datetime.UTC)
    run.planned, run.state = planned, RunState.READING

    def note(progress: Progress) -> None:
        run.progress = progress

    run.progress = ingest_paths(database, scope, store, planned, caller=caller, on_progress=note, stop=run.stop.is_set)
    return RunState.STOPPED if run.progress.stopped else RunState.DONE


def _work(run: Run, do: Callable[[], RunState]) -> RunState:
    try:
        return do()
    except MemorydError as error:
        run.error, run.hint = f"{error.title} {error.detail}", error.hint
    except Exception as error:
        # The thread has no caller: who asks for the run is told instead.
        _log.exception("taking in failed")
        run.error = f"{type(error).__name__} in the server; its log tells more"
    return RunState.FAILED


SERVER_RUNS = Runs()
"""Those of this server process: its API and its pages show the same."""
