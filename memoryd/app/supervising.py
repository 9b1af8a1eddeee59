"""`memoryd up`: one machine, all parts; each is a process of its own, started again when it dies.

Parts die with their supervisor (a kill -9 of it leaves no orphan that would serve a stale state); Postgres does not: the
next start finds it running, or starts it and lets it recover.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for

SUPERVISED_VARIABLE = "MEMORYD_SUPERVISED"
LOOK_EVERY_S = 0.2
POSTGRES_LOOK_EVERY_S = 0.4
BACKOFF_FIRST_S = 0.2
BACKOFF_LAST_S = 10.0
STEADY_AFTER_S = 20.0
"""A part that lived this long starts again at once; one that dies sooner waits twice as long as the time before."""
STOP_WAIT_S = 30.0
"""How long a part may take to finish its work after SIGTERM. A worker drains within it or releases its job."""

_PR_SET_PDEATHSIG = 1
_log = log_for(__name__)


def die_with_supervisor() -> None:
    """Let the kernel end this process when its supervisor is gone. No-op where nobody supervises. Source: prctl(2)."""
    supervisor = os.environ.get(SUPERVISED_VARIABLE)
    if supervisor and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(supervisor):
            os.kill(os.getpid(), signal.SIGTERM)


@dataclasses.dataclass(slots=True, kw_only=True)
class Part:
    """One process of the whole. `arguments` follow `memoryd` on its command line."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    backoff_s: float = BACKOFF_FIRST_S
    restarts: int = -1

    def start(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "memoryd_cli", *self.arguments],
            env={**os.environ, **self.environment, SUPERVISED_VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then stops the parts in order.
        )
        self.started_at = time.monotonic()
        self.restarts += 1

    def look(self) -> None:
        """Start the process again if it died, after its backoff."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_again_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        lived = now - self.started_at
        self.backoff_s = BACKOFF_FIRST_S if lived >= STEADY_AFTER_S else min(self.backoff_s * 2, BACKOFF_LAST_S)
        _log.warning("%s ended with %s after %.1f s; starting again in %.1f s", self.name, code, lived, self.backoff_s)
        self.process, self.start_again_at = None, now + self.backoff_s


class Supervisor:
    """Keeps the parts and the embedded Postgres alive until told to stop."""

    def __init__(self, parts: Sequence[Part], cluster: Cluster | None) -> None:
        """`cluster` is None where the database is somebody else's."""
        self.parts = list(parts)
        self.cluster = cluster
        self._stopping = False
        self._postgres_looked_at = 0.0

    def stop_soon(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stopping = True

    def run(self, on_look: Callable[[], None] | None = None) -> None:
        """Start everything and keep it alive until stop_soon; then stop parts in reverse order, Postgres last."""
        for part in self.parts:
            part.start()
        try:
            while not self._stopping:
                self._keep_postgres()
                for part in self.parts:
                    part.look()
                if on_look is not None:
                    on_look()
                time.sleep(LOOK_EVERY_S)
        finally:
            self._stop()

    def _keep_postgres(self) -> None:
        now = time.monotonic()
        if self.cluster is None or now - self._postgres_looked_at < POSTGRES_LOOK_EVERY_S:
            return
        self._postgres_looked_at = now
        try:
            if not self.cluster.is_running():
                _log.warning("Postgres does not answer; starting it again")
                self.cluster.ensure_running()
                _log.info("Postgres is back after %.1f s", time.monotonic() - now)
        except MemorydError as error:
            _log.error("Postgres does not start: %s (%s)", error.detail, error.hint)

    def _stop(self) -> None:
        # One after the other: a worker that drains still needs the server to take its result.
        for part in reversed(self.parts):
            if part.process is None:
                continue
            part.process.terminate()
            try:
                part.process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                _log.warning("%s did not stop within %.0f s; ending it", part.name, STOP_WAIT_S)
                part.process.kill()
                part.process.wait()
        if self.cluster is not None:
            self.cluster.stop()
