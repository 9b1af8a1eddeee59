"""How often a property is tried: a little in `make test`, at length in `make invariants`."""

from __future__ import annotations

import os

LONG = bool(os.environ.get("MEMORYD_TEST_LONG"))


def tries(few: int, *, long: int = 2_000) -> int:
    """Return how many examples Hypothesis makes: `long` with MEMORYD_TEST_LONG=1."""
    return long if LONG else few
