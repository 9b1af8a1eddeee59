"""One asset with all that is known of it, as far as one caller may see: for its page, the command line and the report."""

from __future__ import annotations

import dataclasses
import datetime
from uuid import UUID

from memoryd.catalog.facts import AssetKind, GenerationOrigin, LocationState, MadeSource, Succession
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import AssetId, GenerationId, JobId, PersonId, ProjectId
from memoryd.imaging.derived import Traits
from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.facts import Polarity, Source


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What a list shows of an asset. `name` is a file name it has or had, None where the caller may see none."""

    id: AssetId
    root_id: AssetId
    sha256: bytes
    kind: AssetKind
    media_type: str
    width: int | None
    height: int | None
    made_at: datetime.datetime
    name: str | None
    has_thumbnail: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A line of the family. `near_root_id` is the neighbour on the way to the asset that was asked about, `distance`
    the steps to it. `source`: `read` from files or jobs, `declared` by a person, or an accepted `proposal`; `by` who did."""

    face: Face
    near_root_id: AssetId
    via: str
    distance: int
    source: str = "read"
    by: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlaceView:
    """A place where a copy lies. `paths` spells it for each machine that has an alias; the root's own host comes first."""

    shown_path: str
    state: LocationState
    project_id: ProjectId | None
    root_state: str | None
    paths: tuple[tuple[str, str], ...]
    last_seen: datetime.datetime
    gone_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PastPlaceView:
    """A place where a copy lay, until when, and what ended it."""

    shown_path: str
    reason: str
    until: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplerView:
    """One sampling pass; None is unknown."""

    node: str
    class_type: str
    seed: int | None
    steps: int | None
    cfg: float | None
    sampler: str | None
    scheduler: str | None
    denoise: float | None
    source: Source
    final: bool
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PromptView:
    """One text that conditioned a sampler."""

    node: str
    input: str
    polarity: Polarity
    text: str
    is_template: bool
    source: Source
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LicenceView:
    """Terms that somebody stated for a model; `source` says who (`header`: the file itself)."""

    name: str
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model that took part. `sha256` None is unknown, and so is `licence` None.

    `identified` says how the content is known: `pin` (the worker proved it), `name` (one content had that name when the
    picture was new), `name-now` (one has it today, which is no proof). `claimed_hash` is what the file itself says, in its
    maker's own kind of hash; `air` its name at a model site (urn:air:…).
    """

    node: str
    class_type: str
    role: str
    name: str
    sha256: bytes | None
    identified: str | None
    strength_model: float | None
    strength_clip: float | None
    evidence: str
    source: Source
    licence: LicenceView | None = None
    confidence: Confidence = Confidence.HIGH
    claimed_hash: str | None = None
    air: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputView:
    """An input file. `sha256` None: its content was not told. `parent`: the recorded asset with that content, if the
    caller may see it."""

    node: str
    class_type: str
    name: str
    sha256: bytes | None
    source: Source
    parent: Face | None = None
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DocumentView:
    """A verbatim text of the file or job. `kind` is prompt, workflow or extra; `key` its keyword in the file."""

    kind: str
    key: str
    sha256: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerationView:
    """One run that made the asset. Who and which job are told only where the caller may see the run's project.

    `certain` is False where the file does not say which output it is. Width and height are those asked for. `settings`:
    whatever else the file says of the making, by name, as written.
    """

    id: GenerationId
    run_key: str
    origin: GenerationOrigin
    exact: bytes | None
    node: str
    output: str
    batch_index: int | None
    certain: bool
    generates: bool
    width: int | None
    height: int | None
    environment: bytes | None
    comfyui_version: str | None
    gpu: str | None
    job_id: JobId | None
    project_id: ProjectId | None
    person_id: PersonId | None
    person: str | None
    attribution_source: str | None
    started_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    cached: bool
    samplers: tuple[SamplerView, ...]
    prompts: tuple[PromptView, ...]
    models: tuple[ModelView, ...]
    inputs: tuple[InputView, ...]
    documents: tuple[DocumentView, ...]
    tool: str | None = None
    tool_version: str | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LineMember:
    """An asset of the line, oldest first, and how it follows its predecessor."""

    face: Face
    succeeds_id: AssetId | None
    succession: Succession | None
    head: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NoteView:
    """A remark."""

    text: str
    by: str | None
    at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """What a project decided. `of_this` is False where another asset of the line was looked at."""

    state: str
    comment: str | None
    by: str | None
    at: datetime.datetime
    asset_id: AssetId
    of_this: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What one project attached to the line."""

    project_id: ProjectId
    project: str
    tags: tuple[str, ...]
    rating: int | None
    notes: tuple[NoteView, ...]
    collections: tuple[str, ...]
    approval: ApprovalView | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionView:
    """What one version of a plugin made of the bytes."""

    plugin: str
    version: str
    state: str
    at: datetime.datetime
    current: bool
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SequenceView:
    """Frames that are one item. `first` and `last` are numbers, `first_id` is the frame of the lowest one may see."""

    id: UUID
    name: str
    frames: int
    first: int
    last: int
    first_id: AssetId

    @property
    def missing(self) -> int:
        """How many numbers between the first and the last have no frame."""
        return max(0, self.last - self.first + 1 - self.frames)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AssetView:
    """One asset, whole. Sizes in bytes and pixels; digests are 32 bytes.

    `present`: whether its bytes can be had (a blob, or a place where it was last seen). `disclosed`: whether a signed
    copy of the line exists. `flags` are what other rooms marked the line with.
    """

    id: AssetId
    root_id: AssetId
    sha256: bytes
    size: int
    kind: AssetKind
    media_type: str
    width: int | None
    height: int | None
    frames: int | None
    made_at: datetime.datetime
    made_source: MadeSource
    recorded_at: datetime.datetime
    pixel_recipe: str | None
    pixel_digest: bytes | None
    head: bool
    present: bool
    disclosed: bool
    flags: tuple[str, ...]
    generations: tuple[GenerationView, ...]
    annotations: tuple[Annotations, ...]
    places: tuple[PlaceView, ...]
    past_places: tuple[PastPlaceView, ...]
    extractions: tuple[ExtractionView, ...]
    line: tuple[LineMember, ...]
    parents: tuple[Relative, ...]
    children: tuple[Relative, ...]
    traits: Traits | None = None
    """What its content is like: duration, rates, colour profile, layers. None where it was not looked at."""
    sequence: SequenceView | None = None
    """The numbered frames that it is one of."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What could not be read or decided, by the current readings."""
        return tuple(finding for reading in self.extractions if reading.current for finding in reading.findings)

    @property
    def documents(self) -> tuple[DocumentView, ...]:
        """The verbatim texts of all runs, each once."""
        return tuple(dict.fromkeys(document for run in self.generations for document in run.documents))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A tag or collection of a project, and how many lines it has."""

    project: str
    name: str
    lines: int
