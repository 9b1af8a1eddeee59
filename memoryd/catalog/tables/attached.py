"""What people attach to lines: tags, ratings, remarks, collections, approvals."""

from __future__ import annotations

from sqlalchemy import ForeignKey, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class _Attached:
    """Who attached something, and when."""

    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]


class _OnePerProject(_Attached):
    """What a project says of a line, once."""

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True, index=True)


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
