"""What server and worker say to each other, version 1: shapes only. The worker imports this module and no other of the server.

Every request carries `Memoryd-Protocol: 1` and, after joining, `Authorization: Bearer <worker key>`. All paths lie under
`/v1/work`. A lease is named by job, fence and token in every call that writes; where they are not the job's present
ones, the server answers 409 `lease-lost` and the worker drops what it has (INV-4).
"""

from __future__ import annotations

import datetime
import re
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

PROTOCOL = 1
"""The version this build speaks."""

SUPPORTED = (1,)
"""The versions a server of this build accepts, newest first: a farm is never upgraded in one moment."""

PROTOCOL_HEADER = "Memoryd-Protocol"

LEASE_LOST = "lease-lost"
"""The problem's kind where fence and token are not the present lease's. Source: memoryd.foundation.errors, slug."""

Sha256Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 as 64 lower hexadecimal digits."""

BigInteger = Annotated[int, PlainSerializer(str, return_type=str, when_used="json")]
"""An integer that may exceed 2^53: text in JSON, and read from either."""

Fence = Annotated[int, Field(ge=0, lt=2**63)]
"""A lease's number: each is greater than every one before it."""

Name = Annotated[str, Field(max_length=4_096)]
"""A file name, node class or the like, as ComfyUI spells it."""


def _without_credentials(address: str) -> str:
    # Up to the last @ before the path: a password may hold one.
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@", r"\1", address)


Remote = Annotated[Name, AfterValidator(_without_credentials)]
"""The address of a git repository. A name and a password in it are cut out, on whichever side they are met first."""


class Shape(BaseModel):
    """What all messages share: frozen; members of a newer version are ignored, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class JoinRequest(Shape):
    """`POST /work/join`: turns a one-time token into a worker with a key of its own. Sent without authorization."""

    token: str
    label: str
    host: str
    gpu_uuid: str | None = None
    protocol: int = PROTOCOL


class JoinAnswer(Shape):
    """The worker, and the key it sends from now on: shown once, kept by the worker in a file of mode 600."""

    worker_id: UUID
    key: str
    pools: list[str]


class ModelPlace(Shape):
    """A folder with model files. `key` is the same for every worker that sees it, `root` what this one calls it.

    `kind`: a network `share`, a folder with a `marker` of its own, or one that is `local` to a running machine.
    """

    key: Sha256Hex
    kind: Literal["share", "marker", "local"]
    root: Name


class ModelFile(Shape):
    """One model file that the worker's ComfyUI offers. `sha256` only where the worker has hashed that very file.

    `place` is a number in `RegisterRequest.places`.
    """

    folder: Name
    path: Name
    size: int | None = None
    mtime_ns: BigInteger | None = None
    sha256: Sha256Hex | None = None
    place: int | None = Field(default=None, ge=0)


class Gpu(Shape):
    """The GPU that the worker's ComfyUI computes on. What nobody told is None, never a guess; `vram_mb` is all it has."""

    name: Name | None = None
    uuid: Name | None = None
    vram_mb: int | None = Field(default=None, ge=0, lt=2**31)
    driver: Name | None = None


class NodePack(Shape):
    """A folder of custom nodes. `remote` and `commit` are None where it is no git checkout, or does not say."""

    name: Name
    remote: Remote | None = None
    commit: Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")] | None = None


class RegisterRequest(Shape):
    """`POST /work/register`: this start of the worker, and what it can do. Sent again when ComfyUI came back changed.

    `incarnation` is fresh at every start. `environment` is the document of comfyui.environment (launch flags, versions, GPU);
    its identity is the SHA-256 of its canonical JSON. `nodes_sha256` is the digest of the whole node catalogue.
    `launch_flags` are ComfyUI's, word for word; the environment leaves out those that only say where it lives.
    """

    incarnation: UUID
    label: str
    host: str
    gpu_uuid: str | None = None
    protocol: int = PROTOCOL
    environment: dict[str, object]
    models: list[ModelFile]
    nodes_sha256: Sha256Hex
    classes: list[Name]
    gpu: Gpu | None = None
    node_packs: list[NodePack] = []
    launch_flags: list[Name] = []
    places: Annotated[list[ModelPlace], Field(max_length=1_000)] = []
    fetches_models: bool = False
    """Whether it brings models that it lacks from the server's store, into its ComfyUI's folders."""


class RegisterAnswer(Shape):
    """Who the worker is, how often it must be heard (seconds), and the pools it serves."""

    worker_id: UUID
    heartbeat_s: float
    pools: list[str]
    nodes_wanted: bool = False
    """Whether the server does not know this node catalogue yet: `PUT /work/nodes/{nodes_sha256}` tells it."""
    warm_up: str | None = None
    """The graph (API format, JSON text) that the worker runs once before it claims, None without one."""


SAVED_TYPE = "output"
"""ComfyUI's word for what a graph saved."""
PREVIEW_TYPE = "temp"
"""ComfyUI's word for what a graph only showed; wiped at its next start."""


class JobKind(StrEnum):
    """Why a job runs."""

    RUN = "run"  # somebody asked for pictures
    REPRODUCE = "reproduce"  # somebody asked whether the same pictures come again


class InputFile(Shape):
    """A file that the graph reads, and the name under which ComfyUI must find it. `type` is `input` or `output`."""

    name: Name
    subfolder: Name = ""
    type: str = "input"
    sha256: Sha256Hex
    size: int


class Pin(Shape):
    """Weights the job was accepted for: this name must be there and, where a hash is given, hold these bytes.

    `assumed`: the hash is what the pool's workers had when the job was sent, and nobody insists on it: other bytes are
    told, not refused.
    """

    folder: Name
    name: Name
    sha256: Sha256Hex | None = None
    assumed: bool = False


class ClaimRequest(Shape):
    """`POST /work/claim`: answered by 204 when nothing came within `wait_s`. `loaded` names the models still warm."""

    incarnation: UUID
    loaded: list[Name] = []
    wait_s: float = 0


class Claimed(Shape):
    """A job under lease. `prompt` and `extra_data` are JSON texts, verbatim: their spelling decides the file's bytes.

    `recompute`: nothing may come from ComfyUI's cache, and the worker proves it. `lease_s`: seconds without a heartbeat
    after which the lease is another's; `deadline_s`: seconds after which the run is given up. `environments`: SHA-256 of
    those that alone may run it, none for any.
    """

    job_id: UUID
    fence: Fence
    token: str
    attempt: int
    kind: JobKind
    prompt: str
    extra_data: str
    recompute: bool
    inputs: list[InputFile]
    pins: list[Pin]
    environments: list[Sha256Hex] = []
    lease_s: float
    deadline_s: float


class ClaimAnswer(Shape):
    """The job, in an envelope that can grow."""

    job: Claimed


class Beat(Shape):
    """One lease's sign of life. `progress` is 0 to 1, None where it cannot be told; `phase` a word for people."""

    job_id: UUID
    fence: Fence
    token: str
    progress: float | None = Field(default=None, ge=0, le=1)
    phase: str
    node: str | None = None


class HeartbeatRequest(Shape):
    """`POST /work/heartbeat`: all leases of this worker in one call; also sent with none, as a sign of life.

    `vram_used_mb`: how much of its GPU's memory is in use (MiB), None where the worker cannot tell.
    """

    incarnation: UUID
    leases: list[Beat] = []
    vram_used_mb: int | None = Field(default=None, ge=0, lt=2**31)


class LeaseState(StrEnum):
    """What the server says to one lease's sign of life."""

    OK = "ok"  # go on
    CANCEL = "cancel"  # somebody cancelled: stop, and complete as cancelled
    LOST = "lost"  # another worker has it, or none: stop, and drop what there is


class BeatAnswer(Shape):
    """The server's word on one lease."""

    job_id: UUID
    answer: LeaseState


class HeartbeatAnswer(Shape):
    """The server's word on every lease; `drain`: finish what runs and take nothing new."""

    leases: list[BeatAnswer]
    drain: bool = False


class OutputStored(Shape):
    """Answer to `PUT /work/outputs/{job_id}/{index}`: what the server has, by its own hashing."""

    sha256: Sha256Hex
    size: int


class Outcome(StrEnum):
    """How a run ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"


class Output(Shape):
    """One file that the run made. `output` is the key in the history entry (`images`), `batch_index` its place there."""

    index: int
    node: str
    output: str
    batch_index: int
    filename: Name
    subfolder: Name
    type: str
    sha256: Sha256Hex
    size: int
    media_type: str


class RunError(Shape):
    """Why a run failed. `kind` is a stable kebab-case word (`execution-error`, `prompt-refused`, `out-of-memory`, …)."""

    kind: str
    message: str
    node_id: str | None = None
    node_type: str | None = None
    details: dict[str, object] = {}


class NextRequest(Shape):
    """In a report: whoever brings it would do another job at once. `loaded` names the models that are warm now."""

    incarnation: UUID
    loaded: list[Name] = []


class CompleteRequest(Shape):
    """`POST /work/complete`: the run's end. May be sent again and again: the second is answered `duplicate`.

    `cached_nodes` are those that ComfyUI did not execute; after `recompute` an `ok` with any of them is no proof.
    `loading_s` and `executing_s` share out the time between start and end; `vram_peak_mb` is the most that was in use;
    `model_loaded`: whether weights were loaded for it. Each is None where the worker cannot tell. `models`: the job's weights
    with the contents that they had, where the worker knew them before it ran. `next` asks for the worker's next job by the
    same commit, after a run that was not an error; a server that does not know it answers without one.
    """

    job_id: UUID
    fence: Fence
    token: str
    outcome: Outcome
    prompt_id: UUID
    started_at: datetime.datetime
    ended_at: datetime.datetime
    cached_nodes: list[str]
    outputs: list[Output]
    error: RunError | None = None
    environment_sha256: Sha256Hex
    loading_s: float | None = Field(default=None, ge=0)
    executing_s: float | None = Field(default=None, ge=0)
    vram_peak_mb: int | None = Field(default=None, ge=0, lt=2**31)
    model_loaded: bool | None = None
    models: list[Pin] = []
    next: NextRequest | None = None


class CompleteAnswer(Shape):
    """`recorded` the first time, `duplicate` afterwards; a lost lease is a 409 instead.

    `next`: the job that was asked for. None says nothing of whether work waits: then the worker claims as ever.
    """

    answer: Literal["recorded", "duplicate"]
    next: Claimed | None = None


class ReleaseRequest(Shape):
    """`POST /work/release`: gives the job back unrun. `counts`: whether this was one of its attempts.

    `kind` is a stable word for why: `released`, `foreign-interrupt`, `engine-crash`, `engine-unresponsive`, `engine-busy`,
    `pin-missing`, `worker-stopped`.
    """

    job_id: UUID
    fence: Fence
    token: str
    reason: str
    counts: bool
    kind: str = Field(default="released", pattern=r"^[a-z][a-z0-9-]{0,63}$")


class LeaveRequest(Shape):
    """`POST /work/leave`: this incarnation takes no more work."""

    incarnation: UUID
