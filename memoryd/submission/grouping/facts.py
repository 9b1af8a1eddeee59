"""The values that groups are asked for with, and how they look to people."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from memoryd.dispatch.facts import GroupProgress, GroupView
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import GroupId, JobId
from memoryd.submission.facts import Submission
from memoryd.submission.grouping.items import Axis


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupAsked:
    """A group as somebody asks for it: `template` is what each of its jobs asks for, apart from the items' values."""

    template: Submission
    axes: tuple[Axis, ...] = ()
    rows: tuple[Mapping[str, Json], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupSubmitted:
    """A group in the queue. `known`: its key named one that was there; `added` are the items that this sending added.

    Times in seconds from now until its last item has ended, None where that cannot be told.
    """

    group_id: GroupId
    known: bool
    total: int
    added: int
    ends_p50_s: float | None
    ends_p90_s: float | None
    cost_ms: int
    checked: str | None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What a group would come to: how many items of which cost, and when the last of them would have ended.

    Times in seconds from now, None where that cannot be told.
    """

    total: int
    cost_ms: int
    ends_p50_s: float | None
    ends_p90_s: float | None
    checked: str | None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupShown:
    """A group as people see it: `there` are the items that were added so far, `inputs` what its items differ in."""

    group: GroupView
    progress: GroupProgress
    there: int
    inputs: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ItemShown:
    """An item of a group."""

    number: int
    job_id: JobId
    state: str
    values: Mapping[str, Json]
    result: Mapping[str, Json] | None
