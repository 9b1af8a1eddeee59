"""Whose chore comes next: what a person asked for has every other turn, however much came in by itself.

Chores of new files go before by their priority, so a recipe that is done again over the whole memory never holds them
up; without turns of its own it would wait for as long as files keep coming.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Session
from memoryd.ingest.enriching.work import ENRICH_AGAIN, ENRICH_LACKING

ASKED_FOR = frozenset({ENRICH_AGAIN, ENRICH_LACKING})
"""Kinds of chores that only people bring."""


class Turns:
    """The turns of one process. Thread-safe."""

    def __init__(self) -> None:
        """The first turn is everybody's."""
        self._taken = itertools.count()

    def claim(self, session: Session, kinds: Collection[str]) -> Chore | None:
        """Return the next chore of these kinds under a lease, or None; `session` has taken the farm."""
        if next(self._taken) % 2:
            asked = chores.claim(session, kinds=sorted(ASKED_FOR.intersection(kinds)))
            if asked is not None:
                return asked
        return chores.claim(session, kinds=sorted(kinds))
