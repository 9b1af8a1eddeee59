"""The values this room hands out."""

from __future__ import annotations

import dataclasses
import datetime
import enum


class BlobState(enum.StrEnum):
    """Where a blob stands."""

    PRESENT = "present"
    """The store has it."""
    MISSING = "missing"
    """The store should have it, and does not."""
    DAMAGED = "damaged"
    """What the store has under this name is something else."""
    REMOVED = "removed"
    """Collected or erased: the row remains, so that references explain themselves."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """Bytes that lie in the store, on disk and not only in its cache."""

    sha256: bytes
    size: int
    key: str
    """`<tenant>/<aa>/<sha256 in hex>`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlobRow:
    """What the database knows about a blob."""

    sha256: bytes
    size: int
    backend: str
    key: str
    state: BlobState
    touched_at: datetime.datetime
    held: bool
