"""The shapes of HTTP, and of the report itself: `schemas/lineage_report.v1.json` is generated from LineageReport."""

from __future__ import annotations

import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReportRequest(BaseModel):
    """What to report about: one asset, or all that a search finds."""

    ref: str | None = Field(default=None, max_length=4_096)
    query: str | None = Field(default=None, max_length=4_096)
    format: Literal["json", "html"] = "json"


class MadeReport(BaseModel):
    """A report as the texts of the files to write: signed is each file's every byte."""

    name: str
    report: str
    signature: str
    html: str | None = None
    html_signature: str | None = None


class Summary(_Part):
    """Counts."""

    assets: int
    generated: int
    disclosed: int
    bad: int
    unknown: int
    notes: int


class GapPart(_Part):
    """Something unknown, unsigned or wrong; `asset_id` null concerns the whole report."""

    code: str
    severity: Literal["bad", "unknown", "note"]
    asset_id: UUID | None
    detail: str


class WorkflowPart(_Part):
    """Digests of a graph, hex, under a recipe."""

    recipe: str | None
    exact: str
    workflow: str | None
    structure: str | None


class SamplerPart(_Part):
    """One sampling pass. The seed is text: it exceeds what JSON numbers hold in most readers."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    class_: str = Field(alias="class")
    seed: str | None
    steps: int | None
    cfg: float | None
    sampler: str | None
    scheduler: str | None
    denoise: float | None
    source: str
    final: bool
    confidence: str | None = None


class LicencePart(_Part):
    """What is known of a model's licence; a statement by the file is no permission."""

    state: Literal["unknown", "stated by the file", "stated"]
    name: str | None
    source: str | None


class ModelPart(_Part):
    """A model that took part. `claimed_hash` is what the file says, in its maker's kind of hash: a claim, no proof."""

    role: str
    name: str
    sha256: str | None
    identified: str | None
    strength_model: float | None
    strength_clip: float | None
    licence: LicencePart
    source: str | None = None
    confidence: str | None = None
    evidence: str | None = None
    claimed_hash: str | None = None
    air: str | None = None


class InputPart(_Part):
    """An input file."""

    name: str
    sha256: str | None
    asset_id: UUID | None
    source: str
    confidence: str | None = None


class PromptPart(_Part):
    """That a text conditioned the run, and where it was read; the text itself is in no report."""

    polarity: str
    is_template: bool
    source: str
    confidence: str


class SettingPart(_Part):
    """Something else that the file says of the making, as written; texts are left out."""

    name: str
    value: str


class RunPart(_Part):
    """One run that made the asset; null is unknown. Width and height are those asked for."""

    id: UUID
    origin: str
    run_key: str
    node: str
    batch_index: int | None
    certain: bool
    generates: bool
    project: str | None
    person: str | None
    attribution_source: str | None
    comfyui_version: str | None
    gpu: str | None
    environment: str | None
    started_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    workflow: WorkflowPart | None
    samplers: list[SamplerPart]
    models: list[ModelPart]
    inputs: list[InputPart]
    tool: str | None = None
    tool_version: str | None = None
    width: int | None = None
    height: int | None = None
    settings: list[SettingPart] = []
    prompts: list[PromptPart] = []


class MemberPart(_Part):
    """An asset of the same line, and how it followed."""

    succession: str | None
    asset_id: UUID
    sha256: str
    name: str | None


class RelativePart(_Part):
    """An asset it was made from, or that was made from it. `source`: read, declared or proposal; `by`: who said so."""

    via: str
    source: str = "read"
    by: str | None = None
    distance: int
    asset_id: UUID
    sha256: str
    name: str | None


class ApprovalPart(_Part):
    """What a project decided; `of_this` false: of another asset of the line."""

    project: str
    state: str
    of_this: bool


class VerificationPart(_Part):
    """What verifying said; not-attempted is never shown as a result."""

    state: Literal["no-manifest", "valid", "trusted", "history-broken", "invalid", "unreadable", "not-attempted"]
    headline: str
    generated_by_ai: str | None
    signer: str | None


class DisclosurePart(_Part):
    """A signed copy."""

    id: UUID
    original_id: UUID
    disclosed_id: UUID
    source_type: str
    manifest_id: str
    signer: str
    development: bool
    timestamped: bool
    layers: list[str]
    kept: str
    created_at: datetime.datetime
    verification: VerificationPart


class FindingPart(_Part):
    """Something in the file that could not be read or decided."""

    code: str
    detail: str
    where: str


class SequencePart(_Part):
    """Numbered frames that are one item; the asset is one of them, and the others are in no other part of the report."""

    name: str
    frames: int
    first: int
    last: int
    missing: int


class ColourProfilePart(_Part):
    """The colour profile that a picture carries."""

    name: str
    sha256: str


class ContentPart(_Part):
    """What the content is like: seconds, frames and samples a second, an EXR's layers."""

    frames: int | None
    duration: float | None
    frame_rate: float | None
    sample_rate: int | None
    channels: int | None
    colour_profile: ColourProfilePart | None
    layers: list[str]


class DeclarationPart(_Part):
    """What somebody (`by`) declared of its making; `person` is who made it. Declared prompts and remarks are left out."""

    id: UUID
    made_by: str
    tool_version: str | None
    generated: bool
    model: str | None
    seed: str | None
    project: str | None
    person: str | None
    by: str | None
    at: datetime.datetime


class OccasionPart(_Part):
    """What for, where and for whom, with the facts that counted; null is not known, `untold` names what was not told."""

    use: str
    territories: list[str]
    client: str | None
    revenue_usd: int | None
    users: int | None
    seats: list[str]
    registered: list[str]
    untold: list[str]


class ClausePart(_Part):
    """A clause and the verdict that it leads to alone; `text_sha256` is of the licence's text that was read."""

    model: str | None
    model_name: str
    licence: str | None
    version: str
    term: str
    section: str
    says: str
    verdict: Literal["allow", "review", "unknown", "block"]
    text_sha256: str | None
    confidence: str | None
    source: str | None
    inherited: bool


class DutyPart(_Part):
    """Something owed though it is allowed."""

    kind: str
    text: str
    model_name: str
    licence: str


class ClearancePart(_Part):
    """May it be used for what its project is for; the strictest of all that took part. A review, never advice."""

    verdict: Literal["allow", "review", "unknown", "block"]
    occasion: OccasionPart
    notes: list[str]
    clauses: list[ClausePart]
    duties: list[DutyPart]


class AssetPart(_Part):
    """One asset, whole."""

    id: UUID
    root_id: UUID
    sha256: str
    size: int
    kind: str
    media_type: str
    width: int | None
    height: int | None
    pixel_recipe: str | None
    pixel_digest: str | None
    made_at: datetime.datetime
    made_source: str
    recorded_at: datetime.datetime
    places: list[str]
    runs: list[RunPart]
    line: list[MemberPart]
    parents: list[RelativePart]
    children: list[RelativePart]
    approvals: list[ApprovalPart]
    disclosures: list[DisclosurePart]
    verification: VerificationPart
    findings: list[FindingPart]
    sequence: SequencePart | None = None
    content: ContentPart | None = None
    declarations: list[DeclarationPart] = []
    clearance: ClearancePart | None = None


class LineageReport(_Part):
    """A lineage report, version 1: gaps first, then each asset whole. Prompts are left out."""

    format: Literal["memoryd.lineage-report/1"]
    report_id: UUID
    made_at: datetime.datetime
    made_by: str
    made_with: str
    tenant: str
    asked: str
    complete: bool
    notice: str
    summary: Summary
    gaps: list[GapPart]
    assets: list[AssetPart]
