"""The values of this part: what is foreseen of many assets."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from memoryd.catalog.asset_view import Face
from memoryd.reproduction.facts import HINDRANCES, Cause


class Show(enum.StrEnum):
    """Which of the assets that were looked at are listed."""

    HINDERED = "hindered"
    """What cannot be made again as things stand."""
    NOTICED = "noticed"
    """Those, and what can be but may come out otherwise."""
    ALL = "all"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One picture: what is `missing` here, and what the workers lack or a warning says (`notices`)."""

    face: Face
    missing: tuple[Cause, ...]
    notices: tuple[Cause, ...]

    @property
    def hindrances(self) -> tuple[Cause, ...]:
        """What stands in the way."""
        return hindrances(self.missing, self.notices)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was looked at. `by_cause`: lines by the code of what stands in the way or is warned of, most first."""

    lines: int
    possible: int
    by_cause: Mapping[str, int]
    truncated: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A page of prospects, by id. `counted` comes with the first page alone."""

    rows: tuple[Prospect, ...]
    next_cursor: str | None
    counted: Counted | None


def hindrances(missing: tuple[Cause, ...], notices: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Return what stands in the way, of what is missing and what is noticed."""
    return (*missing, *(notice for notice in notices if notice.code in HINDRANCES))
