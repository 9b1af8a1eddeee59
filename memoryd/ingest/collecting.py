"""Python's search for circles of garbage, kept out of the way of work that makes millions of objects and hardly a circle."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

COLLECT_AFTER = 50_000
"""Objects made between two searches. Source: with Python's own 700, a fifth of the recorder's time went into them."""

_lock = threading.Lock()
_blocks = 0
_before = gc.get_threshold()


@contextlib.contextmanager
def seldom_collecting() -> Iterator[None]:
    """Search rarely while a block runs, and not through what was there when it began. Blocks may overlap."""
    global _blocks, _before
    with _lock:
        _blocks += 1
        if _blocks == 1:
            _before = gc.get_threshold()
            gc.set_threshold(COLLECT_AFTER, *_before[1:])
            gc.freeze()
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0:
                gc.set_threshold(*_before)
                gc.unfreeze()
