"""What is stored about weights: their bytes' hash, their names over time, and the licences somebody named for them."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, Sha256, TenantTable


class Model(TenantTable):
    """Weights: a model is its bytes."""

    __tablename__ = "model"
    __table_args__ = (CheckConstraint("octet_length(sha256) = 32", name="sha256"),)

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


class ModelAlias(TenantTable):
    """Another hash by which tools name a model. Stated by the file itself, so it may be wrong or shared."""

    __tablename__ = "model_alias"

    algorithm: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(ForeignKey("model.sha256"), primary_key=True, index=True)


class ModelName(TenantTable):
    """Which content a name had, where, from when until when: a changed file closes one row and opens the next."""

    __tablename__ = "model_name"
    __table_args__ = (
        CheckConstraint("seen_to is null or seen_to >= seen_from", name="interval"),
        Index(
            "model_name_present_idx",
            "worker",
            "root",
            "folder",
            "path",
            unique=True,
            postgresql_where=text("seen_to is null"),
        ),
        Index("model_name_path_idx", "path", "folder"),
    )

    worker: Mapped[str] = mapped_column(primary_key=True)
    """The machine whose folder it is."""
    root: Mapped[str] = mapped_column(primary_key=True)
    """The models folder that was scanned."""
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
    at: Mapped[RecordedNow]
    withdrawn_at: Mapped[Moment | None]
