"""Why somebody decided something, in their own words: kept, and shown beside the decision."""

from __future__ import annotations

from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.texts import storable

REASON_LIMIT = 2_000
"""Characters of a reason: a paragraph, not a contract."""


class ReasonMissing(NotAcceptable):
    """This needs a reason that others can read later."""


def checked_reason(reason: str) -> str:
    """Return a reason as it is kept. Raises: ReasonMissing unless 1 to REASON_LIMIT characters are left of it."""
    kept = storable(reason)[0].strip()
    if not 1 <= len(kept) <= REASON_LIMIT:
        raise ReasonMissing(f"{len(kept)} characters", hint=f"say why, in 1 to {REASON_LIMIT} characters (`--reason`)")
    return kept
