"""What people say of pictures beside what the files say: whose they are, how they were made and from what, what goes."""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, Sha256, TenantTable


class Attestation(TenantTable):
    """What a person declares of how an asset was made. `generation_id` is the run that says the same to every reader.

    `words` are those that the asset is found by because of it, `added` those of them that it had not been found by.
    Withdrawn ones stay.
    """

    __tablename__ = "attestation"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    generation_id: Mapped[UUID] = mapped_column(ForeignKey("generation.id"))
    made_by: Mapped[str]
    generated: Mapped[bool]
    tool_version: Mapped[str | None]
    prompt: Mapped[str | None]
    negative: Mapped[str | None]
    model: Mapped[str | None]
    seed: Mapped[bytes | None]
    note: Mapped[str | None]
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    words: Mapped[str] = mapped_column(TSVECTOR)
    added: Mapped[str] = mapped_column(TSVECTOR)
    at: Mapped[RecordedNow]
    withdrawn_at: Mapped[datetime.datetime | None]
    withdrawn_by: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))


class DeclaredParent(TenantTable):
    """That people of a project say that one line was made from another; `source` is `declared` or `proposal`."""

    __tablename__ = "declared_parent"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    child_root: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    parent_root: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    via: Mapped[str]
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    source: Mapped[str]
    note: Mapped[str | None]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    __table_args__ = (
        UniqueConstraint("child_root", "parent_root", "via", "project_id", postgresql_nulls_not_distinct=True),
    )


class Proposal(TenantTable):
    """That a line looks as if it was made from another; each project that owns the child decides for itself."""

    __tablename__ = "proposal"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    child_root: Mapped[UUID] = mapped_column(ForeignKey("asset.id"))
    parent_root: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    how: Mapped[str]
    evidence: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    state: Mapped[str]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    decided_at: Mapped[datetime.datetime | None]
    __table_args__ = (UniqueConstraint("child_root", "parent_root", "project_id", postgresql_nulls_not_distinct=True),)


Index("proposal_open_idx", Proposal.id.desc(), postgresql_where=Proposal.state == "open")


class Reattribution(TenantTable):
    """That a person said for many pictures at once whose they are; `undone_at`: that this was taken back."""

    __tablename__ = "reattribution"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    undone_at: Mapped[datetime.datetime | None]


class ReattributionItem(TenantTable):
    """One asset of a re-attribution, and how it was before: enough to undo it, and to follow it when the file is read again.

    `had`: the new project owned it already. `runs`: [{id, project, person, source}] as they were.
    """

    __tablename__ = "reattribution_item"
    reattribution_id: Mapped[UUID] = mapped_column(ForeignKey("reattribution.id"), primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    from_project: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    to_project: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    to_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    had: Mapped[bool]
    first_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    locations: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    runs: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")


class Removal(TenantTable):
    """That a project wants a line out of sight: `rejected`, `hidden` or `trashed`; a row less is a removal taken back.

    `until`: before this instant it is not made final.
    """

    __tablename__ = "removal"
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True, index=True)
    kind: Mapped[str]
    reason: Mapped[str | None]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    until: Mapped[datetime.datetime]


class HoldRelease(TenantTable):
    """That a person let go of a content that approved pictures need: its last copy may be removed.

    It is about the approvals of before `at`; one that comes later holds the content again.
    """

    __tablename__ = "hold_release"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(index=True)
    reason: Mapped[str]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]


class TrashedFile(TenantTable):
    """A file that was put into its root's trash: `moving`, `trashed`, then `restored` or `emptied`.

    Both paths are relative to the root.
    """

    __tablename__ = "trashed_file"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    # No key: a place may be renamed over, and is then gone, whatever lies in the trash.
    location_id: Mapped[UUID]
    watch_root_id: Mapped[UUID] = mapped_column(ForeignKey("watch_root.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    root_id: Mapped[UUID] = mapped_column(ForeignKey("asset.id"), index=True)
    path: Mapped[bytes]
    trash_path: Mapped[bytes]
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str]
    trouble: Mapped[str | None]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[RecordedNow]
    until: Mapped[datetime.datetime]
    ended_at: Mapped[datetime.datetime | None]


Index("trashed_file_held_idx", TrashedFile.at, postgresql_where=TrashedFile.ended_at.is_(None))
