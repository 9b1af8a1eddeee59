"""The values this room hands out: jobs as they stand, leases, pools, workers, chores."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from uuid import UUID

from memoryd.dispatch.states import HeldBy, JobState
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import CapId, ChoreId, GroupId, JobId, PersonId, PoolId, ProjectId, TenantId, WorkerId


class Urgency(enum.StrEnum):
    """The classes of jobs, most urgent first."""

    REALTIME = "realtime"
    """Somebody waits in front of the screen."""
    STANDARD = "standard"
    BATCH = "batch"
    """Overnight; gives way to newer urgent work for 15 minutes."""


class Cause(enum.StrEnum):
    """Why a try ended without a result."""

    JOB = "job"
    """The graph failed: counts."""
    CRASH = "crash"
    """The worker went silent: counts, since a poisonous job takes workers with it."""
    INFRA = "infra"
    """Not the job's fault (a missing model, memory, a drain): does not count, up to INFRA_ATTEMPTS_LIMIT."""


class Completion(enum.StrEnum):
    """What became of a worker's report that a run has ended."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    """This very report was recorded before."""
    STALE = "stale"
    """The lease is another's, or nobody's: nothing was changed."""


class Cancellation(enum.StrEnum):
    """What became of a wish to cancel."""

    CANCELLED = "cancelled"
    """It will never run."""
    REQUESTED = "requested"
    """A worker has it and will hear of it with its next heartbeat; it may still succeed before."""
    ENDED = "ended"
    """It had ended before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A named set of workers. Times in seconds, memory in MiB.

    `rank`: a worker of several pools tries the one of the greatest first. `warm_up`: the graph (API format, JSON text)
    that its workers run before they claim. `backs_off_until`: nothing is claimed before, since runs failed for reasons of
    the farm on several workers.
    """

    id: PoolId
    name: str
    shared: bool
    max_run_time_s: float
    no_progress_limit_s: float
    warm_up_s: float
    vram_mb: int | None = None
    region: str | None = None
    licence_server: str | None = None
    labels: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    rank: int = 0
    paused_at: datetime.datetime | None = None
    warm_up: str | None = None
    backs_off_until: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolDepth:
    """How busy a pool is now. `waiting` stops counting at DEPTH_LIMIT; `waiting_ms` is the work in it, as estimated."""

    pool: str
    waiting: int
    waiting_ms: int
    running: int
    delayed: int
    held: int
    """Waiting for another job, the end of a pause, or room under a cap; counting stops at DEPTH_LIMIT."""
    workers: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CapView:
    """How many jobs of a scope run at once at most. What is None means any; `running` is what runs now."""

    id: CapId
    tenant_id: TenantId | None
    project_id: ProjectId | None
    person_id: PersonId | None
    pool: str | None
    max_running: int
    running: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """Jobs that were asked for together. `total` is how many there are to be."""

    id: GroupId
    project_id: ProjectId | None
    person_id: PersonId | None
    name: str
    total: int
    paused_at: datetime.datetime | None
    cancelled_at: datetime.datetime | None
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupProgress:
    """How far a group is. `done` 0 to 1, by estimated cost; `missing` ended without a result.

    `ends_in_s` None: nothing is left, it is paused, or no worker of its pools is online.
    """

    counts: Mapping[JobState, int]
    done: float
    missing: int
    ends_in_s: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """The chore that a job's end brings, however it ends."""

    kind: str
    recipe: str
    subject: UUID


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The workers a job is meant for, the nearest first. `only`: rather given up than run by another."""

    workers: tuple[UUID, ...]
    only: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A job's place: jobs ahead of it (counting stops at DEPTH_LIMIT), and seconds until it starts, if that can be told."""

    ahead: int
    starts_in_s: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """A job in the queue. `known`: the idempotency key named a job that was there already. `vtag`: its place in the order
    of its pool and class, 0 while it has none.
    """

    job_id: JobId
    known: bool
    place: Place
    state: JobState = JobState.READY
    vtag: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A lease as its holder gets it: `token` is shown this once. Times in seconds."""

    job_id: JobId
    tenant_id: TenantId
    pool_id: PoolId
    model_set: str
    fence: int
    token: str
    attempt: int
    lease_s: float
    deadline_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeaseKey:
    """What names a lease in every call that writes: equality on all of it is the guard (INV-4)."""

    job_id: JobId
    fence: int
    token: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignOfLife:
    """One lease's heartbeat. `progress` 0 to 1."""

    lease: LeaseKey
    progress: float | None
    phase: str
    node: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A job as the queue knows it now; worker to node are its present run's, while it runs."""

    job_id: JobId
    tenant_id: TenantId
    pool: str
    urgency: Urgency
    state: JobState
    attempt: int
    max_attempts: int
    cancel_requested: bool
    failures: tuple[dict[str, Json], ...]
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    worker: str | None
    leased_at: datetime.datetime | None
    progress: float | None
    phase: str | None
    node: str | None
    group_id: GroupId | None = None
    after_job_id: JobId | None = None
    starts_after: datetime.datetime | None = None
    held_by: HeldBy | None = None
    """What it waits for, while it is held."""
    waits_for: UUID | None = None
    """Which job, approval, group, project or cap that is."""
    expires_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeadFilter:
    """Which given-up jobs are meant: those that everything given here fits."""

    pool: str | None = None
    since: datetime.datetime | None = None
    model_set: str | None = None
    project_id: ProjectId | None = None
    person_id: PersonId | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A job that was given up."""

    job_id: JobId
    pool: str
    reason: str
    at: datetime.datetime
    failures: tuple[dict[str, Json], ...]


class WorkerState(enum.StrEnum):
    """What a worker is willing to do."""

    JOINED = "joined"
    """Has a key, was never started."""
    ACTIVE = "active"
    DRAINING = "draining"
    """Finishes what it has."""
    LEFT = "left"
    REMOVED = "removed"
    """Its key is revoked; it never comes back."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """A worker, proven by its key. `serves` empty: jobs of every tenant."""

    worker_id: WorkerId
    label: str
    state: WorkerState
    incarnation: UUID | None
    serves: tuple[TenantId, ...]
    pool_ids: tuple[PoolId, ...]
    pools: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as people see it. `seen_at` is its last sign of life; `running` the leases it holds."""

    id: WorkerId
    label: str
    host: str
    gpu_uuid: str | None
    state: WorkerState
    pools: tuple[str, ...]
    online: bool
    running: int
    models: int
    protocol: int
    seen_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDetail:
    """A worker with what it stated of itself at its last start; what nobody told is None, or empty.

    `job_ids` are those of the asking tenant that it runs now; `own`: whether it works for no other tenant.
    """

    view: WorkerView
    own: bool
    gpu_name: str | None
    gpu_driver: str | None
    vram_mb: int | None
    node_packs: tuple[dict[str, Json], ...]
    launch_flags: tuple[str, ...]
    environment: dict[str, Json]
    environment_sha256: bytes | None
    node_classes: int
    models_hashed: int
    job_ids: tuple[JobId, ...]
    incarnation: UUID | None
    registered_at: datetime.datetime | None
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerModelView:
    """A model file of a worker. `sha256` is None until it is hashed; `size` in bytes."""

    folder: str
    path: str
    size: int | None
    sha256: bytes | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """A chore under lease."""

    id: ChoreId
    tenant_id: TenantId
    kind: str
    recipe: str
    subjects: tuple[UUID, ...]
    attempt: int
    lease_token: UUID
