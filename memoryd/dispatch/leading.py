"""Who leads in a piece of the server's own work: it saves doing it twice, and nothing rests on it."""

from __future__ import annotations

from uuid import UUID

from memoryd.dispatch.queries import upkeep
from memoryd.foundation.database import Session


def take_lead(session: Session, name: str, holder: UUID, *, term_s: float) -> bool:
    """Take or keep the lead of this name for `term_s` seconds; False where another process leads. `session` has the farm."""
    return upkeep.take_lead(session, name=name, holder=holder, term_s=term_s) is not None
