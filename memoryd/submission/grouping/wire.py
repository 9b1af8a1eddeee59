"""Groups over HTTP, as they are asked for and read."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.dispatch.facts import GroupView
from memoryd.submission.grouping.facts import GroupAsked, GroupShown, GroupSubmitted, ItemShown
from memoryd.submission.grouping.items import Axis, read_table
from memoryd.submission.wire import JobRequest, Moments, moments

Scalar = str | int | float | bool
"""What an item puts into an input; a seed beyond 2^53 as text, where the sender's numbers are not exact."""


class AxisRequest(BaseModel):
    """An input (`3.seed`, or by the node's title `Sampler.seed`), and the values that it takes."""

    input: str
    values: list[Scalar]


class GroupRequest(JobRequest):
    """A group to be queued: `graph` is the template. Every combination of the axes, for every row.

    `rows` name inputs and values each; `csv` is a table instead, whose head line names the inputs.
    """

    axes: list[AxisRequest] = Field(default_factory=list)
    rows: list[dict[str, Scalar]] = Field(default_factory=list)
    csv: str | None = None

    def as_group(self, *, project: str | None, key: str | None) -> GroupAsked:
        """Return what is asked for, its texts fixed. Raises: BadItems, TooManyItems, NoTimeZone."""
        rows: tuple[dict[str, Any], ...] = tuple(self.rows)
        return GroupAsked(
            template=self.as_submission(project=project, key=key),
            axes=tuple(Axis(input=axis.input, values=tuple(axis.values)) for axis in self.axes),
            rows=(*rows, *(read_table(self.csv) if self.csv is not None else ())),
        )


class GroupAnswer(BaseModel):
    """A group in the queue. `known`: its key named it already; `added`: items that this request added."""

    id: UUID
    known: bool
    total: int
    added: int
    ends: Moments | None
    cost_s: float
    checked: str | None
    notes: list[str] = []


class Group(BaseModel):
    """A group."""

    id: UUID
    name: str
    project_id: UUID | None
    person_id: UUID | None
    total: int
    paused_at: datetime.datetime | None
    cancelled_at: datetime.datetime | None
    created_at: datetime.datetime


class GroupProgress(Group):
    """A group and how far it is. `done` 0 to 1 by estimated cost; `missing` ended without a result.

    `there`: items that were added so far; fewer than `total` where the sending broke off (send it again with its key).
    """

    counts: dict[str, int]
    there: int
    done: float
    missing: int
    ends_in_s: float | None
    inputs: list[str]


class Groups(BaseModel):
    """A page of groups, newest first."""

    items: list[Group]
    next_cursor: str | None


class Item(BaseModel):
    """An item of a group, by its number from 0."""

    number: int
    job_id: UUID
    state: str
    values: dict[str, Any]
    outputs: list[dict[str, Any]] = Field(default_factory=list)


class Items(BaseModel):
    """A page of a group's items, in order."""

    items: list[Item]
    next_cursor: str | None


class GroupChanged(BaseModel):
    """`changed` False: it was so before."""

    changed: bool


class GroupStepped(BaseModel):
    """How many items it was done to."""

    items: int


def show_submitted(made: GroupSubmitted) -> GroupAnswer:
    """Return what the submitter reads."""
    return GroupAnswer(
        id=made.group_id,
        known=made.known,
        total=made.total,
        added=made.added,
        ends=moments(made.ends_p50_s, made.ends_p90_s),
        cost_s=made.cost_ms / 1000,
        checked=made.checked,
        notes=list(made.notes),
    )


def show_group(view: GroupView) -> Group:
    """Return a group as people read it."""
    return Group(**dataclasses.asdict(view))


def show_progress(shown: GroupShown) -> GroupProgress:
    """Return a group and how far it is as people read it."""
    return GroupProgress(
        **dataclasses.asdict(shown.group),
        counts={state.value: count for state, count in shown.progress.counts.items()},
        there=shown.there,
        done=shown.progress.done,
        missing=shown.progress.missing,
        ends_in_s=shown.progress.ends_in_s,
        inputs=list(shown.inputs),
    )


def show_item(item: ItemShown) -> Item:
    """Return an item as people read it."""
    outputs = (item.result or {}).get("outputs")
    return Item(
        number=item.number,
        job_id=item.job_id,
        state=item.state,
        values=dict(item.values),
        outputs=[one for one in outputs if isinstance(one, dict)] if isinstance(outputs, list) else [],
    )
