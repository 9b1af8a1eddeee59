"""Whom a key proves, remembered for a moment: a program asks many times a second, and its rights change rarely.

Whatever changes keys, roles or people makes this process forget all of them at once, and again when it has committed;
other processes of the server go on for KNOWN_FOR_S at most.
"""

from __future__ import annotations

import threading
import time
import weakref

from memoryd.access.facts import Caller
from memoryd.access.tokens import hash_secret
from memoryd.foundation.database import Database, Engine, Session, event

KNOWN_FOR_S = 2.0
KEYS_LIMIT = 10_000
"""Keys that one process remembers; beyond it all are forgotten."""

_lock = threading.Lock()
_known: weakref.WeakKeyDictionary[Engine, dict[bytes, tuple[float, Caller]]] = weakref.WeakKeyDictionary()


def find(database: Database, token: str) -> Caller | None:
    """Return whom a key proved a moment ago."""
    with _lock:
        found = _known.get(database.engine, {}).get(hash_secret(token))
    return found[1] if found is not None and found[0] > time.monotonic() else None


def keep(database: Database, token: str, caller: Caller, *, since: float) -> None:
    """Remember whom a key proves. `since`: when that was looked up (monotonic seconds): what changed after it counts."""
    with _lock:
        known = _known.setdefault(database.engine, {})
        if _forgotten_at.get(database.engine, 0.0) >= since:
            return
        if len(known) >= KEYS_LIMIT:
            known.clear()
        known[hash_secret(token)] = (since + KNOWN_FOR_S, caller)


_forgotten_at: weakref.WeakKeyDictionary[Engine, float] = weakref.WeakKeyDictionary()


def forget(session: Session) -> None:
    """Forget whom keys prove: something about it changes in this transaction."""
    engine = session.get_bind().engine
    _forget(engine)
    event.listen(session, "after_commit", lambda _: _forget(engine), once=True)


def _forget(engine: Engine) -> None:
    with _lock:
        _known.pop(engine, None)
        _forgotten_at[engine] = time.monotonic()
