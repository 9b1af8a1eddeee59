"""Waking whoever waits for work, without a word to the database inside the transaction that made the work.

Words go the same way: that a run is to be cancelled, that a worker was drained or removed. Who hears one too late, or not
at all, learns the same from the database: with the next heartbeat, or when what it remembers has become too old.

A NOTIFY inside the enqueuing transaction takes one lock for the whole cluster until after the commit and costs 5 to 10
times the throughput; so the waiters of this process are woken directly after the commit, and other processes by a side
connection. Nothing depends on it: whoever waits also looks by itself every SAFETY_POLL_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import weakref
from collections.abc import Callable

from memoryd.dispatch.queries.wake_lines import listen, speak
from memoryd.foundation.database import Database, Engine, Session, event
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import JobId, WorkerId
from memoryd.foundation.logging import log_for

WORK = ""
"""The word that says that there may be work."""
CANCEL = "cancel"
"""A job that runs is to be cancelled: `cancel <job id>`."""
CHANGED = "changed"
"""A worker registered, was drained or removed: `changed <worker id>`."""
CHORE = "chore"
"""There is follow-up work that somebody waits for."""

SAFETY_POLL_S = 1.0
NOTIFY_EVERY_S = 0.005
"""At most 200 notifications a second, however many jobs come in."""
RECONNECT_S = 2.0

_log = log_for(__name__)
_wakers: weakref.WeakKeyDictionary[Engine, Waker] = weakref.WeakKeyDictionary()
_wakers_lock = threading.Lock()


class Waker:
    """The waiters of one process on one database. Thread-safe."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._lock = threading.Lock()
        self._waiters: set[Callable[[], None]] = set()
        self._dirty = threading.Event()
        self._words: set[str] = set()
        self._mark = secrets.token_hex(4)
        self._ears: list[Callable[[str], None]] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.told = 0
        """Counts how often work was told of: whoever looked for work before it grew need not wait."""
        self.closing = False
        """Whether this process is about to end: long polls answer at once, so that nobody waits for them."""

    def close_soon(self) -> None:
        """Let every long poll of this process end; safe in a signal handler."""
        self.closing = True
        # Not under the lock, which the interrupted thread may hold: a waiter looks again within SAFETY_POLL_S anyway.
        for rouse in list(self._waiters):
            rouse()

    def wake(self) -> None:
        """Wake every waiter of this process, and let the other processes know shortly."""
        self.tell(WORK)

    def tell(self, word: str) -> None:
        """Let this process hear a word at once, and the others shortly."""
        self.hear(word)
        with self._lock:
            self._words.add(word)
        self._dirty.set()

    def wake_here(self) -> None:
        """Wake every waiter of this process."""
        self.hear(WORK)

    def hear(self, word: str) -> None:
        """Let this process hear a word; one about work wakes every waiter."""
        if word == WORK:
            with self._lock:
                self.told += 1
                waiters, self._waiters = self._waiters, set()
            for rouse in waiters:
                rouse()
        for ear in list(self._ears):
            ear(word)

    def add_ear(self, ear: Callable[[str], None]) -> None:
        """Call `ear` with every word from now on, from any thread: it must not wait, nor raise."""
        self._ears.append(ear)

    async def wait(self, seconds: float, *, told: int | None = None) -> None:
        """Return when something may have come, or after `seconds` (at most SAFETY_POLL_S).

        `told` is what `self.told` was before the last look: what came since then is not waited for.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def rouse() -> None:
            with contextlib.suppress(RuntimeError):  # the loop closed while we waited
                loop.call_soon_threadsafe(woken.set)

        with self._lock:
            if told is not None and told != self.told:
                return
            self._waiters.add(rouse)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), min(seconds, SAFETY_POLL_S))
        finally:
            with self._lock:
                self._waiters.discard(rouse)

    def start(self, database: Database) -> None:
        """Begin to tell other processes, and to hear from them, over two connections of their own."""
        if self._threads:
            return
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=self._speak, args=(database,), name="memoryd-wake-speak", daemon=True),
            threading.Thread(target=self._hear, args=(database,), name="memoryd-wake-hear", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End what start began; waits for it."""
        self._stopping.set()
        self._dirty.set()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _speak(self, database: Database) -> None:
        while not self._stopping.is_set():
            try:
                speak(database, words=self._next_words, stopping=self._stopping.is_set)
            except Unavailable:  # the safety poll makes good what is not heard
                self._stopping.wait(RECONNECT_S)

    def _next_words(self) -> list[str]:
        """Wait until there is something to tell, and return it; nothing where it is to stop."""
        self._stopping.wait(NOTIFY_EVERY_S)
        self._dirty.wait()
        self._dirty.clear()
        with self._lock:
            words, self._words = sorted(self._words), set()
        return [] if self._stopping.is_set() else [f"{self._mark} {word}" for word in words]

    def _hear(self, database: Database) -> None:
        while not self._stopping.is_set():
            try:
                listen(database, heard=self._hear_line, stopping=self._stopping.is_set)
            except Unavailable as error:
                _log.info("not listening for wake-ups: %s", error.detail)
                self._stopping.wait(RECONNECT_S)

    def _hear_line(self, line: str) -> None:
        mark, _, word = line.partition(" ")
        # What this process said comes back to it as well, and it has heard it already.
        if mark != self._mark:
            self.hear(word)


def waker_of(database: Database) -> Waker:
    """Return this process's waker on a database."""
    return _waker(database.engine)


def wake_after_commit(session: Session) -> None:
    """Wake whoever waits for work once this session's transaction has committed; never if it does not."""
    _tell_after_commit(session, WORK)


def cancel_after_commit(session: Session, job_id: JobId) -> None:
    """Let the worker that runs a job hear that it was cancelled, once this session's transaction has committed."""
    _tell_after_commit(session, f"{CANCEL} {job_id}")


def change_after_commit(session: Session, worker_id: WorkerId) -> None:
    """Let every process look at a worker again, once this session's transaction has committed."""
    _tell_after_commit(session, f"{CHANGED} {worker_id}")


def chores_after_commit(session: Session) -> None:
    """Let whoever does follow-up work look for some, once this session's transaction has committed."""
    _tell_after_commit(session, CHORE)


def _tell_after_commit(session: Session, word: str) -> None:
    waker = _waker(session.get_bind().engine)
    event.listen(session, "after_commit", lambda _: waker.tell(word), once=True)


def _waker(engine: Engine) -> Waker:
    with _wakers_lock:
        found = _wakers.get(engine)
        if found is None:
            found = _wakers[engine] = Waker()
        return found
