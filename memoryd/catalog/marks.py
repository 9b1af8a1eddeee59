"""What a line can be filtered by beside its words: what people attached, and flags that other rooms set.

Marks of what people attached carry the project (`t:<project>:<tag>`), since two clients who own equal bytes share none
(INV-6), and once more without, for those who see the whole tenant. Flags are `is:<word>`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from uuid import UUID

from memoryd.catalog.queries import marks as queries
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable

FLAG_FINDING = "finding"
"""Something about it could not be read or decided."""

FLAG_DISCLOSED = "disclosed"
"""A signed copy of it exists."""

_FLAG = re.compile(r"[a-z][a-z0-9-]{0,39}")


class BadFlag(NotAcceptable):
    """This word cannot be a flag."""


def set_marks(
    session: Session, roots: Collection[UUID], *, add: Collection[str] = (), remove: Collection[str] = ()
) -> None:
    """Set and unset flags of lines, found by `is:<flag>`; for rooms above this one. Raises: BadFlag."""
    for flag in (*add, *remove):
        if not _FLAG.fullmatch(flag):
            raise BadFlag(f"{flag[:60]!r}", hint="lower-case letters, digits and hyphens, at most 40")
    if roots:
        queries.change_flags(session, sorted(roots), sorted(add), sorted(remove))
        queries.rebuild_marks(session, sorted(roots))


def refresh_marks(session: Session, roots: Collection[UUID]) -> None:
    """Make the marks of lines again from what is attached to them."""
    if roots:
        queries.change_flags(session, sorted(roots), [], [])
        queries.rebuild_marks(session, sorted(roots))
