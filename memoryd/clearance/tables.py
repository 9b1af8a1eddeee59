"""What is stored of licence verdicts: what was decided about what, for which use and where, on which texts."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB
from sqlalchemy.dialects.postgresql import UUID as UUID_TYPE
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, Sha256, TenantTable


class LicenceVerdict(TenantTable):
    """A verdict (allow, review, unknown, block) on a subject: an asset, a set of models, a workflow, a project, a delivery.

    `clauses` are the terms that decided, `text_sha256s` the licence texts as they were then. A later verdict is a new
    row: the one before it stays, superseded, or reopened where a licence, a grant or a fact changed under it.
    """

    __tablename__ = "licence_verdict"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    """A Kind."""
    subject: Mapped[bytes]
    use: Mapped[str]
    territory: Mapped[str]
    """As people read it: `DE, US`."""
    verdict: Mapped[str]
    clauses: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    text_sha256s: Mapped[list[bytes]] = mapped_column(ARRAY(BYTEA), server_default="{}")
    at: Mapped[RecordedNow]
    state: Mapped[str] = mapped_column(server_default="standing")
    """A VerdictState."""
    occasion: Mapped[bytes] = mapped_column(server_default=text("''"))
    """SHA-256 of what was asked: the same question asked again supersedes its answer."""
    models: Mapped[list[bytes]] = mapped_column(ARRAY(BYTEA), server_default="{}")
    licences: Mapped[list[UUID]] = mapped_column(ARRAY(UUID_TYPE(as_uuid=True)), server_default="{}")
    facts: Mapped[dict[str, object]] = mapped_column(JSONB, server_default="{}")
    """The occasion as it was, the duties, and how far the making is known."""
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    """In which project it was asked; null is the whole tenant, or a set of models, which belongs to nobody."""
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    """Who asked; null is the server itself."""
    reopened_at: Mapped[Moment | None]
    reopened_why: Mapped[str | None]
    reopened_to: Mapped[str | None]
    """The verdict that the same question has now, where it could be judged without anybody."""


Index("licence_verdict_subject_idx", LicenceVerdict.kind, LicenceVerdict.subject, LicenceVerdict.at.desc())
Index(
    "licence_verdict_standing_key",
    LicenceVerdict.kind,
    LicenceVerdict.subject,
    LicenceVerdict.occasion,
    LicenceVerdict.project_id,
    unique=True,
    postgresql_nulls_not_distinct=True,
    postgresql_where=LicenceVerdict.state == "standing",
)
Index(
    "licence_verdict_models_idx",
    LicenceVerdict.models,
    postgresql_using="gin",
    postgresql_where=LicenceVerdict.state == "standing",
)
Index(
    "licence_verdict_licences_idx",
    LicenceVerdict.licences,
    postgresql_using="gin",
    postgresql_where=LicenceVerdict.state == "standing",
)
Index(
    "licence_verdict_reopened_idx",
    LicenceVerdict.reopened_at.desc(),
    LicenceVerdict.id.desc(),
    postgresql_where=LicenceVerdict.state == "reopened",
)


class ModelSet(TenantTable):
    """Models that took part together. A hundred thousand pictures are made with some dozens of sets."""

    __tablename__ = "model_set"
    digest: Mapped[Sha256] = mapped_column(primary_key=True)
    """Of its entries, sorted."""
    entries: Mapped[list[list[str | None]]] = mapped_column(JSONB)
    """[hex of the SHA-256 or null, role, name]."""
    models: Mapped[list[bytes]] = mapped_column(ARRAY(BYTEA), server_default="{}")
    recorded_at: Mapped[RecordedNow]


Index("model_set_models_idx", ModelSet.models, postgresql_using="gin")


class AssetModelSet(TenantTable):
    """Which models an asset was made with, its ancestors' included, as one project may know it (INV-6)."""

    __tablename__ = "asset_model_set"
    __table_args__ = (UniqueConstraint("asset_id", "project_id", postgresql_nulls_not_distinct=True),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    """Null: of no project."""
    digest: Mapped[Sha256] = mapped_column(ForeignKey("model_set.digest"), index=True)
    at: Mapped[RecordedNow]
    stale: Mapped[bool] = mapped_column(server_default=text("false"))
    """What it rests on changed since: runs, outputs, owners, lineage. It is worked out anew soon."""


Index("asset_model_set_project_idx", AssetModelSet.project_id, AssetModelSet.digest)
Index("asset_model_set_stale_idx", AssetModelSet.asset_id, postgresql_where=AssetModelSet.stale)


class StudioStatement(TenantTable):
    """What the studio says of itself (revenue, users, seat, registrations): the newest counts, the older ones stay."""

    __tablename__ = "studio_statement"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    facts: Mapped[dict[str, object]] = mapped_column(JSONB)
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
