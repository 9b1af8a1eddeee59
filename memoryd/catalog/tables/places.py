"""Watched folders, and the places where copies lie or lay."""

from __future__ import annotations

import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import UUID, RecordedNow, TenantTable


class WatchRoot(TenantTable):
    """A folder whose files are remembered. `aliases`: machine -> the folder's path there. `trash`: files may be moved
    into its trash, which somebody must have switched on. `rules` are FolderRules in order; `watching` is how it is watched
    now (events or polling), and why so."""

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
    rules: Mapped[list[dict[str, object]]] = mapped_column(server_default="[]")
    makes_projects: Mapped[bool] = mapped_column(server_default="false")
    watched_by: Mapped[str] = mapped_column(server_default="server")
    watching: Mapped[str | None]
    watching_why: Mapped[str | None]
    custody: Mapped[str]
    trash: Mapped[bool] = mapped_column(server_default="false")
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
