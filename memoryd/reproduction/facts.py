"""The values this room hands out: what is needed, what came of it, and why."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, GenerationId, JobId, ProjectId, ReproductionId, WorkerId

if TYPE_CHECKING:
    from memoryd.reproduction.environments.nearness import Nearness


class Verdict(enum.StrEnum):
    """The outcome of an attempt to make an asset again, best first."""

    IDENTICAL_FILE = "identical file"
    """Computed again, and every byte is equal."""
    IDENTICAL_PIXELS = "identical pixels"
    """Computed again, every pixel is equal, the file around them is not."""
    WITHIN_TOLERANCE = "within tolerance"
    """Computed again, and what differs is rounding (TOLERANCE_MAX_ABS, TOLERANCE_PSNR_DB, TOLERANCE_SSIM)."""
    SIMILAR = "similar"
    """Computed again, and it shows the same, but more than rounding differs."""
    DIFFERENT = "different"
    """Computed again, and it is another picture."""
    NOT_ATTEMPTED = "not attempted"
    """Nothing was computed, so nothing can be said of it (INV-7)."""


SHORT_OF_IDENTICAL = frozenset({Verdict.WITHIN_TOLERANCE, Verdict.SIMILAR, Verdict.DIFFERENT})
"""Verdicts that leave something to explain."""


class ComparedWith(enum.StrEnum):
    """What of the original a verdict rests on: with less than its bytes, less can be said."""

    BYTES = "bytes"
    STORED_HASH = "stored hash"
    """Its bytes are gone; its SHA-256 was recorded."""
    STORED_PIXEL_DIGEST = "stored pixel digest"
    """Its bytes are gone; what it showed was recorded, by the same recipe and decoder."""
    STORED_FINGERPRINT = "stored fingerprint"
    """Its bytes are gone; its fingerprint tells whether it showed the same, and no more."""


class Testing(enum.StrEnum):
    """Whether second runs look for the reason of what differs; the verdict does not wait for them."""

    OFF = "off"
    """Not asked for, or nothing was left to explain."""
    WANTED = "wanted"
    """They start when the verdict falls short of *identical pixels*."""
    RUNNING = "running"
    """They wait or run; the causes are ranked again when they end."""
    OVER = "over"
    """The causes say what was tested."""


class State(enum.StrEnum):
    """How far an attempt is."""

    RUNNING = "running"
    """Its job waits or runs, or its outputs wait to be compared."""
    DECIDED = "decided"


class Purpose(enum.StrEnum):
    """What an attempt is made for."""

    ASKED = "asked"
    """Somebody, or a program of theirs, asked for it."""
    REPEAT = "repeat"
    """A second run of another attempt: does this graph repeat itself at all?"""
    OTHER_WORKER = "other-worker"
    """Another attempt's run on another matching worker."""
    CANARY = "canary"
    """To learn whether a worker still makes what it made."""
    ENLARGEMENT = "enlargement"
    """No attempt to make the same again: the same picture, larger, and how far it is from it when scaled back."""


class TestedBy(enum.StrEnum):
    """Which second run tells something of a cause."""

    REPEAT = "repeat"
    """The same run once more on the same worker."""
    OTHER_WORKER = "other-worker"
    """The same run on another matching worker."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What a second run showed of a cause: it holds, it does not, or (None) nothing."""

    by: TestedBy
    holds: bool | None
    detail: str

    def as_json(self) -> dict[str, Json]:
        """As stored and shown."""
        return {"by": self.by.value, "holds": self.holds, "detail": self.detail}

    @classmethod
    def of(cls, told: Mapping[str, Json]) -> Tested:
        """Return what was stored of a test."""
        holds = told.get("holds")
        return cls(
            by=TestedBy(str(told["by"])), holds=holds if isinstance(holds, bool) else None, detail=str(told["detail"])
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A named difference between then and now, or a named thing that is missing.

    `code` is a stable kebab-case word (`no-graph`, `input-missing`, `job-failed`, `served-from-cache`); `next_step` says
    what a person can do about it. `weight`: the heavier, the likelier it explains what came out; 0 where it explains
    nothing by itself. `name`, `then` and `now` say which difference of the environments it is. `tested` says what second
    runs showed of it.
    """

    code: str
    detail: str
    next_step: str = ""
    weight: int = 0
    name: str = ""
    then: Json = None
    now: Json = None
    tested: Tested | None = None

    def as_json(self) -> dict[str, Json]:
        """The cause as stored and shown."""
        told: dict[str, Json] = {"code": self.code, "detail": self.detail, "next_step": self.next_step}
        if self.weight:
            told["weight"] = self.weight
        if self.name:
            told |= {"name": self.name, "then": self.then, "now": self.now}
        if self.tested is not None:
            told["tested"] = self.tested.as_json()
        return told

    @classmethod
    def of(cls, told: Mapping[str, Json]) -> Cause:
        """Return a stored cause."""
        tested, weight = told.get("tested"), told.get("weight")
        return cls(
            code=str(told.get("code")),
            detail=str(told.get("detail")),
            next_step=str(told.get("next_step") or ""),
            weight=weight if isinstance(weight, int) else 0,
            name=str(told.get("name") or ""),
            then=told.get("then"),
            now=told.get("now"),
            tested=Tested.of(tested) if isinstance(tested, dict) else None,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file the graph reads: where ComfyUI must find it, and its content. `sha256` is 32 bytes, size in bytes."""

    name: str
    subfolder: str
    type: str
    sha256: bytes
    size: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelPin:
    """A model the graph names: folder, name as written, and its content where it is known (32 bytes)."""

    folder: str
    name: str
    sha256: bytes | None


DIFFERENCES_LIMIT = 20
"""Differences of a worker's environment that a stored plan spells out, the heaviest: packages alone may be hundreds."""
HINDRANCES = frozenset({"class-nobody-has", "model-drifted", "model-nobody-has", "no-worker", "no-worker-has-all"})
"""Codes of notices that stand in the way until somebody mends a worker; every other one is said in advance only."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerMatch:
    """One worker held against a plan.

    `fits`: it can run the graph now (classes, model names, the pinned contents). `lacks` says what it has not, or has
    with another content; `nearness` in which respects its environment, whose document has the hash `environment` (lower
    hex; None: not stated), is not that of then. `pools` are names.
    """

    worker_id: WorkerId
    label: str
    pools: tuple[str, ...]
    online: bool
    fits: bool
    nearness: Nearness
    lacks: tuple[Cause, ...] = ()
    environment: str | None = None

    def as_json(self) -> dict[str, Json]:
        """The match as stored and shown."""
        return {
            "worker_id": str(self.worker_id),
            "label": self.label,
            "pools": list(self.pools),
            "online": self.online,
            "fits": self.fits,
            "identical": self.nearness.identical,
            "known": self.nearness.known,
            "distance": self.nearness.distance,
            "differences": [each.as_json() for each in self.nearness.differences[:DIFFERENCES_LIMIT]],
            "differences_found": len(self.nearness.differences),
            "lacks": [cause.as_json() for cause in self.lacks],
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What making an asset again needs. With anything `missing` it cannot be attempted.

    `prompt` and `extras` are the documents verbatim; `node` and `batch_index` say which output the asset was, as far as
    is known (`certain`: the node is), of a batch of `batch_size` (re-run whole: one picture of it alone is another
    picture); `environment` names what it was made on, where a job recorded that. `notices` name in advance what may
    make the result differ, or what nobody has now; `workers` those of the tenant's pools, nearest first.
    """

    asset_id: AssetId
    generation_id: GenerationId | None
    project_id: ProjectId | None
    prompt: bytes = b""
    extras: tuple[tuple[str, bytes], ...] = ()
    inputs: tuple[InputFile, ...] = ()
    pins: tuple[ModelPin, ...] = ()
    node: str | None = None
    batch_index: int | None = None
    certain: bool = False
    batch_size: int | None = None
    environment: bytes | None = None
    missing: tuple[Cause, ...] = ()
    notices: tuple[Cause, ...] = ()
    workers: tuple[WorkerMatch, ...] = ()

    @property
    def hindrances(self) -> tuple[Cause, ...]:
        """What stands in the way now: what is missing here, and what no worker has."""
        return (*self.missing, *(notice for notice in self.notices if notice.code in HINDRANCES))

    def as_json(self) -> dict[str, Json]:
        """The plan as stored and shown; documents by their size, contents by their hash."""
        return {
            "generation_id": str(self.generation_id) if self.generation_id else None,
            "prompt_bytes": len(self.prompt),
            "extras": [key for key, _ in self.extras],
            "inputs": [
                {"name": i.name, "subfolder": i.subfolder, "type": i.type, "sha256": i.sha256.hex(), "size": i.size}
                for i in self.inputs
            ],
            "models": [
                {"folder": p.folder, "name": p.name, "sha256": p.sha256.hex() if p.sha256 else None} for p in self.pins
            ],
            "node": self.node,
            "batch_index": self.batch_index,
            "batch_size": self.batch_size,
            "certain": self.certain,
            "environment": self.environment.hex() if self.environment else None,
            "possible": not self.hindrances,
            "missing": [cause.as_json() for cause in self.missing],
            "notices": [cause.as_json() for cause in self.notices],
            "workers": [worker.as_json() for worker in self.workers],
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One output of the attempt. `sha256` is 32 bytes; a preview is no asset, its bytes are in the store alone."""

    asset_id: AssetId | None
    node: str
    batch_index: int | None
    sha256: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with what it rests on. `made` is the output that was compared, where there was one.

    `causes` are those that the comparison itself shows; what differs between then and now comes from elsewhere.
    """

    verdict: Verdict
    measures: dict[str, Json]
    causes: tuple[Cause, ...] = ()
    made: AssetId | None = None
    output: Made | None = None
    """That output; also where it is a preview, and no asset."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """One attempt, as recorded."""

    id: ReproductionId
    asset_id: AssetId
    state: State
    plan: dict[str, Json]
    job_id: JobId | None
    verdict: Verdict | None
    measures: dict[str, Json]
    causes: list[dict[str, Json]]
    made_asset_id: AssetId | None
    asked_at: datetime.datetime
    decided_at: datetime.datetime | None
    purpose: Purpose = Purpose.ASKED
    parent_id: ReproductionId | None = None
    testing: Testing = Testing.OFF
    tested_at: datetime.datetime | None = None
    worker_id: WorkerId | None = None
    tries: int = 0
    environment: bytes | None = None
    difference: bytes | None = None
    has_receipt: bool = False
    second_runs: tuple[Reproduction, ...] = ()
    """The attempts that help to explain this one, oldest first."""

    @property
    def falls_short(self) -> bool:
        """Whether it was computed again, and did not come out with the same pixels."""
        return self.verdict in SHORT_OF_IDENTICAL
