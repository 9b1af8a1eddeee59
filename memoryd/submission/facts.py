"""The values this room takes and hands out: what is asked for, and how a job looks to people."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from memoryd.dispatch.facts import FollowUp, Standing, Urgency
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job as somebody asks for it.

    `prompt` and `extra_data` are JSON texts that reach ComfyUI exactly as they are. `inputs` must lie in the store.
    `pins` None: those the graph names, without asking for particular bytes. `name` names the folder of its outputs.
    """

    prompt: str
    extra_data: str = "{}"
    project_id: ProjectId | None = None
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job in the queue. `known`: the idempotency key named one that was there. `starts_in_s` None: no worker is online."""

    job_id: JobId
    known: bool
    ahead: int
    starts_in_s: float | None


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
