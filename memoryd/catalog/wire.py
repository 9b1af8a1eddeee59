"""The shapes of this room's HTTP. Digests are lower-case hex; seeds are text, since JavaScript's numbers end at 2^53."""

from __future__ import annotations

import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from memoryd.catalog.annotations import NOTE_LIMIT, STARS_LIMIT, TAG_LIMIT, TAGS_LIMIT, ApprovalState
from memoryd.catalog.asset_view import AssetView, Relative
from memoryd.catalog.media_wire import BigInteger as BigInteger
from memoryd.catalog.media_wire import Hex, SequenceShape, TraitsShape
from memoryd.catalog.media_wire import Shape as Shape


class FaceShape(Shape):
    """What a list shows of an asset."""

    id: UUID
    root_id: UUID
    sha256: Hex
    kind: str
    media_type: str
    width: int | None
    height: int | None
    made_at: datetime.datetime
    name: str | None
    has_thumbnail: bool


class RelativeShape(Shape):
    """A line of the family."""

    face: FaceShape
    near_root_id: UUID
    via: str
    distance: int
    source: str


class PlaceShape(Shape):
    """A place where a copy lies; `paths` are [machine, path]."""

    shown_path: str
    state: str
    project_id: UUID | None
    root_state: str | None
    paths: list[tuple[str, str]]
    last_seen: datetime.datetime
    gone_at: datetime.datetime | None


class PastPlaceShape(Shape):
    """A place where a copy lay."""

    shown_path: str
    reason: str
    until: datetime.datetime


class SamplerShape(Shape):
    """One sampling pass; null is unknown."""

    node: str
    class_type: str
    seed: BigInteger | None
    steps: int | None
    cfg: float | None
    sampler: str | None
    scheduler: str | None
    denoise: float | None
    source: str
    final: bool
    confidence: str


class PromptShape(Shape):
    """One text that conditioned a sampler."""

    node: str
    input: str
    polarity: str
    text: str
    is_template: bool
    source: str
    confidence: str


class LicenceShape(Shape):
    """Terms that somebody stated for a model."""

    name: str
    source: str


class ModelShape(Shape):
    """A model that took part; `sha256` and `licence` null are unknown."""

    node: str
    class_type: str
    role: str
    name: str
    sha256: Hex | None
    identified: str | None
    strength_model: float | None
    strength_clip: float | None
    evidence: str
    source: str
    licence: LicenceShape | None
    confidence: str
    claimed_hash: str | None
    air: str | None


class InputShape(Shape):
    """An input file."""

    node: str
    class_type: str
    name: str
    sha256: Hex | None
    source: str
    parent: FaceShape | None
    confidence: str


class PasteTextShape(Shape):
    """A recipe to paste; `verbatim`: exactly as the file carries it."""

    text: str
    verbatim: bool


class DocumentShape(Shape):
    """A verbatim text; GET /assets/{ref}/documents/{sha256} gives its bytes."""

    kind: str
    key: str
    sha256: Hex


class GenerationShape(Shape):
    """One run that made the asset."""

    id: UUID
    run_key: str
    origin: str
    exact: Hex | None
    node: str
    output: str
    batch_index: int | None
    certain: bool
    generates: bool
    width: int | None
    height: int | None
    environment: Hex | None
    comfyui_version: str | None
    gpu: str | None
    job_id: UUID | None
    project_id: UUID | None
    person_id: UUID | None
    person: str | None
    attribution_source: str | None
    started_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    cached: bool
    samplers: list[SamplerShape]
    prompts: list[PromptShape]
    models: list[ModelShape]
    inputs: list[InputShape]
    documents: list[DocumentShape]
    tool: str | None
    tool_version: str | None
    settings: list[tuple[str, str]]


class LineMemberShape(Shape):
    """An asset of the line."""

    face: FaceShape
    succeeds_id: UUID | None
    succession: str | None
    head: bool


class NoteShape(Shape):
    """A remark."""

    text: str
    by: str | None
    at: datetime.datetime


class ApprovalShape(Shape):
    """What a project decided; `of_this` false where another asset of the line was looked at."""

    state: str
    comment: str | None
    by: str | None
    at: datetime.datetime
    asset_id: UUID
    of_this: bool


class AnnotationsShape(Shape):
    """What one project attached."""

    project_id: UUID
    project: str
    tags: list[str]
    rating: int | None
    notes: list[NoteShape]
    collections: list[str]
    approval: ApprovalShape | None


class FindingShape(Shape):
    """Something that could not be read or decided."""

    code: str
    detail: str
    where: str


class ExtractionShape(Shape):
    """What one version of a plugin made of the bytes."""

    plugin: str
    version: str
    state: str
    at: datetime.datetime
    current: bool
    findings: list[FindingShape]


class AssetShape(Shape):
    """One asset, whole."""

    id: UUID
    root_id: UUID
    sha256: Hex
    size: int
    kind: str
    media_type: str
    width: int | None
    height: int | None
    frames: int | None
    made_at: datetime.datetime
    made_source: str
    recorded_at: datetime.datetime
    pixel_recipe: str | None
    pixel_digest: Hex | None
    head: bool
    present: bool
    disclosed: bool
    flags: list[str]
    generations: list[GenerationShape]
    annotations: list[AnnotationsShape]
    places: list[PlaceShape]
    past_places: list[PastPlaceShape]
    extractions: list[ExtractionShape]
    line: list[LineMemberShape]
    parents: list[RelativeShape]
    children: list[RelativeShape]
    traits: TraitsShape | None
    sequence: SequenceShape | None

    @classmethod
    def of(cls, view: AssetView) -> AssetShape:
        """Return the shape of an asset."""
        return cls.model_validate(view)


class LineageShape(Shape):
    """What an asset was made from, and what was made from it, nearest first."""

    asset_id: UUID
    ancestors: list[RelativeShape]
    descendants: list[RelativeShape]

    @classmethod
    def of(cls, asset_id: UUID, above: list[Relative], below: list[Relative]) -> LineageShape:
        """Return the shape of a family."""
        return cls(
            asset_id=asset_id,
            ancestors=[RelativeShape.model_validate(relative) for relative in above],
            descendants=[RelativeShape.model_validate(relative) for relative in below],
        )


class FoundShape(Shape):
    """The asset that a reference means."""

    id: UUID


class ForProject(Shape):
    """What every annotation may name: the project it is for, where an asset belongs to several."""

    project: str | None = None


TagName = Annotated[str, Field(max_length=4 * TAG_LIMIT)]


class TagRequest(ForProject):
    """Tags to hang on."""

    tags: list[TagName] = Field(min_length=1, max_length=TAGS_LIMIT)


class RatingRequest(ForProject):
    """Stars to give; 0 takes them away."""

    stars: int = Field(ge=0, le=STARS_LIMIT)


class NoteRequest(ForProject):
    """A remark to add."""

    text: str = Field(max_length=NOTE_LIMIT)


class CollectionRequest(ForProject):
    """A collection to put the asset into."""

    collection: TagName


class ApprovalRequest(ForProject):
    """A decision to record."""

    state: ApprovalState = ApprovalState.APPROVED
    comment: str | None = Field(default=None, max_length=NOTE_LIMIT)


class Changed(Shape):
    """What a change came to: the tags or collections that were hung on or taken off."""

    changed: list[str]


class NamedShape(Shape):
    """A tag or collection, and how many pictures it has."""

    project: str
    name: str
    lines: int


class NamedList(Shape):
    """Tags or collections."""

    items: list[NamedShape]
    next_cursor: str | None = None
