"""Signs of life, from a thread of their own: a node that holds Python's lock must not cost the lease."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from uuid import UUID

from memoryd.comfyui.frames import Preview
from memoryd.dispatch.wire import Beat, Claimed, HeartbeatRequest, LeaseState
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.server_link import ServerLink
from memoryd.worker.server_socket import ServerSocket

BEATS_PER_LEASE = 3
"""A lease survives two lost signs of life."""

_log = log_for(__name__)


class Lease:
    """One job's lease as this worker sees it. Written by the run and by the heartbeat, so every member is one value."""

    def __init__(self, claimed: Claimed) -> None:
        """The job has just been claimed, or found again after a restart."""
        self.claimed = claimed
        self.phase = "starting"
        self.node: str | None = None
        self.progress: float | None = None
        self.picture: Preview | None = None
        self.news: threading.Event | None = None
        """Set at every change, for whoever tells of it."""
        self.cancelled = threading.Event()
        self.lost = threading.Event()

    def tell(self, phase: str, *, node: str | None = None, progress: float | None = None) -> None:
        """Say what is done now; progress never goes back."""
        self.phase, self.node = phase, node
        if progress is not None:
            self.progress = max(self.progress or 0.0, min(progress, 1.0))
        self._tell_news()

    def show(self, media_type: str, image: bytes, node: str | None = None) -> None:
        """Show what the run has drawn so far. Never waits: only the newest counts, and nobody need be looking."""
        self.picture = Preview(media_type=media_type, image=image, node=node or self.node)
        self._tell_news()

    def beat(self) -> Beat:
        """The present sign of life."""
        job = self.claimed
        return Beat(
            job_id=job.job_id,
            fence=job.fence,
            token=job.token,
            progress=self.progress,
            phase=self.phase,
            node=self.node,
        )

    def _tell_news(self) -> None:
        news = self.news
        if news is not None:
            news.set()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often signs of life are sent, in seconds: the server's wish, and at most a third of the shortest lease."""

    wish_s: float

    def interval(self, held: list[Lease]) -> float:
        """Return the seconds to the next sign of life."""
        return min([self.wish_s, *(lease.claimed.lease_s / BEATS_PER_LEASE for lease in held)])


class Heartbeat:
    """Sends signs of life for all held leases until it is stopped. Thread-safe."""

    def __init__(
        self,
        link: ServerLink,
        incarnation: UUID,
        rhythm: Rhythm,
        memory: Callable[[], int | None] = lambda: None,
    ) -> None:
        """The thread starts with `start`. `memory` tells how much of the GPU's is in use (MiB)."""
        self._memory = memory
        self._link = link
        self._incarnation = incarnation
        self._rhythm = rhythm
        self._leases: dict[UUID, Lease] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._heard = True
        self._socket = ServerSocket(lambda: link.open_socket(incarnation), self)
        self.drain = threading.Event()
        self.woken = threading.Event()
        """Set when the server says that there may be work; whoever waits for that clears it."""

    def start(self) -> None:
        """Start sending, and hold the server's socket from now on."""
        self._thread.start()
        self._socket.start()

    def stop(self) -> None:
        """Stop sending."""
        self._stopped.set()
        self._wake.set()
        self._socket.stop()
        self._thread.join(timeout=1)

    def hold(self, lease: Lease) -> None:
        """Send signs of life for this lease from now on, the first within the rhythm: it was granted just now."""
        lease.news = self._socket.news
        with self._lock:
            self._leases[lease.claimed.job_id] = lease
        self._wake.set()
        self._socket.news.set()

    def let_go(self, lease: Lease) -> None:
        """Send no more signs of life for this lease."""
        with self._lock:
            self._leases.pop(lease.claimed.job_id, None)
        self._socket.news.set()

    def held(self) -> list[Lease]:
        """Return the leases that signs of life are sent for."""
        with self._lock:
            return list(self._leases.values())

    def hear_wake(self) -> None:
        """The server says that there may be work."""
        self.woken.set()

    def hear_drain(self) -> None:
        """The server says that nothing new may be taken. That this is over is said by heartbeats."""
        self.drain.set()

    def hear_cancel(self, job_id: UUID, fence: int) -> None:
        """The server says that somebody cancelled a run."""
        for lease in self.held():
            if (lease.claimed.job_id, lease.claimed.fence) == (job_id, fence):
                lease.cancelled.set()

    def hear_lost(self, job_id: UUID, fence: int) -> None:
        """The server says that a lease is not this worker's."""
        for lease in self.held():
            if (lease.claimed.job_id, lease.claimed.fence) == (job_id, fence):
                lease.lost.set()

    def beat_once(self) -> bool:
        """Send one sign of life for everything held, and note the answers. Returns whether the server answered."""
        with self._lock:
            held = dict(self._leases)
        request = HeartbeatRequest(
            incarnation=self._incarnation,
            leases=[lease.beat() for lease in held.values()],
            vram_used_mb=self._memory(),
        )
        try:
            answer = self._link.heartbeat(request)
        except MemorydError as error:
            # Said once: an outage of hours must not fill the log.
            if self._heard:
                _log.warning("no heartbeat until further notice: %s", error.detail)
            self._heard = False
            return False
        if not self._heard:
            _log.info("the server hears this worker again")
        self._heard = True
        if answer.drain:
            self.drain.set()
        else:
            self.drain.clear()
        for word in answer.leases:
            lease = held.get(word.job_id)
            if lease is None:
                continue
            if word.answer is LeaseState.CANCEL:
                lease.cancelled.set()
            elif word.answer is LeaseState.LOST:
                lease.lost.set()
        return True

    def _beat_on(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            self._wake.clear()
            interval = self._rhythm.interval(self.held())
            # A lease that was just taken may bring the next sign of life nearer, but needs none of its own.
            due = min(due, time.monotonic() + interval)
            if time.monotonic() >= due:
                self.beat_once()
                due = time.monotonic() + interval
            self._wake.wait(max(0.0, due - time.monotonic()))
