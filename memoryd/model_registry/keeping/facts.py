"""The values of the model store."""

from __future__ import annotations

import dataclasses
import datetime

from memoryd.foundation.ids import PersonId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelCopy:
    """Weights whose bytes lie in the store. `folder` and `name` are what a graph calls them."""

    sha256: bytes
    size: int
    folder: str
    name: str
    pushed_by: PersonId | None
    pushed_at: datetime.datetime
    last_used_at: datetime.datetime
    uses: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """Weights that somebody is about to push."""

    sha256: bytes
    size: int
    folder: str
    name: str
