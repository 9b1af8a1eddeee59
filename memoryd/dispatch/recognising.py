"""Which worker a key proves, remembered for a few seconds: a worker calls many times a second, and changes rarely.

What a worker is willing to do, and which of its starts is the present one, is never remembered: whoever needs that reads
it in its own transaction. So a remembered key can at most let a removed worker's call through to a statement that then
finds no such worker, and for no longer than RECOGNISED_FOR_S.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import weakref

from memoryd.access.tokens import hash_secret
from memoryd.dispatch import workers
from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.waking import CHANGED, waker_of
from memoryd.foundation.database import Database
from memoryd.foundation.ids import WorkerId, parse_id

RECOGNISED_FOR_S = 5.0
"""A key that was revoked is refused after this at the latest; at once by the process that revoked it, and by every other
that hears it say so."""

KEYS_LIMIT = 10_000
"""Keys that one process remembers; beyond it the oldest is forgotten."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    worker: WorkerIdentity
    until: float


class RecognisedKeys:
    """The keys that one process has seen lately, by their hash. Thread-safe."""

    def __init__(self) -> None:
        """No key was seen."""
        self._lock = threading.Lock()
        self._known: dict[bytes, _Known] = {}

    def find(self, key_hash: bytes) -> WorkerIdentity | None:
        """Return whose key this is, if that was looked up a short while ago."""
        with self._lock:
            known = self._known.get(key_hash)
        return known.worker if known is not None and known.until > time.monotonic() else None

    def keep(self, key_hash: bytes, worker: WorkerIdentity) -> None:
        """Remember whose key this is."""
        with self._lock:
            self._known.pop(key_hash, None)
            self._known[key_hash] = _Known(worker=worker, until=time.monotonic() + RECOGNISED_FOR_S)
            while len(self._known) > KEYS_LIMIT:
                del self._known[next(iter(self._known))]

    def hear(self, word: str) -> None:
        """Forget the worker that changed."""
        kind, _, name = word.partition(" ")
        if kind != CHANGED or (worker_id := parse_id(name)) is None:
            return
        with self._lock:
            for key_hash, known in list(self._known.items()):
                if known.worker.worker_id == WorkerId(worker_id):
                    del self._known[key_hash]


_lock = threading.Lock()
_all: weakref.WeakKeyDictionary[Database, RecognisedKeys] = weakref.WeakKeyDictionary()


def find_remembered(database: Database, key: str) -> WorkerIdentity | None:
    """Return the worker that a key proved a short while ago, without a word to the database; None: look it up."""
    return _keys_of(database).find(hash_secret(key))


def recognise(database: Database, key: str) -> WorkerIdentity:
    """Return the worker that a key proves, and remember it. Raises: WorkerNotRecognised, DatabaseDown."""
    with database.farm_work() as session:
        worker = workers.recognise(session, key)
    _keys_of(database).keep(hash_secret(key), worker)
    return worker


def _keys_of(database: Database) -> RecognisedKeys:
    with _lock:
        found = _all.get(database)
        if found is None:
            found = _all[database] = RecognisedKeys()
            waker_of(database).add_ear(found.hear)
        return found
