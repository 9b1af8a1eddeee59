"""Generations and their facts. Graphs and documents are referred to by their digests, which name themselves."""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, Sha256, TenantTable

_ONE_OUTPUT = ("generation_id", "asset_id", "node", "output", "batch_index")


class _Fact:
    """What every fact about a run's output says: which output, in which order, which node of the graph, from which source."""

    generation_id: Mapped[UUID] = mapped_column(ForeignKey("generation.id"), primary_key=True)
    output_node: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    node: Mapped[str]
    source: Mapped[str]
    confidence: Mapped[str]


class Environment(TenantTable):
    """What a run ran in, named by its document's hash. `document` is canonical JSON, zlib."""

    __tablename__ = "environment"
    hash: Mapped[Sha256] = mapped_column(primary_key=True)
    document: Mapped[bytes]
    comfyui_version: Mapped[str | None]
    gpu: Mapped[str | None]
    recorded_at: Mapped[RecordedNow]


class Generation(TenantTable):
    """One execution of a graph. `extra_documents`: [{key, sha256 hex}], in file order.

    `tool` made it, as far as known; `settings`: whatever else its file says of it, by name (`Clip skip`: `2`).
    `adopted_by`: the run that this one turned out to be; such a row holds nothing but the name it was known under.
    """

    __tablename__ = "generation"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_key: Mapped[str] = mapped_column(unique=True)
    origin: Mapped[str]
    exact: Mapped[bytes | None] = mapped_column(index=True)
    prompt_document: Mapped[bytes | None]
    extra_documents: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    environment: Mapped[bytes | None] = mapped_column(ForeignKey("environment.hash"))
    job_id: Mapped[UUID | None] = mapped_column(index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    attribution_source: Mapped[str | None]
    started_at: Mapped[datetime.datetime | None]
    ended_at: Mapped[datetime.datetime | None]
    cached: Mapped[bool] = mapped_column(server_default="false")
    extracted_by: Mapped[str | None]
    tool: Mapped[str | None]
    tool_version: Mapped[str | None]
    settings: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    adopted_by: Mapped[UUID | None] = mapped_column(ForeignKey("generation.id"))
    recorded_at: Mapped[RecordedNow]


Index(
    "generation_environment_idx",
    Generation.environment,
    Generation.id,
    postgresql_where=Generation.environment.is_not(None),
)


class GenerationOutput(TenantTable):
    """Which output of which run an asset is: many to many."""

    __tablename__ = "generation_output"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    generation_id: Mapped[UUID] = mapped_column(ForeignKey("generation.id"))
    node: Mapped[str]
    output: Mapped[str]
    batch_index: Mapped[int | None]
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    certain: Mapped[bool]
    output_digest: Mapped[bytes | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    generates: Mapped[bool] = mapped_column(server_default="false")
    __table_args__ = (UniqueConstraint(*_ONE_OUTPUT, postgresql_nulls_not_distinct=True),)


class GenerationSampler(_Fact, TenantTable):
    """One sampling pass above one output. `seed` is 8 bytes, big-endian: 0 to 2^64-1 exactly, and indexed."""

    __tablename__ = "generation_sampler"
    class_type: Mapped[str]
    seed: Mapped[bytes | None] = mapped_column()
    steps: Mapped[int | None]
    cfg: Mapped[float | None]
    sampler: Mapped[str | None]
    scheduler: Mapped[str | None]
    denoise: Mapped[float | None]
    final: Mapped[bool]


Index("generation_sampler_seed_idx", GenerationSampler.seed, postgresql_where=GenerationSampler.seed.is_not(None))


class GenerationPrompt(_Fact, TenantTable):
    """One text that conditioned a sampler above one output."""

    __tablename__ = "generation_prompt"
    input: Mapped[str]
    polarity: Mapped[str]
    text: Mapped[str]
    is_template: Mapped[bool]


class GenerationModel(_Fact, TenantTable):
    """One model file that took part. `sha256` only where it is known, `identified` says how (`pin`, `name`).

    `claimed_hash` is what the file itself says, in its maker's own kind of hash; `air` names it at a model site (urn:air:…).
    """

    __tablename__ = "generation_model"
    input: Mapped[str]
    class_type: Mapped[str]
    role: Mapped[str]
    name: Mapped[str]
    sha256: Mapped[bytes | None]
    identified: Mapped[str | None]
    claimed_hash: Mapped[str | None]
    air: Mapped[str | None]
    strength_model: Mapped[float | None]
    strength_clip: Mapped[float | None]
    evidence: Mapped[str]


# With the run: what a model was used for is read from the index alone, in the order of the runs.
Index(
    "generation_model_sha256_idx",
    GenerationModel.sha256,
    GenerationModel.generation_id,
    postgresql_where=GenerationModel.sha256.is_not(None),
)
# How many runs named weights so, and said by no hash which: counted by this alone. A longer name is no file's, and more than
# an index entry holds.
Index(
    "generation_model_unknown_idx",
    GenerationModel.name,
    GenerationModel.generation_id,
    postgresql_where=text("sha256 is null and octet_length(name) <= 1000"),
)


class GenerationInput(_Fact, TenantTable):
    """One input file. `sha256` is known even where no asset has it yet: the parent may be recorded later."""

    __tablename__ = "generation_input"
    input: Mapped[str]
    class_type: Mapped[str]
    name: Mapped[str]
    sha256: Mapped[bytes | None]


Index("generation_input_sha256_idx", GenerationInput.sha256, postgresql_where=GenerationInput.sha256.is_not(None))
