"""The values of recalls."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from uuid import UUID

FLAG_RECALLED = "recalled"
"""A recalled model took part in making it: `is:recalled`."""

FLAG_DERIVED = "recalled-derived"
"""It was made from a picture that a recalled model took part in making: `is:recalled-derived`."""


class RecallKind(enum.StrEnum):
    """Why a model is recalled."""

    WITHDRAWN = "withdrawn"  # whoever published it took it back, or it was never theirs to give
    LICENCE_CHANGED = "licence-changed"  # its terms are others now
    MALICIOUS = "malicious"  # its file does what weights must not


class MarkingState(enum.StrEnum):
    """How far the marks of lines are."""

    MARKING = "marking"
    MARKED = "marked"
    LIFTING = "lifting"
    LIFTING_DERIVED = "lifting-derived"  # marks of touched lines are gone; those of what was made from them are left
    LIFTED = "lifted"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Why weights are refused: the recall, and how they come under it."""

    recall_id: UUID
    model: bytes
    """The model that was recalled."""
    kind: RecallKind
    reason: str
    at: datetime.datetime
    via: str | None = None
    """How these weights were made of the recalled ones: quantised, merge, …; None: they are the recalled ones."""

    def in_words(self) -> str:
        """Return why it is refused, as a sentence's part."""
        made = "" if self.via is None else f" (these weights were made of it: {self.via})"
        return f"model {self.model.hex()[:12]} was recalled as {self.kind}{made}: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecallView:
    """A recall, as people see it."""

    id: UUID
    model: bytes
    kind: RecallKind
    reason: str
    by: str | None
    at: datetime.datetime
    lifted_at: datetime.datetime | None
    lifted_by: str | None
    lifted_reason: str | None
    made_of_it: int
    """Weights made of the model that come under it."""
    marking: MarkingState
    lines_marked: int | None
    lines: int | None
    """How many bear the mark, of how many that these weights touched; None for who does not see the whole tenant."""
    jobs_ended: int | None
