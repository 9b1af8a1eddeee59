"""What the memory stores: assets and places, generations and their facts, lineage, what people attach, search documents.

Content is named by SHA-256 (32 bytes); graphs and documents are referred to by their digests, which name themselves.
"""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, SmallInteger, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
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


class _Attached:
    """Who attached something, and when."""

    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]


class _OnePerProject(_Attached):
    """What a project says of a line, once."""

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)


class Asset(TenantTable):
    """Content. Never changed, only succeeded (INV-2); `root_id` is the first asset of its line."""

    __tablename__ = "asset"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(unique=True)
    size: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    media_type: Mapped[str]
    width: Mapped[int | None]
    height: Mapped[int | None]
    frames: Mapped[int | None]
    made_at: Mapped[datetime.datetime]
    made_source: Mapped[str]
    recorded_at: Mapped[RecordedNow]
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    succeeds_id: Mapped[UUID | None] = mapped_column(ForeignKey("asset.id"))
    succession: Mapped[str | None]
    pixel_recipe: Mapped[str | None]
    pixel_digest: Mapped[bytes | None]
    held: Mapped[bool] = mapped_column(server_default="false")
    erased_at: Mapped[datetime.datetime | None]


Index("asset_newest_idx", Asset.made_at.desc(), Asset.id.desc())
Index("asset_succeeds_id_idx", Asset.succeeds_id, postgresql_where=Asset.succeeds_id.is_not(None))
Index("asset_pixel_digest_idx", Asset.pixel_digest, postgresql_where=Asset.pixel_digest.is_not(None))


class WatchRoot(TenantTable):
    """A folder whose files are remembered. `aliases`: machine -> the folder's path there."""

    __tablename__ = "watch_root"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    path: Mapped[bytes]
    shown_path: Mapped[str]
    marker: Mapped[str | None]
    device: Mapped[int | None] = mapped_column(BigInteger)
    aliases: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    person_rule: Mapped[str | None]
    custody: Mapped[str]
    disclosure: Mapped[str]
    state: Mapped[str]
    state_reason: Mapped[str | None]
    state_at: Mapped[RecordedNow]
    scanned_at: Mapped[datetime.datetime | None]
    created_at: Mapped[RecordedNow]
    retired_at: Mapped[datetime.datetime | None]


Index("watch_root_place_key", WatchRoot.host, func.sha256(WatchRoot.path), unique=True)


class Location(TenantTable):
    """A place where a copy lies, in the project it was found in. A rename moves it, never the asset."""

    __tablename__ = "location"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    watch_root_id: Mapped[UUID | None] = mapped_column(ForeignKey("watch_root.id"))
    path: Mapped[bytes]
    shown_path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int | None] = mapped_column(BigInteger)
    device: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str]
    asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("asset.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    first_seen: Mapped[RecordedNow]
    last_seen: Mapped[RecordedNow]
    gone_at: Mapped[datetime.datetime | None]


# A path may be longer than a btree entry (2,704 bytes): one such name would fail a batch of a thousand. Its hash comes
# first, since "no root" is no value that an index could be asked for; the second index is for passes over a root.
_key = (func.sha256(Location.path), Location.watch_root_id)
Index("location_place_key", *_key, unique=True, postgresql_nulls_not_distinct=True)
Index("location_watch_root_idx", *reversed(_key))
Index("location_inode_idx", Location.watch_root_id, Location.inode, postgresql_where=Location.inode.is_not(None))


class LocationPast(TenantTable):
    """What a place held, or was called, before: overwritten names keep their history."""

    __tablename__ = "location_past"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    location_id: Mapped[UUID] = mapped_column(ForeignKey("location.id"), index=True)
    asset_id: Mapped[UUID | None] = mapped_column(ForeignKey("asset.id"), index=True)
    path: Mapped[bytes]
    shown_path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str]
    until: Mapped[RecordedNow]


class Extraction(TenantTable):
    """What one version of a plugin made of an asset's bytes; facts from a file are replaced with it."""

    __tablename__ = "extraction"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    plugin: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[RecordedNow]
    state: Mapped[str]
    findings: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    current: Mapped[bool] = mapped_column(server_default="true")


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
    adopted_by: Mapped[UUID | None] = mapped_column(ForeignKey("generation.id"))
    recorded_at: Mapped[RecordedNow]


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
    """One model file that took part. `sha256` only where it is known, `identified` says how (`pin`, `name`)."""

    __tablename__ = "generation_model"
    input: Mapped[str]
    class_type: Mapped[str]
    role: Mapped[str]
    name: Mapped[str]
    sha256: Mapped[bytes | None]
    identified: Mapped[str | None]
    strength_model: Mapped[float | None]
    strength_clip: Mapped[float | None]
    evidence: Mapped[str]


Index("generation_model_sha256_idx", GenerationModel.sha256, postgresql_where=GenerationModel.sha256.is_not(None))


class GenerationInput(_Fact, TenantTable):
    """One input file. `sha256` is known even where no asset has it yet: the parent may be recorded later."""

    __tablename__ = "generation_input"
    input: Mapped[str]
    class_type: Mapped[str]
    name: Mapped[str]
    sha256: Mapped[bytes | None]


Index("generation_input_sha256_idx", GenerationInput.sha256, postgresql_where=GenerationInput.sha256.is_not(None))


class Lineage(TenantTable):
    """That one line was made from another. Never a cycle (INV-6)."""

    __tablename__ = "lineage"
    child_root: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    parent_root: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)
    via: Mapped[str] = mapped_column(primary_key=True)


class AssetProject(TenantTable):
    """That a project owns an asset: by asset, since a rewrite in one must not show in another that had the original."""

    __tablename__ = "asset_project"
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    made_at: Mapped[datetime.datetime]
    first_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))


Index("asset_project_newest_idx", AssetProject.project_id, AssetProject.made_at.desc(), AssetProject.asset_id.desc())


class Tag(TenantTable):
    """A word that a project attaches to lines."""

    __tablename__ = "tag"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str]
    created_at: Mapped[RecordedNow]
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class AssetTag(_Attached, TenantTable):
    """That a tag hangs on a line."""

    __tablename__ = "asset_tag"
    tag_id: Mapped[UUID] = mapped_column(ForeignKey("tag.id"), primary_key=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)


class Rating(_OnePerProject, TenantTable):
    """The stars that a project gives a line, 1 to 5; the last one counts."""

    __tablename__ = "rating"
    stars: Mapped[int] = mapped_column(SmallInteger)


class Note(_Attached, TenantTable):
    """A remark on a line, in a project."""

    __tablename__ = "note"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    text: Mapped[str]


class Collection(TenantTable):
    """A named set of lines in a project."""

    __tablename__ = "collection"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[RecordedNow]
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class CollectionItem(_Attached, TenantTable):
    """That a line is in a collection."""

    __tablename__ = "collection_item"
    collection_id: Mapped[UUID] = mapped_column(ForeignKey("collection.id"), primary_key=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)


class Approval(_OnePerProject, TenantTable):
    """What a project decided about a line; `asset_id` is what was looked at, so that a later rewrite is told apart."""

    __tablename__ = "approval"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    state: Mapped[str]
    comment: Mapped[str | None]


class AssetText(TenantTable):
    """An asset's words. `head`: what people mean by this picture now, neither overwritten nor another's copy."""

    __tablename__ = "asset_text"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    made_at: Mapped[datetime.datetime]
    recipe: Mapped[str]
    head: Mapped[bool]
    words: Mapped[str] = mapped_column(TSVECTOR)


Index("asset_text_newest_idx", AssetText.made_at.desc(), AssetText.asset_id.desc())
# fastupdate off: a pending list would be flushed inside somebody's search (measured: up to 352 ms).
Index("asset_text_words_idx", AssetText.words, postgresql_using="gin", postgresql_with={"fastupdate": "off"})


class AssetMark(TenantTable):
    """A line's marks for search, apart from the words so that a mark does not rewrite them.

    `flags` are set by rooms above through `marks.set_marks`; `marks` is made of them and of what people attached.
    """

    __tablename__ = "asset_mark"
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    flags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    marks: Mapped[str] = mapped_column(TSVECTOR, server_default="")


Index("asset_mark_marks_idx", AssetMark.marks, postgresql_using="gin", postgresql_with={"fastupdate": "off"})


class Thumbnail(TenantTable):
    """A small picture of an asset; its bytes are a blob. `size` is the longest edge asked for, in pixels."""

    __tablename__ = "thumbnail"
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256]
    media_type: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    made_at: Mapped[RecordedNow]
