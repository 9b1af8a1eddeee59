"""Jobs over HTTP, as people and programs ask for them and read them."""

from __future__ import annotations

import datetime
import json
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.dispatch.estimating import Estimate
from memoryd.dispatch.facts import DeadLetter, Urgency
from memoryd.dispatch.jobs import KEY_LIMIT
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.dispatch.states import JobState
from memoryd.dispatch.wire import InputFile, JobKind, Pin, Sha256Hex
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import JobId
from memoryd.submission.facts import JobEventView, JobView, Submission, Submitted

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of one request for jobs: a graph and its extra data of TEXT_LIMIT each, escaped, and a table. Files are sent to
/inputs.
"""


class JobRequest(BaseModel):
    """A job to be queued.

    `graph` is a prompt in API format: as an object, or as text, which then reaches ComfyUI exactly as it is.
    """

    graph: dict[str, Any] | str
    extra_data: dict[str, Any] | str = Field(default_factory=dict)
    project: str | None = None
    pool: str = DEFAULT_POOL
    urgency: Urgency = Urgency.STANDARD
    name: str | None = None
    recompute: bool = False
    inputs: list[InputFile] = []
    pins: list[Pin] | None = None
    after: UUID | None = None
    """Not before this job has succeeded; where it does not, this one is cancelled."""
    starts_after: datetime.datetime | None = None
    """Not before this moment."""
    unchecked: bool = False
    """ComfyUI alone decides whether the graph is right: for classes that check their inputs in their own way."""
    key: str | None = Field(default=None, max_length=KEY_LIMIT)
    """Idempotency key, where the header Idempotency-Key is not at hand."""

    def as_submission(self, *, project: str | None, key: str | None) -> Submission:
        """Return what is asked for, its texts fixed. Raises: NoTimeZone."""
        return Submission(
            prompt=_text(self.graph),
            extra_data=_text(self.extra_data),
            project=project,
            kind=JobKind.RUN,
            name=self.name,
            pool=self.pool,
            urgency=self.urgency,
            recompute=self.recompute,
            inputs=tuple(self.inputs),
            pins=None if self.pins is None else tuple(self.pins),
            key=key if key is not None else self.key,
            after=JobId(self.after) if self.after is not None else None,
            starts_after=aware(self.starts_after),
            unchecked=self.unchecked,
        )


class NoTimeZone(NotAcceptable):
    """A moment without a time zone means another one on every machine."""


def aware(moment: datetime.datetime | None) -> datetime.datetime | None:
    """Return a moment in UTC. Raises: NoTimeZone."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise NoTimeZone(moment.isoformat(), hint="end it with Z, or with +02:00")
    return moment.astimezone(datetime.UTC)


class Moments(BaseModel):
    """Seconds from now until which it has happened: with an even chance, and in nine of ten cases."""

    p50_s: float
    p90_s: float


class JobAnswer(BaseModel):
    """A job in the queue. `known`: the idempotency key named it already.

    `position`: at most so many jobs go before it, of those that wait now. `starts` and `ends` null: no worker is online,
    the pool is paused, or it waits for another job; `starts_in_s` is the even chance of `starts`. `checked`: what its
    graph was checked against: `specifications`, `classes` or `nothing`. `node_errors` are those of outputs that ComfyUI
    will leave out, in its own words. `cost_s`: what a run of it is taken to cost.
    """

    id: UUID
    known: bool
    position: int
    starts_in_s: float | None
    starts: Moments | None = None
    ends: Moments | None = None
    cost_s: float | None = None
    checked: str | None = None
    node_errors: dict[str, Any] = Field(default_factory=dict)
    notes: list[str] = []
    clearance: dict[str, Any] | None = None
    """What its models' licences say, where that is more than yes: verdict, action, policy, notes, request."""


class StoredInput(BaseModel):
    """An input's bytes in the store."""

    sha256: Sha256Hex
    size: int


class Job(BaseModel):
    """A job. `progress` is 0 to 1 while it runs; `held_by` what it waits for: `after`, `approval`, `group`, `project`
    or `cap`, and `waits_for` which of them. `clearance`: what its models' licences said when it was asked for, where that
    was more than yes (verdict, action, policy, notes, request).

    `position`, `starts` and `ends` are told of one job, not in lists.
    """

    id: UUID
    kind: JobKind
    name: str
    project_id: UUID | None
    person_id: UUID | None
    pool: str
    urgency: Urgency
    state: JobState
    attempt: int
    max_attempts: int
    cancel_requested: bool
    worker: str | None
    progress: float | None
    phase: str | None
    node: str | None
    failures: list[dict[str, Any]]
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    expires_at: datetime.datetime | None
    """Not started by then: given up."""
    group_id: UUID | None
    after_job_id: UUID | None
    starts_after: datetime.datetime | None
    held_by: str | None
    waits_for: UUID | None = None
    clearance: dict[str, Any] | None = None
    position: int | None = None
    starts: Moments | None = None
    ends: Moments | None = None
    result: dict[str, Any] | None


class Jobs(BaseModel):
    """A page of jobs, newest first."""

    items: list[Job]
    next_cursor: str | None


class Cancelled(BaseModel):
    """`cancelled` at once, `requested` of the worker that has it, or `ended` before."""

    answer: str


class DeadJob(BaseModel):
    """A job that was given up, and why."""

    id: UUID
    pool: str
    reason: str
    at: datetime.datetime
    failures: list[dict[str, Any]]


class DeadChoice(BaseModel):
    """Which given-up jobs are meant: those that everything given here fits; all without anything."""

    pool: str | None = None
    since: datetime.datetime | None = None
    model: str | None = None
    project: str | None = None


class DeadDone(BaseModel):
    """How many given-up jobs it was done to."""

    jobs: int


class MoveRequest(BaseModel):
    """`before` null: before all one's other jobs that wait in the same pool and class."""

    before: UUID | None = None


class Moved(BaseModel):
    """How many of one's jobs changed places; nobody else's did."""

    moved: int


class DeadJobs(BaseModel):
    """A page of given-up jobs, newest first."""

    items: list[DeadJob]
    next_cursor: str | None


def show_submitted(submitted: Submitted) -> JobAnswer:
    """Return what the submitter reads."""
    found = submitted.estimate
    return JobAnswer(
        id=submitted.job_id,
        known=submitted.known,
        position=found.position if found is not None else 0,
        starts_in_s=found.starts_p50_s if found is not None else None,
        starts=moments(found.starts_p50_s, found.starts_p90_s) if found is not None else None,
        ends=moments(found.ends_p50_s, found.ends_p90_s) if found is not None else None,
        cost_s=submitted.cost_ms / 1000 if submitted.cost_ms is not None else None,
        checked=submitted.checked,
        node_errors=dict(submitted.node_errors),
        notes=list(submitted.notes),
        clearance=dict(submitted.clearance) if submitted.clearance is not None else None,
    )


def moments(p50: float | None, p90: float | None) -> Moments | None:
    """Return two moments, None where they cannot be told."""
    return Moments(p50_s=p50, p90_s=p90) if p50 is not None and p90 is not None else None


def show_job(view: JobView) -> Job:
    """Return a job as people read it."""
    now = view.standing
    return Job(
        id=view.job_id,
        kind=view.kind,
        name=view.name,
        project_id=view.project_id,
        person_id=view.person_id,
        pool=now.pool,
        urgency=now.urgency,
        state=now.state,
        attempt=now.attempt,
        max_attempts=now.max_attempts,
        cancel_requested=now.cancel_requested,
        worker=now.worker,
        progress=now.progress,
        phase=now.phase,
        node=now.node,
        failures=[dict(failure) for failure in now.failures],
        created_at=view.created_at,
        started_at=now.leased_at,
        ended_at=now.ended_at,
        expires_at=now.expires_at,
        group_id=now.group_id,
        after_job_id=now.after_job_id,
        starts_after=now.starts_after,
        held_by=now.held_by.value if now.held_by is not None else None,
        waits_for=now.waits_for,
        clearance=dict(view.clearance) if view.clearance is not None else None,
        result=dict(view.result) if view.result is not None else None,
    )


def show_estimated(view: JobView, found: Estimate | None) -> Job:
    """Return one job as people read it, with when it starts and ends where that can be told."""
    job = show_job(view)
    if found is None:
        return job
    starts, ends = moments(found.starts_p50_s, found.starts_p90_s), moments(found.ends_p50_s, found.ends_p90_s)
    return job.model_copy(update={"position": found.position, "starts": starts, "ends": ends})


def show_dead(letter: DeadLetter) -> DeadJob:
    """Return a given-up job as people read it."""
    return DeadJob(
        id=letter.job_id,
        pool=letter.pool,
        reason=letter.reason,
        at=letter.at,
        failures=[dict(one) for one in letter.failures],
    )


def event_body(event: JobEventView) -> dict[str, Json]:
    """Return one thing that happened to a job, as its stream tells it."""
    return {
        "seq": event.seq,
        "state": event.state,
        "at": event.at.isoformat(),
        "worker": event.worker,
        "reason": event.reason,
    }


def progress_body(job_id: JobId, job: Job) -> dict[str, Json]:
    """Return how far a job is, as its stream tells it."""
    return {
        "job_id": str(job_id),
        "state": job.state.value,
        "progress": job.progress,
        "phase": job.phase,
        "node": job.node,
        "worker": job.worker,
    }


def _text(value: dict[str, Any] | str) -> str:
    return value if isinstance(value, str) else json.dumps(value)
