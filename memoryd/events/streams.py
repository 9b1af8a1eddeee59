"""Following what happens: pages of events, and a wake-up per process for all who wait."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
import weakref
from collections.abc import AsyncIterator, Sequence

from memoryd.access.facts import Caller
from memoryd.events import queries
from memoryd.events.facts import Happened
from memoryd.foundation.canonical_json import read_json
from memoryd.foundation.database import Database
from memoryd.foundation.ids import ProjectId
from memoryd.foundation.logging import log_for

PAGE_EVENTS = 500
LISTEN_PAUSE_S = 0.5
"""How soon the listener notices that nobody waits any more."""

LOOK_EVERY_S = 5.0
"""Who waits looks this often without being woken: a lost wake-up delays, and loses nothing."""

KEEP_ALIVE_S = 15.0
RECONNECT_S = 1.0
STREAM_LIFE_S = 3_600.0
"""Rights are proven when a stream begins: a reader comes back and proves them again, and misses nothing."""

_LOG = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """The events after number `begin`, and where to go on; `missed` where those before them are no longer kept."""

    events: Sequence[Happened]
    begin: int
    after: int
    missed: bool


def read_events(database: Database, caller: Caller, after: int, limit: int = PAGE_EVENTS) -> EventPage:
    """Return what the caller may know of what happened after number `after`, in order."""
    with database.tenant_work(caller.tenant) as session:
        first, last = queries.find_bounds(session)
        # Ahead of us, as after a restored backup, is as lost as behind what is kept: the reader begins at the end.
        missed = after + 1 < first or after > last
        begin = last if after > last else max(after, first - 1)
        projects = None if caller.sees is None else list(caller.sees)
        rows = queries.list_events(session, after=begin, up_to=last, projects=projects, limit=limit)
    events = [happened(row) for row in rows]
    return EventPage(events=events, begin=begin, after=events[-1].seq if len(events) == limit else last, missed=missed)


def last_event(database: Database, caller: Caller) -> int:
    """Return the number of the tenant's last event; 0 where there is none."""
    with database.tenant_work(caller.tenant) as session:
        return queries.find_bounds(session)[1]


async def follow(
    database: Database,
    caller: Caller,
    after: int | None,
    *,
    kinds: frozenset[str] = frozenset(),
    life_s: float = STREAM_LIFE_S,
) -> AsyncIterator[EventPage]:
    """Yield pages of events as they happen; an empty page now and then shows that the stream lives.

    `after` None begins with what happens from now on. `kinds` empty is all; `job.*` is every kind that begins so. Ends
    after `life_s` seconds, or when the reader goes away.
    """
    ends = time.monotonic() + life_s
    with _ears(database).waiting(caller.tenant.schema) as bell:
        position = await asyncio.to_thread(last_event, database, caller) if after is None else after
        quiet_s = 0.0
        while time.monotonic() < ends:
            bell.clear()
            page = await asyncio.to_thread(read_events, database, caller, position)
            position = page.after
            told = [event for event in page.events if is_of_kind(event, kinds)]
            if told or page.missed or quiet_s >= KEEP_ALIVE_S:
                quiet_s = 0.0
                yield dataclasses.replace(page, events=told)
            if len(page.events) < PAGE_EVENTS:
                try:
                    await asyncio.wait_for(bell.wait(), LOOK_EVERY_S)
                except TimeoutError:
                    quiet_s += LOOK_EVERY_S


def is_of_kind(event: Happened, kinds: frozenset[str]) -> bool:
    """Tell whether an event is of one of these kinds; none named is all of them."""
    begins = tuple(kind[:-1] for kind in kinds if kind.endswith(".*"))
    return not kinds or event.kind in kinds or event.kind.startswith(begins)


def happened(row: queries.AnyRow) -> Happened:
    """Return an event from its row: seq, at, kind, subject, project_id, and its body as JSON text."""
    body = read_json(row.body)
    return Happened(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        subject=row.subject,
        project_id=ProjectId(row.project_id) if row.project_id else None,
        body=body if isinstance(body, dict) else {},
    )


class _Waiting:
    """One who waits for a tenant's events."""

    def __init__(self, ears: _Ears, schema: str) -> None:
        self._ears = ears
        self._bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.schema = schema

    def __enter__(self) -> asyncio.Event:
        self._ears.add(self)
        return self._bell

    def __exit__(self, *_: object) -> None:
        self._ears.remove(self)

    def ring(self) -> None:
        """Wake the one who waits, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._bell.set)
        except RuntimeError:
            # Its loop ended while we rang; it is about to be removed.
            _LOG.debug("a reader's loop is closed")


class _Ears:
    """The one LISTEN connection of a process to a database; there only while somebody waits."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._waiting: set[_Waiting] = set()
        self._thread: threading.Thread | None = None

    def waiting(self, schema: str) -> _Waiting:
        return _Waiting(self, schema)

    def add(self, one: _Waiting) -> None:
        with self._lock:
            self._waiting.add(one)
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="memoryd-events", daemon=True)
                self._thread.start()

    def remove(self, one: _Waiting) -> None:
        with self._lock:
            self._waiting.discard(one)

    def _listen(self) -> None:
        pause = threading.Event()
        while True:
            try:
                with contextlib.closing(queries.listen(self._url, LISTEN_PAUSE_S)) as heard:
                    for schemas in heard:
                        self._ring(schemas)
                        if self._nobody_waits():
                            return
            except queries.LostListener as error:
                _LOG.warning("events are followed by looking every %s s: %s", LOOK_EVERY_S, type(error).__name__)
                pause.wait(RECONNECT_S)
                if self._nobody_waits():
                    return

    def _ring(self, schemas: list[str] | None) -> None:
        with self._lock:
            chosen = [one for one in self._waiting if schemas is None or one.schema in schemas]
        for one in chosen:
            one.ring()

    def _nobody_waits(self) -> bool:
        with self._lock:
            if self._waiting:
                return False
            self._thread = None
            return True


_ears_lock = threading.Lock()
_all_ears: weakref.WeakKeyDictionary[Database, _Ears] = weakref.WeakKeyDictionary()


def _ears(database: Database) -> _Ears:
    with _ears_lock:
        held = _all_ears.get(database)
        if held is None:
            held = _all_ears[database] = _Ears(queries.listening_url(database))
        return held
