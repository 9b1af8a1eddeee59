"""How a worker is asked to end: first to finish what it has, then at once."""

from __future__ import annotations

import threading
import time

DRAIN_LIMIT_S = 25.0
"""How long a running job may go on after SIGTERM; less than what `memoryd up` and Kubernetes wait by default (30)."""


class Stopping:
    """Asked to end, or not. Thread-safe; `ask` may be called from a signal handler."""

    def __init__(self, drain_limit_s: float = DRAIN_LIMIT_S) -> None:
        """`drain_limit_s`: seconds that a running job may go on after the first asking."""
        self._limit_s = drain_limit_s
        self._asked_at: float | None = None
        self._at_once = False
        self._wake = threading.Event()

    def ask(self) -> None:
        """Ask to end; a second time: at once."""
        self._at_once = self._asked_at is not None
        self._asked_at = self._asked_at if self._at_once else time.monotonic()
        self._wake.set()

    def asked(self) -> bool:
        """Tell whether no new work may be taken."""
        return self._asked_at is not None

    def must_end(self) -> bool:
        """Tell whether work under way must be given back now."""
        return self._asked_at is not None and (self._at_once or time.monotonic() - self._asked_at > self._limit_s)

    def wait(self, seconds: float) -> bool:
        """Wait, but not longer than until the first asking. Returns whether it was asked."""
        return self._wake.wait(seconds)
