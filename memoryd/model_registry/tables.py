"""What is stored about weights: their bytes' hash, names and places over time, versions, origins, and stated licences."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, Sha256, TenantTable


class Model(TenantTable):
    """Weights: a model is its bytes."""

    __tablename__ = "model"
    __table_args__ = (
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        Index("model_newest_idx", text("first_seen desc"), text("sha256 desc")),
    )

    sha256: Mapped[Sha256] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    """A weights.ModelKind, as far as tensors or folder tell."""
    base: Mapped[str | None]
    """The family it belongs to (`sd15`, `sdxl`, `flux`), as far as tensors or metadata tell."""
    header: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    """What the file says about itself, shortened; hostile text."""
    findings: Mapped[list[dict[str, object]]] = mapped_column(JSONB, server_default="[]")
    first_seen: Mapped[RecordedNow]
    last_seen: Mapped[RecordedNow]
    """When a scan or a worker last told of these bytes; a place that holds them may have been looked at later."""
    format: Mapped[str] = mapped_column(server_default="unknown")
    """A weights.ModelFormat."""
    base_name: Mapped[str | None]
    """The base as header or sidecar states it, in their own words."""
    triggers: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Words that call up what was trained, as stated."""
    sidecar: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    """What lay beside the file and was believed (weights.Sidecar); hostile text."""
    described: Mapped[str | None]
    """The stamp of what a worker told of it last, as it was taken over."""


class ModelAlias(TenantTable):
    """Another hash by which tools name a model. One that the file states of itself may be wrong or shared."""

    __tablename__ = "model_alias"
    __table_args__ = (Index("model_alias_value_idx", "value", postgresql_ops={"value": "text_pattern_ops"}),)

    algorithm: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(ForeignKey("model.sha256"), primary_key=True, index=True)
    measured: Mapped[bool] = mapped_column(server_default="false")
    """Whether we computed it from the bytes, instead of reading it in them."""


class ModelPlace(TenantTable):
    """A folder with model files. One that several workers see is one place, and its names are kept once."""

    __tablename__ = "model_place"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """A PlaceKind."""
    key: Mapped[str] = mapped_column(unique=True)
    """What makes it this place: machine and folder of a scan, the identity of a share, a worker."""
    worker: Mapped[str]
    """The machine whose folder it is; of a share, who told of it first."""
    root: Mapped[str]
    """The folder, as that machine calls it."""
    first_seen: Mapped[RecordedNow]
    last_seen: Mapped[RecordedNow]


class ModelPlaceWorker(TenantTable):
    """That a worker of the farm sees a place, as long as it serves this tenant."""

    __tablename__ = "model_place_worker"

    place_id: Mapped[UUID] = mapped_column(ForeignKey("model_place.id"), primary_key=True)
    worker_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)
    label: Mapped[str]
    root: Mapped[str]
    """What this worker calls the folder."""
    told: Mapped[bytes]
    """The digest of what it told of the place last: what is the same is not read again."""
    first_seen: Mapped[RecordedNow]
    last_seen: Mapped[RecordedNow]


class ModelName(TenantTable):
    """Which content a name had, where, from when until when: a changed file closes one row and opens the next."""

    __tablename__ = "model_name"
    __table_args__ = (
        CheckConstraint("seen_to is null or seen_to >= seen_from", name="interval"),
        Index(
            "model_name_present_idx",
            "place_id",
            "folder",
            "path",
            unique=True,
            postgresql_where=text("seen_to is null"),
        ),
        Index("model_name_path_idx", "path", "folder"),
    )

    place_id: Mapped[UUID] = mapped_column(ForeignKey("model_place.id"), primary_key=True)
    folder: Mapped[str] = mapped_column(primary_key=True)
    """The role: checkpoints, loras, vae …; empty where the file lies in the root itself."""
    path: Mapped[str] = mapped_column(primary_key=True)
    """Below the folder, with forward slashes: what a graph calls it."""
    seen_from: Mapped[RecordedNow] = mapped_column(primary_key=True)
    seen_to: Mapped[Moment | None]
    sha256: Mapped[Sha256 | None] = mapped_column(ForeignKey("model.sha256"), index=True)
    """Null where the file is there and could not be read."""
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)


class ModelFamily(TenantTable):
    """A model as people speak of it: what its versions are versions of."""

    __tablename__ = "model_family"
    __table_args__ = (
        Index(
            "model_family_source_key",
            "source",
            "source_id",
            unique=True,
            postgresql_where=text("source_id is not null"),
        ),
        Index("model_family_name_key", "name", unique=True, postgresql_where=text("source_id is null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    source: Mapped[str]
    """A FamilySource: where it comes from."""
    source_id: Mapped[str | None]
    """Its number or name there; null where a person made it up."""
    url: Mapped[str | None]
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]


class ModelVersion(TenantTable):
    """One version of a family; its files are contents."""

    __tablename__ = "model_version"
    __table_args__ = (
        Index("model_version_name_key", "family_id", "name", unique=True, postgresql_where=text("source_id is null")),
        Index(
            "model_version_source_key",
            "family_id",
            "source_id",
            unique=True,
            postgresql_where=text("source_id is not null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("model_family.id"))
    name: Mapped[str]
    source_id: Mapped[str | None]
    base_name: Mapped[str | None]
    """As the source states it."""
    url: Mapped[str | None]
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]


class ModelVersionFile(TenantTable):
    """Somebody says that a file is of a version. Of several statements a person's counts."""

    __tablename__ = "model_version_file"
    __table_args__ = (
        Index(
            "model_version_file_key",
            "sha256",
            "version_id",
            "source",
            unique=True,
            postgresql_where=text("withdrawn_at is null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version_id: Mapped[UUID] = mapped_column(ForeignKey("model_version.id"), index=True)
    sha256: Mapped[Sha256] = mapped_column(ForeignKey("model.sha256"))
    source: Mapped[str]
    """A StatedBy."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    withdrawn_at: Mapped[Moment | None]


class ModelOrigin(TenantTable):
    """Somebody says that a model was made from another. Standing rows have no cycle."""

    __tablename__ = "model_origin"
    __table_args__ = (
        CheckConstraint("child <> parent", name="itself"),
        Index(
            "model_origin_key",
            "child",
            "stated",
            "via",
            "source",
            unique=True,
            postgresql_where=text("withdrawn_at is null"),
        ),
        Index("model_origin_parent_idx", "parent", postgresql_where=text("withdrawn_at is null")),
        Index("model_origin_stated_idx", "stated", postgresql_where=text("parent is null and withdrawn_at is null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    child: Mapped[Sha256] = mapped_column(ForeignKey("model.sha256"))
    parent: Mapped[Sha256 | None] = mapped_column(ForeignKey("model.sha256"))
    """Null as long as no file is known that `stated` names."""
    stated: Mapped[str]
    """The parent as it was named: a hash of some kind, or a name."""
    via: Mapped[str]
    """A Via."""
    source: Mapped[str]
    """A StatedBy."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    withdrawn_at: Mapped[Moment | None]


class ModelLookUp(TenantTable):
    """What a public service answered about a hash, or that it does not know it: asked only where the operator allows."""

    __tablename__ = "model_look_up"

    sha256: Mapped[Sha256] = mapped_column(ForeignKey("model.sha256"), primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    """A LookUpService."""
    found: Mapped[bool]
    answer: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    """What of the answer is kept; hostile text."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]


class Licence(TenantTable):
    """Terms, as far as they are known: a name alone until somebody brings the text."""

    __tablename__ = "licence"
    __table_args__ = (
        Index("licence_name_key", "name", "version", "text_sha256", unique=True, postgresql_nulls_not_distinct=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    """As it was stated: an SPDX id, a title, an address."""
    version: Mapped[str] = mapped_column(server_default="")
    text_sha256: Mapped[Sha256 | None]
    url: Mapped[str | None]
    terms: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    recorded_at: Mapped[RecordedNow]


class LicenceGrant(TenantTable):
    """Somebody named this licence for this model: the file itself, or a person."""

    __tablename__ = "licence_grant"
    __table_args__ = (
        Index(
            "licence_grant_model_key",
            "model",
            "licence_id",
            "source",
            unique=True,
            postgresql_where=text("withdrawn_at is null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model: Mapped[Sha256] = mapped_column(ForeignKey("model.sha256"))
    licence_id: Mapped[UUID] = mapped_column(ForeignKey("licence.id"), index=True)
    source: Mapped[str]
    """A LicenceSource."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    reason: Mapped[str | None]
    """Why a person says so: what has a reason counts instead of what the file says."""
    at: Mapped[RecordedNow]
    withdrawn_at: Mapped[Moment | None]
