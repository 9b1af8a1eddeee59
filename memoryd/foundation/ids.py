"""Identifiers: UUIDv7 made in Python, one NewType per noun, so that mypy refuses an asset where a job is meant.

Source for the layout: RFC 9562, section 5.7.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
ProjectId = NewType("ProjectId", UUID)
PersonId = NewType("PersonId", UUID)
KeyId = NewType("KeyId", UUID)
AssetId = NewType("AssetId", UUID)
GenerationId = NewType("GenerationId", UUID)
LocationId = NewType("LocationId", UUID)
WatchRootId = NewType("WatchRootId", UUID)
ModelId = NewType("ModelId", UUID)
WorkflowId = NewType("WorkflowId", UUID)
JobId = NewType("JobId", UUID)
GroupId = NewType("GroupId", UUID)
CapId = NewType("CapId", UUID)
ChoreId = NewType("ChoreId", UUID)
WorkerId = NewType("WorkerId", UUID)
PoolId = NewType("PoolId", UUID)
ReproductionId = NewType("ReproductionId", UUID)
DoubtId = NewType("DoubtId", UUID)
CanaryRunId = NewType("CanaryRunId", UUID)
DisclosureId = NewType("DisclosureId", UUID)
QuarantineId = NewType("QuarantineId", UUID)

_COUNTER_BITS = 12
_RANDOM_BITS = 62
_RANDOM = (1 << _RANDOM_BITS) - 1
_lock = threading.Lock()
_last_ms = 0
_counter = 0


def new_id() -> UUID:
    """Return a fresh UUIDv7. Within one process each is greater than the one before, so that id order is time order."""
    with _lock:
        ms, sequence = _tick()
    return UUID(int=_put_together(ms, sequence, secrets.randbits(_RANDOM_BITS)))


def new_ids(count: int) -> list[bytes]:
    """Return fresh ids as `new_id` makes them, 16 bytes each, in ascending order."""
    chance = secrets.token_bytes(8 * count)
    with _lock:
        ticks = [_tick() for _ in range(count)]
    return [
        _put_together(ms, sequence, int.from_bytes(chance[8 * at : 8 * at + 8]) & _RANDOM).to_bytes(16)
        for at, (ms, sequence) in enumerate(ticks)
    ]


def _tick() -> tuple[int, int]:
    """The next millisecond and number in it; to be called by whoever holds the lock."""
    global _last_ms, _counter
    now_ms = time.time_ns() // 1_000_000
    if now_ms > _last_ms:
        _last_ms, _counter = now_ms, secrets.randbits(_COUNTER_BITS - 1)
    else:
        # The clock stood still or went back: count on, and borrow from the next millisecond when full.
        _counter += 1
        if _counter >> _COUNTER_BITS:
            _last_ms, _counter = _last_ms + 1, 0
    return _last_ms, _counter


def _put_together(ms: int, sequence: int, chance: int) -> int:
    return (ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | sequence << 64 | 0b10 << 62 | chance


def parse_id(text: str) -> UUID | None:
    """Return the UUID that `text` spells, or None when it spells none (other words may then be tried)."""
    try:
        return UUID(text)
    except ValueError:
        return None
