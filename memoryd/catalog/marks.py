"""What a line can be filtered by beside its words: what people attached, and flags that other rooms set.

Marks of what people attached carry the project (`t:<project>:<tag>`), since two clients who own equal bytes share none
(INV-6), and once more without, for those who see the whole tenant. Flags are `is:<word>`; those that hold in one project
alone (a verdict on the licences) are `f:<project>:<word>`, and once more without.
"""

from __future__ import annotations

import dataclasses
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

_PROJECT_FLAG = re.compile(r"[a-z][a-z0-9.-]{0,119}")

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProjectMarks:
    """Words that hold for a line in one project; None: for those who see the whole tenant."""

    root_id: UUID
    project_id: UUID | None
    words: tuple[str, ...]


def set_project_marks(session: Session, marks: Collection[ProjectMarks], *, kinds: Collection[str]) -> int:
    """Give lines these words in these projects, in place of all that begin with one of `kinds` and a hyphen.

    Return how many lines changed. For rooms above this one. Raises: BadFlag.
    """
    rows: list[tuple[UUID, str, str]] = []
    for mark in marks:
        place = "-" if mark.project_id is None else mark.project_id.hex
        for word in mark.words:
            if not _PROJECT_FLAG.fullmatch(word):
                raise BadFlag(f"{word[:140]!r}", hint="lower-case letters, digits, dots and hyphens, at most 120")
        rows += [(mark.root_id, "", f"{place}:{kind}-") for kind in kinds]
        rows += [(mark.root_id, f"{place}:{word}", f"{place}:{word}") for word in mark.words]
    if not rows:
        return 0
    changed = queries.replace_project_flags(
        session, [root for root, _, _ in rows], [flag for _, flag, _ in rows], [stale for _, _, stale in rows]
    )
    if changed:
        queries.rebuild_marks(session, sorted(changed))
    return len(changed)


def refresh_marks(session: Session, roots: Collection[UUID]) -> None:
    """Make the marks of lines again from what is attached to them."""
    if roots:
        queries.change_flags(session, sorted(roots), [], [])
        queries.rebuild_marks(session, sorted(roots))
