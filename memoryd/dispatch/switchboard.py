"""The workers' sockets that this process holds: who is to hear what, and which leases each has proved.

What a socket has to send is a handful of flags, never a queue: a worker that reads slowly misses nothing that still
matters, and costs no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
import weakref
from collections.abc import Callable
from uuid import UUID

from memoryd.dispatch import leases
from memoryd.dispatch.facts import LeaseKey, WorkerIdentity
from memoryd.dispatch.live_runs import LiveRuns, live_runs_of
from memoryd.dispatch.queries import presence
from memoryd.dispatch.socket_wire import Cancel, Drain, Lost, Wake
from memoryd.dispatch.waking import CANCEL, CHANGED, WORK, waker_of
from memoryd.dispatch.wire import Shape
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import JobId, WorkerId, parse_id

SOCKETS_LIMIT = 5_000
"""Sockets that one process holds. A worker beyond it works on without."""

LEASES_LIMIT = 16
"""Leases that one socket may have proved at a time; a worker holds one, or a few while it delivers."""

PROVED_FOR_S = 15.0
"""How long a proved lease is believed: a worker that lost it in silence can show nothing for longer than this."""

WAKE_EVERY_S = 1.0
"""A socket is told of work at most this often: who waits for work asks by long poll anyway, and is answered at once."""


class TooManySockets(Unavailable):
    """This server process holds as many workers' sockets as it may."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Proved:
    lease: LeaseKey
    until: float


class Connection:
    """One worker's socket, on the event loop that made it. What it has to say may be set from any thread."""

    def __init__(self, worker: WorkerIdentity, incarnation: UUID) -> None:
        """The worker was recognised, and this is its present start."""
        self.worker = worker
        self.incarnation = incarnation
        self.replaced = False
        """Whether a newer socket took this one's place."""
        self.doubted = False
        """Whether the worker changed: who sends looks at it again."""
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self._words: dict[object, Shape] = {}
        self._proved: dict[JobId, _Proved] = {}
        self._woken_at = float("-inf")

    def wake(self) -> None:
        """Tell of work, if it was not told of any a moment ago."""
        if time.monotonic() - self._woken_at >= WAKE_EVERY_S:
            self._woken_at = time.monotonic()
            self._say(WORK, Wake())

    def drain(self) -> None:
        """Tell the worker to take nothing new."""
        self._say("drain", Drain())

    def cancel(self, job_id: JobId) -> None:
        """Tell the worker that a run of its was cancelled; nothing where it has not proved to hold it."""
        with self._lock:
            proved = self._proved.get(job_id)
        if proved is not None:
            self._say((CANCEL, job_id), Cancel(job_id=job_id, fence=proved.lease.fence))

    def refuse(self, lease: LeaseKey) -> None:
        """Tell the worker that a lease is not its own."""
        self._say("lost", Lost(job_id=lease.job_id, fence=lease.fence))

    def doubt(self) -> None:
        """Let the worker be looked at again."""
        self.doubted = True
        self._rouse()

    def replace(self) -> None:
        """Let this socket end in favour of a newer one."""
        self.replaced = True
        self._rouse()

    async def next(self) -> list[Shape]:
        """Return what is to be sent, once there is something, or once the connection was doubted or replaced."""
        await self._ready.wait()
        self._ready.clear()
        with self._lock:
            words, self._words = list(self._words.values()), {}
        return words

    def has_proved(self, lease: LeaseKey) -> bool:
        """Tell whether this very lease was proved a short while ago."""
        with self._lock:
            proved = self._proved.get(lease.job_id)
        return proved is not None and proved.lease == lease and proved.until > time.monotonic()

    def note_proof(self, lease: LeaseKey) -> None:
        """Believe in a lease for PROVED_FOR_S; the oldest of more than LEASES_LIMIT is forgotten."""
        with self._lock:
            self._proved.pop(lease.job_id, None)
            self._proved[lease.job_id] = _Proved(lease=lease, until=time.monotonic() + PROVED_FOR_S)
            while len(self._proved) > LEASES_LIMIT:
                del self._proved[next(iter(self._proved))]

    def forget(self, job_id: JobId) -> LeaseKey | None:
        """Believe in a job's lease no longer; return it if it was believed in."""
        with self._lock:
            proved = self._proved.pop(job_id, None)
        return proved.lease if proved is not None else None

    def proved_leases(self) -> list[LeaseKey]:
        """Return the leases that were proved."""
        with self._lock:
            return [proved.lease for proved in self._proved.values()]

    def _say(self, kind: object, word: Shape) -> None:
        with self._lock:
            # Bounded: one word of each kind, and cancels only of proved leases.
            self._words[kind] = word
        self._rouse()

    def _rouse(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop closed meanwhile
            self._loop.call_soon_threadsafe(self._ready.set)


class Switchboard:
    """All workers' sockets of one process on one database. Thread-safe."""

    def __init__(self, runs: LiveRuns) -> None:
        """Nobody is connected."""
        self._runs = runs
        self._lock = threading.Lock()
        self._connections: dict[WorkerId, Connection] = {}

    def connect(self, worker: WorkerIdentity, incarnation: UUID) -> Connection:
        """Return a new connection of a worker, on the running event loop; an older one of the same worker ends.

        Raises: TooManySockets.
        """
        connection = Connection(worker, incarnation)
        with self._lock:
            older = self._connections.get(worker.worker_id)
            if older is None and len(self._connections) >= SOCKETS_LIMIT:
                raise TooManySockets(
                    f"{SOCKETS_LIMIT} (SOCKETS_LIMIT)", hint="work goes on without; start another server"
                )
            self._connections[worker.worker_id] = connection
        if older is not None:
            older.replace()
        return connection

    def disconnect(self, connection: Connection) -> None:
        """Forget a connection and what its worker showed."""
        with self._lock:
            if self._connections.get(connection.worker.worker_id) is connection:
                del self._connections[connection.worker.worker_id]
        if not connection.replaced:
            for lease in connection.proved_leases():
                self._runs.end(lease.job_id, lease.fence)

    def hear(self, word: str) -> None:
        """Pass a word on to those whom it concerns."""
        kind, _, name = word.partition(" ")
        with self._lock:
            connections = list(self._connections.values())
            named = self._connections.get(WorkerId(found)) if kind == CHANGED and (found := parse_id(name)) else None
        if word == WORK:
            for connection in connections:
                connection.wake()
        elif kind == CANCEL and (job_id := parse_id(name)) is not None:
            for connection in connections:
                connection.cancel(JobId(job_id))
        elif named is not None:
            named.doubt()


def prove(session: Session, connection: Connection, lease: LeaseKey) -> bool:
    """Tell whether the connection's worker holds a lease, and let it be believed for a while.

    A run that was cancelled before its lease was proved is cancelled now. `session` has taken the farm.
    """
    cancelled = presence.find_wish_to_cancel(
        session,
        job_id=lease.job_id,
        fence=lease.fence,
        token_hash=leases.token_hash(lease.token),
        worker_id=connection.worker.worker_id,
    )
    if cancelled is None:
        connection.forget(lease.job_id)
        connection.refuse(lease)
        return False
    connection.note_proof(lease)
    if cancelled:
        connection.cancel(lease.job_id)
    return True


_lock = threading.Lock()
_all: weakref.WeakKeyDictionary[Database, Switchboard] = weakref.WeakKeyDictionary()


def switchboard_of(database: Database) -> Switchboard:
    """Return the sockets that this process holds."""
    with _lock:
        found = _all.get(database)
        if found is None:
            found = _all[database] = Switchboard(live_runs_of(database))
            waker_of(database).add_ear(_weakly(found))
        return found


def _weakly(switchboard: Switchboard) -> Callable[[str], None]:
    reference = weakref.ref(switchboard)

    def hear(word: str) -> None:
        present = reference()
        if present is not None:
            present.hear(word)

    return hear
