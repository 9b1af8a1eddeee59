"""What this room stores: the files that could not be read, and what was asked to be derived again."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, Moment, RecordedNow, Sha256, TenantTable


class Quarantine(TenantTable):
    """A file that could not be read, with the reason; at most one open row for a place (INV-8).

    `path` is relative to the root, absolute where there is none; `shown` is the absolute path as text.
    A row without `next_try_at` waits for a person, or for the file to change. Project, person and custody are those
    that the file was to be recorded with.
    """

    __tablename__ = "quarantine"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    watch_root_id: Mapped[UUID | None] = mapped_column(ForeignKey("watch_root.id", ondelete="CASCADE"))
    path: Mapped[bytes]
    shown: Mapped[str]
    size: Mapped[int | None] = mapped_column(BigInteger)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[Sha256 | None]
    reason: Mapped[str]
    detail: Mapped[str]
    tries: Mapped[int] = mapped_column(server_default=text("1"))
    first_seen_at: Mapped[RecordedNow]
    next_try_at: Mapped[Moment | None]
    resolved_at: Mapped[Moment | None]
    resolution: Mapped[str | None]
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    custody: Mapped[str]


# A path may be longer than an index entry (2,704 bytes): its digest stands for it.
Index(
    "quarantine_open_place_key",
    Quarantine.watch_root_id,
    func.sha256(Quarantine.path),
    unique=True,
    postgresql_nulls_not_distinct=True,
    postgresql_where=Quarantine.resolved_at.is_(None),
)
Index("quarantine_open_idx", Quarantine.id.desc(), postgresql_where=Quarantine.resolved_at.is_(None))


class EnrichmentOrder(TenantTable):
    """That somebody asked for recipes to be done. `chores` are the farm's; those that are not there any more are done."""

    __tablename__ = "enrichment_order"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    recipes: Mapped[str]
    again: Mapped[bool]
    subjects: Mapped[int]
    chores: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    asked_at: Mapped[RecordedNow]


class IngestRun(TenantTable):
    """A taking-in: what was wished, and how far it is. `state` is a RunState as its process last wrote it, at `beat_at`.

    `counts` are files by what became of them; `found`, `known`, `size` are the plan's.
    """

    __tablename__ = "ingest_run"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    host: Mapped[str]
    paths: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    otherwise: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    custody: Mapped[str]
    by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    started_at: Mapped[RecordedNow]
    reading_since: Mapped[Moment | None]
    beat_at: Mapped[RecordedNow]
    ended_at: Mapped[Moment | None]
    found: Mapped[int | None] = mapped_column(BigInteger)
    known: Mapped[int | None] = mapped_column(BigInteger)
    size: Mapped[int | None] = mapped_column(BigInteger)
    counts: Mapped[dict[str, object]] = mapped_column(server_default="{}")
    error: Mapped[str | None]
    hint: Mapped[str | None]
