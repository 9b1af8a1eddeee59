"""Assets, what was read of them, whose they are, what they came from, and the documents that search reads."""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, Sha256, TenantTable


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
Index("asset_disclosed_copies_idx", Asset.root_id, postgresql_where=Asset.succession == "disclosed")
Index("asset_pixel_digest_idx", Asset.pixel_digest, postgresql_where=Asset.pixel_digest.is_not(None))


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
# Words are put into the index many at once: half of a recorder's time otherwise. What waits for that is searched too, and
# kept small (KB): a whole list takes 0.1 ms of a search, and its writer some 10 ms to put in order (measured).
Index("asset_text_words_idx", AssetText.words, postgresql_using="gin", postgresql_with={"gin_pending_list_limit": 256})


class AssetMark(TenantTable):
    """A line's marks for search, apart from the words so that a mark does not rewrite them.

    `flags` are set by rooms above through `marks.set_marks`, `project_flags` (`<project>:<word>`, `-` where there is none)
    through `marks.set_project_marks`; `marks` is made of them and of what people attached.
    """

    __tablename__ = "asset_mark"
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    flags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    project_flags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
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
