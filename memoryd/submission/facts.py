"""The values this room takes and hands out: what is asked for, and how a job looks to people."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from memoryd.dispatch.estimating import Estimate
from memoryd.dispatch.facts import FollowUp, Route, Standing, Urgency
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.dispatch.wire import InputFile, JobKind, Pin
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import JobId, PersonId, ProjectId


class EventState(enum.StrEnum):
    """What can happen to a job, as its history tells it."""

    SUBMITTED = "submitted"
    CLAIMED = "claimed"
    RELEASED = "released"
    FAILED = "failed"
    CANCEL_REQUESTED = "cancel-requested"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    """Given up, and nobody wants it any more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job as somebody asks for it.

    `prompt` and `extra_data` are JSON texts that reach ComfyUI exactly as they are. `inputs` must lie in the store.
    `pins` None: those the graph names, without asking for particular bytes. `name` names the folder of its outputs.
    `project` is a slug, for those who do not know the id. `after`: not before that job has succeeded. `starts_after`: not
    before that moment. `unchecked`: ComfyUI alone decides whether the graph is right. `route`: the workers it is meant for;
    `environments`: those (SHA-256, hex) that alone may run it, none for any. `trial`: what it makes is only compared.
    """

    prompt: str
    extra_data: str = "{}"
    project_id: ProjectId | None = None
    project: str | None = None
    kind: JobKind = JobKind.RUN
    name: str | None = None
    pool: str = DEFAULT_POOL
    urgency: Urgency = Urgency.STANDARD
    recompute: bool = False
    inputs: tuple[InputFile, ...] = ()
    pins: tuple[Pin, ...] | None = None
    cost_ms: int | None = None
    key: str | None = None
    follow_up: FollowUp | None = None
    after: JobId | None = None
    starts_after: datetime.datetime | None = None
    unchecked: bool = False
    route: Route | None = None
    environments: tuple[str, ...] = ()
    trial: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job in the queue. `known`: the idempotency key named one that was there. `estimate` None: nobody asked for one.

    `checked` is what its graph was checked against (`specifications`, `classes`, `nothing`); `node_errors` are of outputs
    that ComfyUI will leave out, as it spells them; `cost_ms` what it is taken to cost.
    """

    job_id: JobId
    known: bool
    estimate: Estimate | None = None
    cost_ms: int | None = None
    checked: str | None = None
    node_errors: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    clearance: Mapping[str, Json] | None = None
    """What its models' licences said, where that is more than yes: verdict, action, policy, notes, request."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobEventView:
    """One thing that happened to a job."""

    seq: int
    state: str
    at: datetime.datetime
    worker: str | None
    reason: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as people see it. `standing` is the queue's knowledge now; `result` how it ended, as recorded."""

    job_id: JobId
    project_id: ProjectId | None
    person_id: PersonId | None
    kind: JobKind
    name: str
    created_at: datetime.datetime
    standing: Standing
    result: Mapping[str, Json] | None
    clearance: Mapping[str, Json] | None = None
