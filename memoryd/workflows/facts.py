"""The values this room hands out: graphs, identities, parameters."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import WorkflowId
from memoryd.plugin_api.facts import Confidence, DocumentKind
from memoryd.plugin_api.facts import Polarity as Polarity

RECIPE = "v1"
"""The recipe of all three identities; a later one is computed beside it, never instead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An input that takes another node's output."""

    node: str
    slot: int


Value: TypeAlias = "Link | Json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of a graph as executed: `is_changed` and unknown members are kept apart from its inputs."""

    id: str
    class_type: str
    inputs: Mapping[str, Value]
    title: str | None = None
    is_changed: Json = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A ComfyUI prompt (API format): nodes by id, in the document's order."""

    nodes: Mapping[str, Node]


class Level(enum.StrEnum):
    """How much of a graph an identity looks at."""

    EXACT = "exact"
    WORKFLOW = "workflow"
    STRUCTURE = "structure"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutputIdentity:
    """The identities of what one saving output depends on. Digests are 32 bytes."""

    node: str
    class_type: str
    exact: bytes
    workflow: bytes
    structure: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """A graph's identities: the run's digests, one entry per saving output, and the canonical form of the exact level.

    `canonical` is canonical JSON (ASCII bytes) of the whole run.
    """

    recipe: str
    exact: bytes
    workflow: bytes
    structure: bytes
    outputs: tuple[OutputIdentity, ...]
    canonical: bytes
    node_count: int
    findings: tuple[Finding, ...] = ()


class Source(enum.StrEnum):
    """Where a fact comes from, strongest first (INV-3)."""

    EXECUTED = "executed"
    EDITOR = "editor"
    TEXT = "text"
    DECLARED = "declared"
    INFERRED = "inferred"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplerUse:
    """One sampling pass, in order of execution; the last is the one whose latent the saved picture shows.

    Seeds reach 2^64-1. None is an unknown, never a default.
    """

    node: str
    class_type: str
    seed: int | None
    steps: int | None
    cfg: float | None
    sampler: str | None
    scheduler: str | None
    denoise: float | None
    source: Source = Source.EXECUTED
    confidence: Confidence = Confidence.HIGH
    final: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PromptUse:
    """One text that conditioned a sampler. `is_template`: the node wrote the real text at run time."""

    node: str
    input: str
    polarity: Polarity
    text: str
    is_template: bool = False
    source: Source = Source.EXECUTED
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """One model file that took part. `role` is the models folder (checkpoints, loras, vae, …); `name` as written."""

    node: str
    input: str
    class_type: str
    role: str
    name: str
    strength_model: float | None = None
    strength_clip: float | None = None
    claimed_hash: str | None = None
    """As the file says it, in its maker's own kind of hash: a claim, not a proof."""
    air: str | None = None
    """Its name at a model site (urn:air:…)."""
    evidence: str = "table"
    """How it was recognised: table, object_info, heuristic, text."""
    source: Source = Source.EXECUTED
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputUse:
    """One input file. `sha256` (32 bytes) is the content that ComfyUI hashed at run time (`is_changed`), when known."""

    node: str
    input: str
    class_type: str
    name: str
    sha256: bytes | None = None
    source: Source = Source.EXECUTED
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What the ancestors of an output say about how it was made.

    `node` is the saving node the reading starts from; `certain` is False where the file may belong to one of several.
    Width and height are those asked for (latent size), in pixels.
    """

    node: str | None
    certain: bool = True
    samplers: tuple[SamplerUse, ...] = ()
    prompts: tuple[PromptUse, ...] = ()
    models: tuple[ModelUse, ...] = ()
    inputs: tuple[InputUse, ...] = ()
    width: int | None = None
    height: int | None = None
    generates: bool = False
    """Whether a sampler (or another generating node) stands among the ancestors: the evidence of a generation."""
    tool: str | None = None
    """Who made it: `comfyui`, `automatic1111`, `midjourney`, …"""
    tool_version: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    """Whatever else is said of the making, by name, as written."""
    findings: tuple[Finding, ...] = ()
    rest_of_run: Parameters | None = None
    """What the same run executed for other outputs than this one: of the run, but not of this picture."""


class NodeValue(NamedTuple):
    """One literal input of a node, for `node:KSampler.cfg>6`. Exactly one of number and text is set."""

    class_type: str
    input: str
    number: float | None = None
    text: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDocument:
    """A verbatim text ready to be stored: `sha256` of `raw`; `key` is its keyword in the file."""

    sha256: bytes
    kind: DocumentKind
    key: str
    raw: bytes
    packed: bytes = b""
    """zlib of `raw`, made where the file is read; empty where that is left to the recorder."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreparedGraph:
    """A graph ready to be stored, computed without a database."""

    identities: Identities
    values: tuple[NodeValue, ...] = ()
    packed: bytes = b""
    """zlib of the canonical form, made where the file is read; empty where that is left to the recorder."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredWorkflow:
    """A workflow that is known here: all graphs of one digest at the workflow level."""

    id: WorkflowId
    digest: bytes
    name: str
