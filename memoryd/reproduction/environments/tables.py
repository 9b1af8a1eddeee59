"""What this room stores: the sources of node packs that a worker was allowed to send."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from memoryd.foundation.declarative import RecordedNow, Sha256, TenantTable


class PackSource(TenantTable):
    """The sources of a node pack, named by the hash of its files as environments name it."""

    __tablename__ = "pack_source"
    tree: Mapped[Sha256] = mapped_column(primary_key=True)
    archive: Mapped[Sha256]
    """The blob: a tar of the files, always equal for equal files."""
    name: Mapped[str]
    remote: Mapped[str | None]
    commit: Mapped[str | None]
    files: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    """Bytes of the archive."""
    kept_at: Mapped[RecordedNow]
