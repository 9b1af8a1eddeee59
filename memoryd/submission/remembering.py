"""What one process remembers for a moment, so that it need not be asked for with every submission."""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict

from memoryd.foundation.database import Engine

KEPT_LIMIT = 20_000
"""Things that one process remembers; beyond it the oldest are forgotten."""


class Memory:
    """What one process remembers on one database, each thing for a while. Thread-safe."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], tuple[float, object]] = OrderedDict()

    def find(self, key: tuple[object, ...]) -> object | None:
        """Return what was kept under a key, while it lasts."""
        with self._lock:
            found = self._kept.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def keep(self, key: tuple[object, ...], value: object, seconds: float) -> None:
        """Keep a value for a while."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = (time.monotonic() + seconds, value)
            while len(self._kept) > KEPT_LIMIT:
                self._kept.popitem(last=False)

    def forget(self, key: tuple[object, ...]) -> None:
        """Forget what was kept under a key."""
        with self._lock:
            self._kept.pop(key, None)


_memories: weakref.WeakKeyDictionary[Engine, Memory] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def memory_of(engine: Engine) -> Memory:
    """Return what this process remembers on a database."""
    with _lock:
        return _memories.setdefault(engine, Memory())
